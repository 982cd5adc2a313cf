//! Appends to and reads the audit trail: one chain of records over several files (docs/rules.md R9.1).
//!
//! Invariants (tests of the same names in `tests/soak/store/crash/histories.rs`):
//! * `every_event_is_in_the_audit_exactly_once` (docs/rules.md I10)
//! * `the_chain_is_whole_over_all_files`: sequence and hashes without a gap.
//!
//! A record's number and hash are fixed when the document is published; appending is then repeatable, because
//! a file's last number says which records it has. Readers go on behind a line that is not a record, and accept a
//! gap that a record declares.

use std::collections::BTreeSet;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::DamagedFile;
use crate::domain::audit::record::Record;
use crate::domain::event::Event;
use crate::domain::util::sanitize::ascii_safe_json;

use crate::store::damage;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::jsonl;
use crate::store::jsonl::LineReader;
use crate::store::layout;

/// What repairs a damaged log.
const REMEDY: &str = "cmw-doctor --fix";

/// Appends the records that their files lack; does not sync. Safe to repeat. A file that cannot be appended to
/// does not keep the records of others from theirs.
///
/// # Errors
/// The first of [`append_each`].
pub fn append_missing<D: Disk>(disk: &D, records: &[Record]) -> Result<(), StoreError> {
    append_each(disk, records).into_iter().next().map_or(Ok(()), Err)
}

/// Appends like [`append_missing`]; returns what failed, an error for each file.
pub fn append_each<D: Disk>(disk: &D, records: &[Record]) -> Vec<StoreError> {
    let newest = records.last().map_or(0, |record| record.seq);
    let append = |log| append_to(disk, log, records, newest).err();
    logs_of(records).into_iter().filter_map(append).collect()
}

fn append_to<D: Disk>(disk: &D, log: &str, records: &[Record], newest: u64) -> Result<(), StoreError> {
    let file = layout::log(log);
    let tail = jsonl::tail(disk, &file)?;
    let last = match &tail.last {
        None => 0,
        Some(line) => parse(&file, line, "its last line")?.seq,
    };
    if last > newest {
        let what = format!("it ends with record {last}, which no command has published");
        return Err(StoreError::Damaged { file, what, remedy: REMEDY });
    }
    if !skips_tail_repair() {
        jsonl::repair(disk, &file, &tail)?;
    }
    let mut bytes = Vec::new();
    for record in records.iter().filter(|r| r.event.log() == log && r.seq > last) {
        push_line(&mut bytes, record);
    }
    if bytes.is_empty() {
        return Ok(());
    }
    disk.append(&file, &bytes).map_err(|e| StoreError::io("append to", &file, e))
}

fn push_line(bytes: &mut Vec<u8>, record: &Record) {
    let json = serde_json::to_string(record).expect("a record has only texts and numbers");
    bytes.extend_from_slice(ascii_safe_json(&json).as_bytes());
    bytes.push(b'\n');
}

/// Syncs the files of these records, and their names.
///
/// A file's name is synced while the file has nothing but these records. A file that begins with an earlier
/// record has its name on the disk: this function ran before the document with that record in its outbox was
/// replaced (shown by `tests/soak/store/crash/histories.rs`, which fails when the names are left out).
///
/// # Errors
/// [`StoreError::Io`].
pub fn sync<D: Disk>(disk: &D, records: &[Record]) -> Result<(), StoreError> {
    let Some(oldest) = records.first().map(|record| record.seq) else { return Ok(()) };
    let mut new_name = false;
    for log in logs_of(records) {
        let file = layout::log(log);
        disk.sync(&file).map_err(|e| StoreError::io("sync", &file, e))?;
        new_name |= first_seq(disk, &file)?.is_none_or(|first| first >= oldest);
    }
    if new_name && !skips_names() {
        disk.sync_dir(layout::AUDIT).map_err(|e| StoreError::io("sync", layout::AUDIT, e))?;
    }
    Ok(())
}

/// Returns the number of a file's first record, with which every line begins; `None` when it cannot be
/// parsed.
fn first_seq<D: Disk>(disk: &D, file: &str) -> Result<Option<u64>, StoreError> {
    let bytes = disk.read_at(file, 0, 32).map_err(|e| StoreError::io("read", file, e))?;
    let digits = bytes.strip_prefix(b"{\"seq\":").unwrap_or_default();
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(0);
    Ok(str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse().ok()))
}

fn logs_of(records: &[Record]) -> BTreeSet<&'static str> {
    records.iter().map(|r| r.event.log()).collect()
}

pub(super) fn parse(file: &str, line: &[u8], place: &str) -> Result<Record, StoreError> {
    let damaged = |why: &str| StoreError::Damaged {
        file: file.to_owned(),
        what: format!("{place} is not an audit record ({why})"),
        remedy: REMEDY,
    };
    if line.is_empty() {
        return Err(damaged("it is empty or too long"));
    }
    serde_json::from_slice(line).map_err(|e| damaged(&crate::domain::util::sanitize::line(&e.to_string())))
}

