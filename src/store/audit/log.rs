//! Appends to and reads the audit trail: one chain of records over several files (docs/rules.md R9.1).
//!
//! Invariants (tests of the same names in `tests/soak/store/crash/histories.rs`):
//! * `every_event_is_in_the_audit_exactly_once` (docs/rules.md I10)
//! * `the_chain_is_whole_over_all_files`: sequence and hashes without a gap.
//!
//! A record's number and hash are fixed when the document is published; appending is then repeatable, because
//! a file's last number says which records it has.

use std::collections::BTreeSet;

use crate::domain::audit::record::Record;
use crate::domain::util::sanitize::ascii_safe_json;

use crate::store::disk::Disk;
use crate::store::document::Document;
use crate::store::error::StoreError;
use crate::store::jsonl;
use crate::store::layout;

/// Appends the records that their files lack; does not sync. Safe to repeat. A file that cannot be appended to
/// does not keep the records of others from theirs.
///
/// # Errors
/// The first [`StoreError`]; damage when a file's last line is not a record.
pub fn append_missing<D: Disk>(disk: &D, records: &[Record]) -> Result<(), StoreError> {
    let results: Vec<_> = logs_of(records).into_iter().map(|log| append_to(disk, log, records)).collect();
    results.into_iter().collect()
}

fn append_to<D: Disk>(disk: &D, log: &str, records: &[Record]) -> Result<(), StoreError> {
    let file = layout::log(log);
    let tail = jsonl::tail(disk, &file)?;
    let last = match &tail.last {
        None => 0,
        Some(line) => parse(&file, line, "its last line")?.seq,
    };
    if !skips_tail_repair() {
        jsonl::repair(disk, &file, &tail)?;
    }
    let mut bytes = Vec::new();
    for record in records.iter().filter(|r| r.event.log() == log && r.seq > last) {
        let json = serde_json::to_string(record).expect("a record has only texts and numbers");
        bytes.extend_from_slice(ascii_safe_json(&json).as_bytes());
        bytes.push(b'\n');
    }
    if bytes.is_empty() {
        return Ok(());
    }
    disk.append(&file, &bytes).map_err(|e| StoreError::io("append to", &file, e))
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

fn parse(file: &str, line: &[u8], place: &str) -> Result<Record, StoreError> {
    serde_json::from_slice(line).map_err(|e| StoreError::Damaged {
        file: file.to_owned(),
        what: format!("{place} is not an audit record ({e})"),
        remedy: "cmw-doctor",
    })
}

/// Reads every record of every file, in order.
///
/// # Errors
/// [`StoreError`]; damage when a line is not a record.
pub fn read_all<D: Disk>(disk: &D) -> Result<Vec<Record>, StoreError> {
    let mut records = Vec::new();
    let names = disk.list(layout::AUDIT).map_err(|e| StoreError::io("list", layout::AUDIT, e))?;
    for name in names.iter().filter(|n| n.ends_with(".log") || *n == "write-lock-intents.json") {
        let file = layout::log(name);
        for (line, number) in jsonl::read_from(disk, &file, 0)?.0.iter().zip(1..) {
            records.push(parse(&file, line, &format!("line {number}"))?);
        }
    }
    records.sort_by_key(|r| r.seq);
    Ok(records)
}

/// Reads the records up to this document, in order: those that a killed command has not appended are in it.
///
/// # Errors
/// As [`read_all`].
pub fn read_published<D: Disk>(disk: &D, document: &Document) -> Result<Vec<Record>, StoreError> {
    let mut records = read_all(disk)?;
    let there: BTreeSet<u64> = records.iter().map(|record| record.seq).collect();
    let missing = document.outbox.records.iter().filter(|record| !there.contains(&record.seq));
    records.extend(missing.cloned());
    records.sort_by_key(|record| record.seq);
    Ok(records)
}

/// Verifies the chain: numbers from 1 without a gap, each hash correct and following from the previous one,
/// the last one equal to the document's head.
///
/// # Errors
/// A text that says where and how the chain is broken.
pub fn verify(records: &[Record], head: &str) -> Result<(), String> {
    if self::head(records)? != head {
        return Err(format!("the last record is {}, but the document says otherwise", records.len()));
    }
    Ok(())
}

/// Returns the hash at the end of a whole chain; empty without records.
///
/// # Errors
/// A text that says where and how the chain is broken.
pub fn head(records: &[Record]) -> Result<String, String> {
    let mut prev = String::new();
    for (record, expected) in records.iter().zip(1..) {
        let (seq, log) = (record.seq, record.event.log());
        if seq != expected {
            return Err(format!("record {expected} is missing or there twice (found {seq} in {log})"));
        }
        if record.prev != prev || !record.is_intact() {
            return Err(format!("record {expected} in {log} was changed"));
        }
        prev.clone_from(&record.hash);
    }
    Ok(prev)
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
