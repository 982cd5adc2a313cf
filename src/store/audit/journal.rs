//! The ref journal of the hooks: which ref movements were allowed or refused, and which git then made.
//!
//! Hooks append and never publish (docs/decisions.md D4): an append is unsynced, under a lock of its own that
//! is held for microseconds. The next publish turns finished entries into audit events, and syncs the journal
//! before it records how far it has read.
//!
//! Invariants (each has a test of the same name):
//! * `each_movement_becomes_one_event`
//! * `an_open_movement_holds_up_what_is_behind_it_but_not_for_ever`
//! * `a_journal_that_lost_its_end_blocks_no_command`
//! * `a_flood_is_taken_in_portions`

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use crate::domain::audit::journal_entry::{JournalEntry, SET_UP, UnauthorizedUpdate, ViolationCause};
use crate::domain::audit::{event::AuditEvent, ref_ledger::RefLedger};
use crate::domain::lock::{event::LockEvent, verification::Verification, write_lock::lock_id};
use crate::domain::util::{digest::hex, sanitize::ascii_safe_json, time::Now};
use crate::domain::{event::Event, identity::actor::Actor, policy::event::PolicyEvent};
use crate::store::{disk::Disk, error::StoreError, jsonl, layout};

/// How long a hook waits for the append of another one, in milliseconds.
const WAIT_MS: u64 = 2_000;
/// How long an intent without an outcome delays the entries after it, in milliseconds.
const OPEN_MS_MAX: u64 = 60_000;
/// Most events that one publish reads from the journal.
const EVENTS_MAX: usize = 200;
/// Most bytes of journal lines that one publish turns into events.
const EVENT_BYTES_MAX: usize = 256 << 10;
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
    let tail = jsonl::tail(disk, layout::JOURNAL)?;
    if let Some((end, concerns)) = read.filter(|(end, _)| *end != tail.whole) {
        if end > tail.whole {
            return Ok(false);
        }
        let (grown, _) = jsonl::read_from(disk, layout::JOURNAL, end)?;
        if !grown.iter().all(|line| serde_json::from_slice(line).is_ok_and(|entry| !concerns(&entry))) {
            return Ok(false);
        }
    }
    jsonl::repair(disk, layout::JOURNAL, &tail)?;
    let mut prev = tail.last.as_deref().map(digest).unwrap_or_default();
    let mut bytes = Vec::new();
    for entry in entries {
        let json = serde_json::to_string(entry).expect("an entry has only texts and numbers");
        let line = ascii_safe_json(&format!("{PREV}{prev}\",{}", &json[1..]));
        prev = digest(line.as_bytes());
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    disk.append(layout::JOURNAL, &bytes).map_err(|e| StoreError::io("append to", layout::JOURNAL, e))?;
    Ok(true)
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

/// The whole journal, as far as it can be parsed.
#[derive(Debug, Default)]
pub struct JournalContents {
    /// Every entry with the number of its line, from 1.
    pub entries: Vec<(u64, JournalEntry)>,
    /// Lines at which the chain is broken, and why.
    pub faults: Vec<(u64, String)>,
    /// How many lines there are.
    pub lines: u64,
    /// Where the last of them ends, in bytes.
    pub end: u64,
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

/// Reads the whole journal and checks its chain; continues after a fault. `wanted`: the lines whose hashes
/// are returned.
///
/// # Errors
/// [`StoreError::Io`].
pub fn read_chain<D: Disk>(disk: &D, wanted: &BTreeSet<u64>) -> Result<JournalContents, StoreError> {
    let (lines, end) = jsonl::read_from(disk, layout::JOURNAL, 0)?;
    let mut chain = JournalContents { end, lines: lines.len() as u64, ..JournalContents::default() };
    let (mut before, mut is_chained) = (String::new(), false);
    for (line, number) in lines.iter().zip(1..) {
        let fault = match prev_of(line) {
            Some(prev) if prev == before.as_bytes() => None,
            Some(_) if number == 1 => Some("the lines before it are gone"),
            Some(_) => Some("the line before it was changed, or lines between them are gone"),
            // The lines of an earlier version, which are not chained, precede the first chained one.
            None if is_chained => Some("it is not chained to the line before"),
            None => None,
        };
        is_chained |= prev_of(line).is_some();
        match serde_json::from_slice(line) {
            Ok(entry) => chain.entries.push((number, entry)),
            Err(_) => chain.faults.push((number, "it is not an entry".to_owned())),
        }
        chain.faults.extend(fault.map(|why| (number, why.to_owned())));
        before = digest(line);
        if wanted.contains(&number) || number == chain.lines {
            chain.hashes.insert(number, before.clone());
        }
    }
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

/// The events read from the journal.
#[derive(Debug, PartialEq, Eq)]
pub struct Ingested {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The byte from which the next publish reads on.
    pub offset: u64,
}

/// Turns the journal from a byte offset on into events: one for each movement that was made under a lease and
/// carried out by git, one for each refusal. A movement without an outcome yet, and the entries after it, are
/// left for the next reader, as is everything beyond the size limits. Unparsable lines are reported (severity
/// HIGH) and skipped: a journal that lost its end in a power cut must stop no command.
///
/// # Errors
/// [`StoreError::Io`].
pub fn ingest<D: Disk>(disk: &D, offset: u64, now: &Now) -> Result<Ingested, StoreError> {
    let mut events = Vec::new();
    let start = line_start(disk, offset, &mut events)?;
    let chunk = disk.read_at(layout::JOURNAL, start, READ_BYTES_MAX);
    let bytes = chunk.map_err(|e| StoreError::io("read", layout::JOURNAL, e))?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').filter(|l| l.ends_with(b"\n")).collect();
    let entries: Vec<Option<JournalEntry>> =
        lines.iter().map(|line| serde_json::from_slice(line).ok()).collect();
    let outcomes = outcomes(&entries);
    let (mut at, mut taken) = (start, 0);
    for (i, entry) in entries.iter().enumerate() {
        let len = lines[i].len();
        let event = match (entry, outcomes.get(&i)) {
            (None, _) => Some(lost(at, "a line is not an entry")),
            (Some(JournalEntry::Intent { when, .. }), None) if now.boot.ms_since(when) < OPEN_MS_MAX => break,
            (Some(JournalEntry::Intent { .. }), Some(MovementOutcome::Moved { token })) => {
                entry.as_ref().and_then(|e| verified(e, *token))
            }
            (Some(JournalEntry::Refused { by, action, why, .. }), _) => {
                refused(by, action, why, events.last())
            }
            (Some(JournalEntry::Warned { by, action, check, why, .. }), _) => {
                Some(Event::Policy(PolicyEvent::CheckWarned {
                    who: by.clone(),
                    action: action.clone(),
                    check: *check,
                    why: why.clone(),
                }))
            }
            (Some(JournalEntry::Strayed { cause, refs, .. }), _) => {
                Some(Event::Audit(violation_found(cause, refs)))
            }
            (Some(JournalEntry::Baseline { why, .. }), _) if why == SET_UP => None,
            (Some(JournalEntry::Baseline { why, refs, .. }), _) => {
                Some(Event::Audit(AuditEvent::RefsBaselined { refs: refs.len() as u64, why: why.clone() }))
            }
            (
                Some(
                    JournalEntry::Intent { .. }
                    | JournalEntry::Observed { .. }
                    | JournalEntry::Aborted { .. },
                ),
                _,
            ) => None,
        };
        taken += if event.is_some() { len } else { 0 };
        if events.len() >= EVENTS_MAX || (taken > EVENT_BYTES_MAX && taken > len) {
            break;
        }
        events.extend(event);
        at += len as u64;
    }
    Ok(Ingested { events, offset: at })
}

/// Returns the event of a recorded violation; the publish assigns its number.
pub(super) fn violation_found(cause: &ViolationCause, refs: &[UnauthorizedUpdate]) -> AuditEvent {
    // The marks are internal to the journal.
    let refs = refs.iter().map(|stray| UnauthorizedUpdate { log: String::new(), ..stray.clone() }).collect();
    AuditEvent::ViolationFound { id: 0, cause: cause.clone(), refs, grows: false }
}

/// Reads every entry, oldest first.
///
/// # Errors
/// [`StoreError`]; damage when a whole line is not an entry.
pub fn read_all<D: Disk>(disk: &D) -> Result<Vec<JournalEntry>, StoreError> {
    let parse = |line: &Vec<u8>| {
        serde_json::from_slice(line).map_err(|e| StoreError::Damaged {
            file: layout::JOURNAL.to_owned(),
            what: format!("a line is not an entry ({e})"),
            remedy: "cmw-doctor",
        })
    };
    jsonl::read_from(disk, layout::JOURNAL, 0)?.0.iter().map(parse).collect()
}

/// How a movement ended.
#[derive(Clone, Copy)]
enum MovementOutcome {
    /// Git carried it out; the token of the lease at that moment.
    Moved { token: u64 },
    /// It was given up, or tried again later.
    Nothing,
}

/// Returns for each intent (by index) its outcome; each outcome belongs to the last intent before it.
fn outcomes(entries: &[Option<JournalEntry>]) -> HashMap<usize, MovementOutcome> {
    let mut open: HashMap<(&str, &str), usize> = HashMap::new();
    let mut found = HashMap::new();
    for (i, entry) in entries.iter().enumerate() {
        match entry {
            Some(JournalEntry::Intent { name, new, .. }) => {
                if let Some(earlier) = open.insert((name, new), i) {
                    found.insert(earlier, MovementOutcome::Nothing);
                }
            }
            Some(JournalEntry::Observed { name, new, token, .. }) => {
                if let Some(intent) = open.remove(&(name.as_str(), new.as_str())) {
                    found.insert(intent, MovementOutcome::Moved { token: *token });
                }
            }
            Some(JournalEntry::Aborted { name, new, .. }) => {
                if let Some(intent) = open.remove(&(name.as_str(), new.as_str())) {
                    found.insert(intent, MovementOutcome::Nothing);
                }
            }
            Some(
                JournalEntry::Refused { .. }
                | JournalEntry::Warned { .. }
                | JournalEntry::Baseline { .. }
                | JournalEntry::Strayed { .. },
            )
            | None => {}
        }
    }
    found
}

/// Returns the offset, or the start of the next line when a line no longer starts there.
fn line_start<D: Disk>(disk: &D, offset: u64, events: &mut Vec<Event>) -> Result<u64, StoreError> {
    let read = |at: u64, len: usize| {
        disk.read_at(layout::JOURNAL, at, len).map_err(|e| StoreError::io("read", layout::JOURNAL, e))
    };
    if offset == 0 {
        return Ok(0);
    }
    let size = disk.size(layout::JOURNAL).map_err(|e| StoreError::io("look at", layout::JOURNAL, e))?;
    let size = size.unwrap_or(0);
    if offset > size {
        events.push(lost(offset, "it is shorter than it was"));
        return Ok(size);
    }
    if read(offset - 1, 1)? == b"\n" {
        return Ok(offset);
    }
    events.push(lost(offset, "it was written anew before the place where it had been read to"));
    let rest = read(offset, jsonl::LINE_BYTES_MAX)?;
    Ok(rest.iter().position(|b| *b == b'\n').map_or(size, |end| offset + end as u64 + 1))
}

fn lost(byte: u64, why: &str) -> Event {
    Event::Audit(AuditEvent::JournalLost { byte, why: why.to_owned() })
}

/// Turns a refusal into an event; `None` when it repeats the previous one. Different times in the text are
/// ignored, but a different reason is not: an attempt under another role must not hide behind an ordinary
/// refusal.
fn refused(by: &Actor, action: &str, why: &str, before: Option<&Event>) -> Option<Event> {
    let event = Event::Lock(LockEvent::LockRefused {
        who: by.clone(),
        action: action.to_owned(),
        why: why.to_owned(),
    });
    let again = match before {
        Some(Event::Lock(LockEvent::LockRefused { who, action: what, why: reason })) => {
            let stem = |text: &str| text.split(|c: char| c.is_ascii_digit()).next().map(str::to_owned);
            who == by && what == action && stem(reason) == stem(why)
        }
        Some(_) | None => false,
    };
    (!again).then_some(event)
}

/// Returns the event of an intent that git carried out while the lease had the token `now_token`.
fn verified(intent: &JournalEntry, now_token: u64) -> Option<Event> {
    let JournalEntry::Intent { token, name, new, files, outside, by, .. } = intent else { return None };
    if *token == 0 {
        return None;
    }
    let late = *token != now_token;
    let passed = outside.is_empty() && !late;
    Some(Event::Lock(LockEvent::CommitVerified {
        lock_id: lock_id(*token),
        holder: by.clone(),
        branch: name.clone(),
        commit: new.clone(),
        verification_status: if passed { Verification::Passed } else { Verification::Failed },
        files: files.clone(),
        outside: outside.clone(),
        lease_was_over: late,
    }))
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