/// Lists the logs that exist.
///
/// # Errors
/// [`StoreError::Io`].
pub fn files<D: Disk>(disk: &D) -> Result<Vec<String>, StoreError> {
    let names = disk.list(layout::AUDIT).map_err(|e| StoreError::io("list", layout::AUDIT, e))?;
    let is_log = |name: &String| name.ends_with(".log") || name == "write-lock-intents.json";
    Ok(names.iter().filter(|name| is_log(name)).map(|name| layout::log(name)).collect())
}

/// The audit as far as it can be read.
#[derive(Debug, Default)]
pub struct Trail {
    /// The records, in order, each once.
    pub records: Vec<Record>,
    /// The lines and files that are not what a log consists of.
    pub damage: Vec<StoreError>,
    /// How many of the records are so far only in the document.
    pub unsettled: usize,
}

/// Reads every record of every file, in order, whatever stands between them.
///
/// # Errors
/// [`StoreError::Io`].
pub fn read_trail<D: Disk>(disk: &D) -> Result<Trail, StoreError> {
    let mut trail = Trail::default();
    for file in files(disk)? {
        let (records, mut damage) = read_log(disk, &file)?;
        trail.records.extend(records);
        trail.damage.append(&mut damage);
    }
    trail.records.sort_by_key(|record| record.seq);
    // A record can be written twice, when its log was set aside in between.
    trail.records.dedup();
    Ok(trail)
}

/// Checks that a record belongs into this log.
fn in_place(file: &str, record: &Record) -> Result<(), StoreError> {
    if layout::log(record.event.log()) == *file {
        return Ok(());
    }
    let what = format!("record {} belongs into {}", record.seq, record.event.log());
    Err(StoreError::Damaged { file: file.to_owned(), what, remedy: REMEDY })
}

/// Reads one log: its records, and what else stands there.
///
/// # Errors
/// [`StoreError::Io`].
fn read_log<D: Disk>(disk: &D, file: &str) -> Result<(Vec<Record>, Vec<StoreError>), StoreError> {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let mut lines = match LineReader::whole(disk, file) {
        Ok(lines) => lines,
        Err(error) if damage::fault(&error).is_some() => return Ok((records, vec![error])),
        Err(error) => return Err(error),
    };
    let mut last = 0;
    for number in 1_u64.. {
        let Some(line) = lines.next()? else { break };
        let parsed = parse(file, line.bytes, &format!("line {number}"));
        let fault = match parsed.and_then(|record| in_place(file, &record).map(|()| record)) {
            Ok(record) => {
                let is_in_order = record.seq > last;
                last = last.max(record.seq);
                records.push(record);
                let what = format!("line {number} is not in its order");
                (!is_in_order).then(|| StoreError::Damaged { file: file.to_owned(), what, remedy: REMEDY })
            }
            Err(error) => Some(error),
        };
        // One fault stands for all of a file.
        if damage.is_empty() {
            damage.extend(fault);
        }
    }
    let rest = disk.size(file).ok().flatten().unwrap_or(0).saturating_sub(lines.offset());
    if rest > jsonl::LINE_BYTES_MAX as u64 {
        let what = format!("it ends with {rest} bytes that are no line");
        damage.push(StoreError::Damaged { file: file.to_owned(), what, remedy: REMEDY });
    }
    Ok((records, damage))
}

/// Sets an audit log aside; its records up to `upto`, but those of `changed`, go on under its name.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn set_aside<D: Disk>(
    disk: &D,
    damaged: &DamagedFile,
    changed: &BTreeSet<u64>,
    upto: u64,
) -> Result<(), StoreError> {
    let file = &damaged.file;
    let (mut records, _) = read_log(disk, file)?;
    records.retain(|record| record.seq <= upto && !changed.contains(&record.seq));
    // The last record says which ones a log has: they stand in their order, each once.
    records.sort_by_key(|record| record.seq);
    records.dedup_by_key(|record| record.seq);
    let mut bytes = Vec::new();
    for record in &records {
        push_line(&mut bytes, record);
    }
    damage::replace(disk, damaged, |tmp| {
        disk.create_new(tmp, &bytes).map_err(|e| StoreError::io("write", tmp, e))
    })
}

/// Reads every record that can be read, in order.
///
/// # Errors
/// [`StoreError::Io`].
pub fn read_all<D: Disk>(disk: &D) -> Result<Vec<Record>, StoreError> {
    read_trail(disk).map(|trail| trail.records)
}

/// Reads the trail with the outbox of the document: records that a killed command has not appended are there.
///
/// # Errors
/// As [`read_trail`].
pub fn read_published<D: Disk>(disk: &D, outbox: &[Record]) -> Result<Trail, StoreError> {
    let mut trail = read_trail(disk)?;
    let there: BTreeSet<u64> = trail.records.iter().map(|record| record.seq).collect();
    let missing = outbox.iter().filter(|record| !there.contains(&record.seq));
    let before = trail.records.len();
    trail.records.extend(missing.cloned());
    trail.unsettled = trail.records.len() - before;
    trail.records.sort_by_key(|record| record.seq);
    Ok(trail)
}

