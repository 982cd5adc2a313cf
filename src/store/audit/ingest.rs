//! Turns the ref journal into events: what hooks recorded since the last publish.
//!
//! Invariants (tests of the same names in `ingest_tests.rs`):
//! * `each_movement_becomes_one_event`
//! * `an_open_movement_holds_up_what_is_behind_it_but_not_for_ever`
//! * `a_journal_that_lost_its_end_blocks_no_command`
//! * `a_flood_is_taken_in_portions`

use std::collections::HashMap;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::{JournalEntry, SET_UP, UnauthorizedUpdate, ViolationCause};
use crate::domain::lock::{event::LockEvent, verification::Verification, write_lock::lock_id};
use crate::domain::util::time::Now;
use crate::domain::{event::Event, identity::actor::Actor, policy::event::PolicyEvent};
use crate::store::audit::journal::{self, READ_BYTES_MAX};
use crate::store::damage;
use crate::store::jsonl::LineReader;
use crate::store::{disk::Disk, error::StoreError, jsonl, layout};

/// How long an intent without an outcome delays the entries after it, in milliseconds.
const OPEN_MS_MAX: u64 = 60_000;
/// How far a hook's clock reading may lie ahead of a publish's, in milliseconds.
const AHEAD_MS_MAX: u64 = 1_000;
/// Most events that one publish reads from the journal.
const EVENTS_MAX: usize = 200;
/// Most bytes of journal lines that one publish turns into events.
const EVENT_BYTES_MAX: usize = 256 << 10;

/// The events read from the journal.
#[derive(Debug, PartialEq, Eq)]
pub struct Ingested {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The byte from which the next publish reads on.
    pub offset: u64,
    /// Whether there is a line that is too long to be one of ours.
    pub has_long_line: bool,
}

/// Turns the journal into events like [`ingest`]. A journal that cannot be read is set aside first.
///
/// # Errors
/// As [`ingest`], and of a lock that stays held.
pub fn ingest_or_set_aside<D: Disk>(disk: &D, offset: u64, now: &Now) -> Result<Ingested, StoreError> {
    let first = ingest(disk, offset, now);
    let is_damaged = match &first {
        Ok(read) => read.has_long_line,
        Err(error) => damage::fault(error).is_some(),
    };
    if is_damaged && journal::set_aside_if_damaged(disk, now.wall)? {
        return ingest(disk, offset, now);
    }
    first
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
    let mut lines = LineReader::new(disk, layout::JOURNAL, start, u64::MAX);
    let (mut entries, mut ends) = (Vec::<Option<JournalEntry>>::new(), Vec::new());
    let mut has_long_line = false;
    while lines.offset() < start + READ_BYTES_MAX as u64
        && let Some(line) = lines.next()?
    {
        has_long_line |= line.is_too_long;
        let entry: Option<JournalEntry> = serde_json::from_slice(line.bytes).ok();
        let end = lines.offset();
        // Lines that are no entries are one fault, however many they are.
        match ends.last_mut() {
            Some(last) if entry.is_none() && entries.last().is_some_and(Option::is_none) => *last = end,
            Some(_) | None => {
                entries.push(entry);
                ends.push(end);
            }
        }
    }
    let outcomes = outcomes(&entries);
    let (mut at, mut taken) = (start, 0);
    for (i, entry) in entries.iter().enumerate() {
        let len = usize::try_from(ends[i] - at).unwrap_or(usize::MAX).min(jsonl::LINE_BYTES_MAX);
        let event = match (entry, outcomes.get(&i)) {
            (None, _) => Some(lost(at, "a line is not an entry")),
            // One that lies ahead is none of a hook.
            (Some(JournalEntry::Intent { when, .. }), None)
                if now.boot.ms_since(when) < OPEN_MS_MAX
                    && when.ms <= now.boot.ms.saturating_add(AHEAD_MS_MAX) =>
            {
                break;
            }
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
            (Some(JournalEntry::Baseline { why, .. }), _) if why == SET_UP && at == 0 => None,
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
        at = ends[i];
    }
    Ok(Ingested { events, offset: at, has_long_line })
}

/// Returns the event of a recorded violation; the publish assigns its number.
pub(super) fn violation_found(cause: &ViolationCause, refs: &[UnauthorizedUpdate]) -> AuditEvent {
    // The marks are internal to the journal.
    let refs = refs.iter().map(|stray| UnauthorizedUpdate { log: String::new(), ..stray.clone() }).collect();
    AuditEvent::ViolationFound { id: 0, cause: cause.clone(), refs, grows: false }
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
#[path = "ingest_tests.rs"]
mod tests;
