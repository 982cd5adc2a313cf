//! The ref journal of the hooks: which ref movements were allowed or refused, and which git then made.
//!
//! Hooks append and never publish (docs/decisions.md D4): an append is unsynced, under a lock of its own that
//! is held for microseconds. The next publish turns finished entries into audit events (`ingest`), and syncs the
//! journal before it records how far it has read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use crate::domain::audit::journal_entry::{JournalEntry, ViolationCause};
use crate::domain::audit::ref_ledger::RefLedger;
use crate::domain::identity::actor::Actor;
use crate::domain::state::State;
use crate::domain::util::{digest::hex, sanitize::ascii_safe_json, time::WallTime};
use crate::store::damage;
use crate::store::document::Document;
use crate::store::jsonl::{FileTail, LineReader};
use crate::store::{disk::Disk, error::StoreError, jsonl, layout};

/// How long a hook waits for the append of another one, in milliseconds.
const WAIT_MS: u64 = 2_000;
/// How many bytes from the end a hook searches for the expected value of a ref.
const RECENT_BYTES: usize = 16 << 10;
/// How many lines about one ref it reads then: a few movements, since git's lock on the ref admits one at a
/// time.
const RECENT_LINES: usize = 12;
/// Most bytes that one publish reads.
pub(super) const READ_BYTES_MAX: usize = 16 << 20;

/// Appends entries in one write, each chained to the line before it.
///
/// # Errors
/// [`StoreError`]; then nothing was appended, and the movement must be refused.
pub fn append<D: Disk>(disk: &D, entries: &[JournalEntry]) -> Result<(), StoreError> {
    append_if(disk, None, entries).map(drop)
}

/// Checks that an append is possible now; appends nothing.
///
/// # Errors
/// As [`append`].
pub fn can_append<D: Disk>(disk: &D) -> Result<(), StoreError> {
    let _lock = crate::store::gate::take(disk, layout::JOURNAL_LOCK, WAIT_MS)?;
    let io = |e| StoreError::io("append to", layout::JOURNAL, e);
    if disk.size(layout::JOURNAL).map_err(io)?.is_some() {
        disk.append(layout::JOURNAL, b"").map_err(io)
    } else {
        Ok(())
    }
}

/// Appends allowed movements, each with the number of the document by which it is allowed: the current one, as
/// far as that is the one it was judged by (`judged`), or one that `is_same` says would judge likewise. Else
/// returns `false` and appends nothing.
///
/// A publish looks at the journal's end under the same lock, so that an entry behind that end was judged by the
/// new document (docs/decisions.md D28).
///
/// # Errors
/// As [`append`].
pub fn append_allowed<D: Disk>(
    disk: &D,
    judged: u64,
    is_same: impl Fn(&State) -> bool,
    entries: &mut [JournalEntry],
) -> Result<bool, StoreError> {
    let _lock = crate::store::gate::take(disk, layout::JOURNAL_LOCK, WAIT_MS)?;
    let mut current = Document::current_number(disk)?;
    if current != Some(judged) {
        let document = Document::load(disk)?;
        if !is_same(&document.state) {
            return Ok(false);
        }
        current = Some(document.seq);
    }
    for entry in &mut *entries {
        if let JournalEntry::Intent { document, .. } = entry {
            *document = current.unwrap_or(0);
        }
    }
    append_at_tail(disk, &usable_tail(disk, entries)?, entries)?;
    Ok(true)
}

/// Returns the end of the journal; under its lock. A journal to which nothing can be appended is set aside, which
/// is a violation: damage must not keep anybody from working (docs/decisions.md D30).
fn usable_tail<D: Disk>(disk: &D, entries: &[JournalEntry]) -> Result<FileTail, StoreError> {
    match jsonl::tail(disk, layout::JOURNAL) {
        Ok(tail) => Ok(tail),
        Err(error) => {
            let Some((_, why)) = damage::fault(&error) else { return Err(error) };
            set_aside(disk, &why, entries.first().map_or(WallTime(0), JournalEntry::at))?;
            jsonl::tail(disk, layout::JOURNAL)
        }
    }
}

/// Sets the journal aside if nothing can be appended to it; returns whether it was.
///
/// # Errors
/// As [`append`].
pub fn set_aside_if_damaged<D: Disk>(disk: &D, at: WallTime) -> Result<bool, StoreError> {
    let _lock = crate::store::gate::take(disk, layout::JOURNAL_LOCK, WAIT_MS)?;
    match jsonl::tail(disk, layout::JOURNAL) {
        Ok(_) => Ok(false),
        Err(error) => {
            let Some((_, why)) = damage::fault(&error) else { return Err(error) };
            set_aside(disk, &why, at).map(|()| true)
        }
    }
}