/// Verifies the chain: numbers from 1 without a gap that no record declares, each hash correct and following from
/// the previous one, the last one equal to the document's head.
///
/// # Errors
/// A text that says where and how the chain is broken.
pub fn verify(records: &[Record], head: &str) -> Result<(), String> {
    if self::head(records)? != head {
        let last = records.last().map_or(0, |record| record.seq);
        return Err(format!("the last record is {last}, but the document says otherwise"));
    }
    Ok(())
}

/// Returns the hash at the end of a whole chain; empty without records.
///
/// # Errors
/// A text that says where and how the chain is broken.
pub fn head(records: &[Record]) -> Result<String, String> {
    let lost = declared_lost(records);
    let (mut prev, mut expected) = (String::new(), 1);
    for record in records {
        let (seq, log) = (record.seq, record.event.log());
        let missing = undeclared(expected, seq.saturating_sub(1), &lost);
        if seq < expected || !missing.is_empty() {
            let first = missing.first().map_or(expected, |(first, _)| *first);
            return Err(format!("record {first} is missing or there twice (found {seq} in {log})"));
        }
        // Behind a gap it is not known what the record before was.
        if (seq == expected && record.prev != prev) || !record.is_intact() {
            return Err(format!("record {seq} in {log} was changed"));
        }
        prev.clone_from(&record.hash);
        expected = seq.saturating_add(1);
    }
    Ok(prev)
}

/// Returns the gaps that records declare.
#[must_use]
pub fn declared_lost(records: &[Record]) -> Vec<(u64, u64)> {
    let declares = |record: &Record| {
        let Event::Audit(AuditEvent::Checkpoint { lost, .. }) = &record.event else { return None };
        Some(lost.clone())
    };
    records.iter().filter_map(declares).flatten().collect()
}

/// Returns the records up to `upto` that are lost and that no record declares so: the first and the last of each
/// gap. A record that was changed counts as lost; these are returned too. What follows a record tells what it was.
#[must_use]
pub fn undeclared_gaps(records: &[Record], upto: u64) -> (Vec<(u64, u64)>, BTreeSet<u64>) {
    let lost = declared_lost(records);
    let (mut changed, mut next): (BTreeSet<u64>, Option<&Record>) = (BTreeSet::new(), None);
    for record in records.iter().rev() {
        let is_linked = next.is_none_or(|next| next.seq != record.seq + 1 || next.prev == record.hash);
        if record.is_intact() && is_linked {
            next = Some(record);
        } else {
            changed.insert(record.seq);
        }
    }
    let (mut gaps, mut expected) = (Vec::new(), 1);
    let there = records.iter().map(|record| record.seq).filter(|seq| !changed.contains(seq));
    for seq in there.chain([upto.saturating_add(1)]) {
        gaps.extend(undeclared(expected, seq.saturating_sub(1), &lost));
        expected = expected.max(seq.saturating_add(1));
    }
    (gaps, changed)
}

/// Returns the parts of `first..=last` that are in none of these gaps; none if `last` is before `first`.
#[must_use]
pub fn undeclared(first: u64, last: u64, gaps: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut gaps: Vec<(u64, u64)> = gaps.iter().filter(|(_, end)| *end >= first).copied().collect();
    gaps.sort_unstable();
    let (mut parts, mut next) = (Vec::new(), first);
    for (begin, end) in gaps {
        if begin > next && next <= last {
            parts.push((next, last.min(begin - 1)));
        }
        let Some(behind) = end.checked_add(1) else { return parts };
        next = next.max(behind);
    }
    if next <= last {
        parts.push((next, last));
    }
    parts
}

#[cfg(not(feature = "seeded-faults"))]
fn skips_tail_repair() -> bool {
    false
}

#[cfg(feature = "seeded-faults")]
fn skips_tail_repair() -> bool {
    crate::store::fault::is(crate::store::fault::Fault::NoTailRepair)
}

#[cfg(not(feature = "seeded-faults"))]
fn skips_names() -> bool {
    false
}

#[cfg(feature = "seeded-faults")]
fn skips_names() -> bool {
    crate::store::fault::is(crate::store::fault::Fault::NoAuditNames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_by_its_ends() {
        let max = u64::MAX;
        assert_eq!(undeclared(1, 9, &[]), [(1, 9)]);
        assert_eq!(undeclared(1, 9, &[(3, 4), (7, 20)]), [(1, 2), (5, 6)]);
        assert_eq!(undeclared(5, 6, &[(1, 4), (6, 6)]), [(5, 5)]);
        assert_eq!(undeclared(4, 3, &[]), []);
        assert_eq!(undeclared(2, max, &[(10, max)]), [(2, 9)]);
        assert_eq!(undeclared(1, max, &[(2, 3), (2, 3)]), [(1, 1), (4, max)]);
    }
}