/// Keeps the damaged journal as evidence, and goes on behind the lines that are whole; under its lock.
fn set_aside<D: Disk>(disk: &D, why: &str, at: WallTime) -> Result<(), StoreError> {
    let damaged = damage::examine(disk, layout::JOURNAL, why, at);
    damage::set_end_aside(disk, &damaged)?;
    let cause = ViolationCause::Damage(damaged);
    let entry = JournalEntry::Strayed { at, by: Actor::System, cause, refs: Vec::new() };
    append_at_tail(disk, &jsonl::tail(disk, layout::JOURNAL)?, &[entry])
}

/// Appends like [`append`], unless the journal behind the caller's read position has an entry that it
/// `concerns`; then returns `false` and appends nothing.
///
/// # Errors
/// As [`append`].
pub fn append_at<D: Disk>(
    disk: &D,
    end: u64,
    concerns: impl Fn(&JournalEntry) -> bool,
    entries: &[JournalEntry],
) -> Result<bool, StoreError> {
    append_if(disk, Some((end, &concerns)), entries)
}

/// Tells whether an entry invalidates what the caller has read.
type Concerns<'a> = &'a dyn Fn(&JournalEntry) -> bool;

fn append_if<D: Disk>(
    disk: &D,
    read: Option<(u64, Concerns<'_>)>,
    entries: &[JournalEntry],
) -> Result<bool, StoreError> {
    let _lock = crate::store::gate::take(disk, layout::JOURNAL_LOCK, WAIT_MS)?;
    let tail = usable_tail(disk, entries)?;
    if let Some((end, concerns)) = read.filter(|(end, _)| *end != tail.whole) {
        if end > tail.whole {
            return Ok(false);
        }
        let (grown, _) = jsonl::read_from(disk, layout::JOURNAL, end)?;
        if !grown.iter().all(|line| serde_json::from_slice(line).is_ok_and(|entry| !concerns(&entry))) {
            return Ok(false);
        }
    }
    append_at_tail(disk, &tail, entries)?;
    Ok(true)
}

fn append_at_tail<D: Disk>(disk: &D, tail: &FileTail, entries: &[JournalEntry]) -> Result<(), StoreError> {
    jsonl::repair(disk, layout::JOURNAL, tail)?;
    let mut prev = tail.last.as_deref().map(digest).unwrap_or_default();
    let mut bytes = Vec::new();
    for entry in entries {
        let json = serde_json::to_string(entry).expect("an entry has only texts and numbers");
        let line = ascii_safe_json(&format!("{PREV}{prev}\",{}", &json[1..]));
        prev = digest(line.as_bytes());
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    disk.append(layout::JOURNAL, &bytes).map_err(|e| StoreError::io("append to", layout::JOURNAL, e))
}

/// How each line begins; the hash of the previous line follows.
const PREV: &str = "{\"prev\":\"";

/// Returns the digest of a line (without its end), as the next line records it.
fn digest(line: &[u8]) -> String {
    hex(&Sha256::digest(line))
}

/// Returns the hash that a line records of the previous one; `None` in a line of an earlier version.
fn prev_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(PREV.as_bytes())?;
    let end = rest.iter().position(|b| *b == b'"')?;
    Some(&rest[..end])
}

/// An entry and where it stands.
#[derive(Debug)]
pub struct JournalLine {
    /// The number of its line, from 1.
    pub number: u64,
    /// The byte at which the line begins.
    pub at: u64,
    /// The entry.
    pub entry: JournalEntry,
}

/// The whole journal, as far as it can be parsed.
#[derive(Debug, Default)]
pub struct JournalContents {
    /// Every entry.
    pub entries: Vec<JournalLine>,
    /// Lines at which the chain is broken, and why.
    pub faults: Vec<(u64, String)>,
    /// How many lines there are.
    pub lines: u64,
    /// Where the last of them ends, in bytes.
    pub end: u64,
    /// For each byte at which a line ends, its number and its hash.
    pub ends: HashMap<u64, (u64, String)>,
    /// The hash of the last line, and of each line that was asked for, by number.
    pub hashes: BTreeMap<u64, String>,
}

impl JournalContents {
    /// Returns the hash of the last line; empty in an empty journal.
    #[must_use]
    pub fn head(&self) -> &str {
        self.hashes.get(&self.lines).map_or("", String::as_str)
    }
}

/// Reads the whole journal and checks its chain; continues after a fault, which counts once for lines that follow
/// each other. `wanted`: the lines whose hashes are returned.
///
/// # Errors
/// [`StoreError::Io`].
pub fn read_chain<D: Disk>(disk: &D, wanted: &BTreeSet<u64>) -> Result<JournalContents, StoreError> {
    let mut lines = LineReader::whole(disk, layout::JOURNAL)?;
    let mut chain = JournalContents::default();
    let (mut before, mut is_chained, mut was_entry) = (String::new(), false, true);
    for number in 1_u64.. {
        let Some(line) = lines.next()? else { break };
        let fault = match prev_of(line.bytes) {
            Some(prev) if prev == before.as_bytes() => None,
            // What stands before it explains that.
            Some(_) if !was_entry => None,
            Some(_) if number == 1 => Some("the lines before it are gone"),
            Some(_) => Some("the line before it was changed, or lines between them are gone"),
            // The lines of an earlier version, which are not chained, precede the first chained one.
            None if is_chained && was_entry => Some("it is not chained to the line before"),
            None => None,
        };
        is_chained |= prev_of(line.bytes).is_some();
        before = digest(line.bytes);
        let entry = serde_json::from_slice(line.bytes);
        let (at, is_entry) = (line.at, entry.is_ok());
        match entry {
            Ok(entry) => chain.entries.push(JournalLine { number, at, entry }),
            Err(_) if was_entry => chain.faults.push((number, "it is not an entry".to_owned())),
            Err(_) => {}
        }
        was_entry = is_entry;
        chain.faults.extend(fault.map(|why| (number, why.to_owned())));
        (chain.lines, chain.end) = (number, lines.offset());
        chain.ends.insert(chain.end, (number, before.clone()));
        if wanted.contains(&number) {
            chain.hashes.insert(number, before.clone());
        }
    }
    chain.hashes.insert(chain.lines, before);
    Ok(chain)
}

/// Keeps only those outcomes that belong to allowed movements, according to the end of the journal.
///
/// # Errors
/// [`StoreError::Io`].
pub fn keep_allowed<D: Disk>(disk: &D, outcomes: &mut Vec<JournalEntry>) -> Result<(), StoreError> {
    let io = |e| StoreError::io("read", layout::JOURNAL, e);
    let size = disk.size(layout::JOURNAL).map_err(io)?.unwrap_or(0);
    let start = size.saturating_sub(READ_BYTES_MAX as u64);
    let bytes = disk.read_at(layout::JOURNAL, start, READ_BYTES_MAX).map_err(io)?;
    let mut allowed: BTreeSet<(String, String)> = BTreeSet::new();
    for line in bytes.split(|b| *b == b'\n') {
        if let Ok(JournalEntry::Intent { name, new, .. }) = serde_json::from_slice(line) {
            allowed.insert((name, new));
        }
    }
    outcomes.retain(|outcome| match outcome {
        JournalEntry::Observed { name, new, .. } | JournalEntry::Aborted { name, new, .. } => {
            allowed.contains(&(name.clone(), new.clone()))
        }
        JournalEntry::Intent { .. }
        | JournalEntry::Refused { .. }
        | JournalEntry::Warned { .. }
        | JournalEntry::Baseline { .. }
        | JournalEntry::Strayed { .. } => true,
    });
    Ok(())
}

/// Reads what the last lines of the journal record about one ref, and their end offset. Older lines are not
/// read: then the expected value of the ref is unknown.
///
/// # Errors
/// [`StoreError::Io`].
pub fn recent<D: Disk>(disk: &D, name: &str) -> Result<(RefLedger, u64), StoreError> {
    let io = |e| StoreError::io("read", layout::JOURNAL, e);
    let size = disk.size(layout::JOURNAL).map_err(io)?.unwrap_or(0);
    let start = size.saturating_sub(RECENT_BYTES as u64);
    let bytes = disk.read_at(layout::JOURNAL, start, RECENT_BYTES).map_err(io)?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let mut lines = bytes[..whole].split_inclusive(|b| *b == b'\n');
    if start > 0 {
        // Most likely only the end of a line.
        lines.next();
    }
    let mut book = RefLedger::default();
    // The name as it is written in a line.
    let name = ascii_safe_json(&serde_json::Value::from(name).to_string());
    let name = name.as_bytes();
    let about: Vec<&[u8]> = lines.filter(|line| line.windows(name.len()).any(|part| part == name)).collect();
    for line in &about[about.len().saturating_sub(RECENT_LINES)..] {
        if let Ok(entry) = serde_json::from_slice(line) {
            book.apply(&entry);
        }
    }
    Ok((book, start + whole as u64))
}
