//! Owns the hooks' journal: what the authority allowed or refused, and what git then did.
//!
//! Hooks append and never publish (DECISIONS 4): an append under a lock of its own, held for
//! microseconds, not synced. Whoever publishes next turns what is finished into audit events, and
//! syncs the journal before it says how far it has read.
//!
//! Invariants (each has a test of the same name):
//! * `each_movement_becomes_one_event`
//! * `an_open_movement_holds_up_what_is_behind_it_but_not_for_ever`
//! * `a_journal_that_lost_its_end_stops_nobody`
//! * `a_flood_is_taken_in_portions`

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::domain::event::{Event, Verification};
use crate::domain::policy::Check;
use crate::domain::role::Actor;
use crate::domain::state::lock_id;
use crate::domain::text::ascii_safe_json;
use crate::domain::time::{Moment, Now, Wall};

use super::disk::Disk;
use super::error::StoreError;
use super::{layout, lines};

/// How long a hook waits for another one's append.
const WAIT_MS: u64 = 2_000;
/// How long an intent without an outcome holds up the entries behind it.
const OPEN_MS_MAX: u64 = 60_000;
/// Most events that one publish takes from the journal.
const EVENTS_MAX: usize = 200;
/// Most bytes of journal lines whose events one publish takes.
const EVENT_BYTES_MAX: usize = 256 << 10;
/// Most bytes that are looked at to take them.
const READ_BYTES_MAX: usize = 16 << 20;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// The authority allowed a movement; git may still fail.
    Intent {
        /// When, for people.
        at: Wall,
        /// When.
        when: Moment,
        /// Who.
        by: Actor,
        /// The lease it was done under; 0 where none was needed.
        token: u64,
        /// The ref.
        name: String,
        /// The value before, read again under git's own lock; empty: there was none.
        old: String,
        /// The value after; empty: removed.
        new: String,
        /// What changed, the first names; empty when everything was claimed.
        files: Vec<String>,
        /// What of it was not claimed.
        outside: Vec<String>,
    },
    /// Git moved the ref.
    Observed {
        /// When, for people.
        at: Wall,
        /// The ref.
        name: String,
        /// Its value after.
        new: String,
        /// The lease at that moment; 0 when there was none, or the system was frozen.
        token: u64,
    },
    /// Git gave up: another hook refused, or another ref could not be moved.
    Aborted {
        /// When, for people.
        at: Wall,
        /// The ref.
        name: String,
        /// Its value, had it moved.
        new: String,
    },
    /// The authority, or the friendlier hook before it, said no.
    Refused {
        /// When, for people.
        at: Wall,
        /// Who was refused.
        by: Actor,
        /// What was tried.
        action: String,
        /// Why not.
        why: String,
    },
    /// A check would have said no, but only warns.
    Warned {
        /// When, for people.
        at: Wall,
        /// Who was warned.
        by: Actor,
        /// What was done.
        action: String,
        /// Which check.
        check: Check,
        /// What it said.
        why: String,
    },
}

/// Appends entries in one write.
///
/// # Errors
/// [`StoreError`]; then nothing was appended, and the movement must be refused.
pub fn append<D: Disk>(disk: &D, entries: &[Entry]) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let json = serde_json::to_string(entry).expect("an entry has only texts and numbers");
        bytes.extend_from_slice(ascii_safe_json(&json).as_bytes());
        bytes.push(b'\n');
    }
    let _lock = super::take(disk, layout::JOURNAL_LOCK, WAIT_MS)?;
    let tail = lines::tail(disk, layout::JOURNAL)?;
    lines::repair(disk, layout::JOURNAL, &tail)?;
    disk.append(layout::JOURNAL, &bytes).map_err(|e| StoreError::io("append to", layout::JOURNAL, e))
}

/// What the journal had to say.
#[derive(Debug, PartialEq, Eq)]
pub struct Ingested {
    /// The events, in order.
    pub events: Vec<Event>,
    /// From which byte to go on.
    pub offset: u64,
}

/// Turns what the journal says from a byte offset on into events: one for each movement that was
/// made under a lease and that git carried out, one for each refusal. A movement whose outcome is
/// still open, and what stands behind it, is left for the next reader; so is what would be too
/// much at once. What cannot be understood is said (severity HIGH) and passed over: a journal
/// that lost its end in a power cut must stop nobody.
///
/// # Errors
/// [`StoreError::Io`].
pub fn ingest<D: Disk>(disk: &D, offset: u64, now: &Now) -> Result<Ingested, StoreError> {
    let mut events = Vec::new();
    let start = line_start(disk, offset, &mut events)?;
    let chunk = disk.read_at(layout::JOURNAL, start, READ_BYTES_MAX);
    let bytes = chunk.map_err(|e| StoreError::io("read", layout::JOURNAL, e))?;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').filter(|l| l.ends_with(b"\n")).collect();
    let entries: Vec<Option<Entry>> = lines.iter().map(|line| serde_json::from_slice(line).ok()).collect();
    let outcomes = outcomes(&entries);
    let (mut at, mut taken) = (start, 0);
    for (i, entry) in entries.iter().enumerate() {
        let len = lines[i].len();
        let event = match (entry, outcomes.get(&i)) {
            (None, _) => Some(lost(at, "a line is no entry")),
            (Some(Entry::Intent { when, .. }), None) if now.boot.ms_since(when) < OPEN_MS_MAX => break,
            (Some(Entry::Intent { .. }), Some(Outcome::Moved { token })) => {
                entry.as_ref().and_then(|e| verified(e, *token))
            }
            (Some(Entry::Refused { by, action, why, .. }), _) => refused(by, action, why, events.last()),
            (Some(Entry::Warned { by, action, check, why, .. }), _) => Some(Event::CheckWarned {
                who: by.clone(),
                action: action.clone(),
                check: *check,
                why: why.clone(),
            }),
            (Some(Entry::Intent { .. } | Entry::Observed { .. } | Entry::Aborted { .. }), _) => None,
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

/// Every entry, oldest first.
///
/// # Errors
/// [`StoreError`]; damage when a whole line is no entry.
pub fn read_all<D: Disk>(disk: &D) -> Result<Vec<Entry>, StoreError> {
    let parse = |line: &Vec<u8>| {
        serde_json::from_slice(line).map_err(|e| StoreError::Damaged {
            file: layout::JOURNAL.to_owned(),
            what: format!("a line is no entry ({e})"),
            remedy: "cmw-doctor",
        })
    };
    lines::read_from(disk, layout::JOURNAL, 0)?.0.iter().map(parse).collect()
}

/// How a movement ended.
#[derive(Clone, Copy)]
enum Outcome {
    /// Git carried it out; this was the lease at that moment.
    Moved { token: u64 },
    /// It came to nothing: given up, or tried again later.
    Nothing,
}

/// For each intent (by its place) how it ended; each outcome belongs to the last intent before it.
fn outcomes(entries: &[Option<Entry>]) -> HashMap<usize, Outcome> {
    let mut open: HashMap<(&str, &str), usize> = HashMap::new();
    let mut found = HashMap::new();
    for (i, entry) in entries.iter().enumerate() {
        match entry {
            Some(Entry::Intent { name, new, .. }) => {
                if let Some(earlier) = open.insert((name, new), i) {
                    found.insert(earlier, Outcome::Nothing);
                }
            }
            Some(Entry::Observed { name, new, token, .. }) => {
                if let Some(intent) = open.remove(&(name.as_str(), new.as_str())) {
                    found.insert(intent, Outcome::Moved { token: *token });
                }
            }
            Some(Entry::Aborted { name, new, .. }) => {
                if let Some(intent) = open.remove(&(name.as_str(), new.as_str())) {
                    found.insert(intent, Outcome::Nothing);
                }
            }
            Some(Entry::Refused { .. } | Entry::Warned { .. }) | None => {}
        }
    }
    found
}

/// The offset, or the start of the next line when it is none (any more).
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
    let rest = read(offset, lines::LINE_BYTES_MAX)?;
    Ok(rest.iter().position(|b| *b == b'\n').map_or(size, |end| offset + end as u64 + 1))
}

fn lost(byte: u64, why: &str) -> Event {
    Event::JournalLost { byte, why: why.to_owned() }
}

/// A refusal; the same one again says nothing new. Times in it are no difference, another reason is: a
/// claim to be somebody else must not hide behind an ordinary refusal.
fn refused(by: &Actor, action: &str, why: &str, before: Option<&Event>) -> Option<Event> {
    let event = Event::LockRefused { who: by.clone(), action: action.to_owned(), why: why.to_owned() };
    let again = match before {
        Some(Event::LockRefused { who, action: what, why: reason }) => {
            let stem = |text: &str| text.split(|c: char| c.is_ascii_digit()).next().map(str::to_owned);
            who == by && what == action && stem(reason) == stem(why)
        }
        Some(_) | None => false,
    };
    (!again).then_some(event)
}

/// The event of an intent that git carried out while the lease was `now_token`.
fn verified(intent: &Entry, now_token: u64) -> Option<Event> {
    let Entry::Intent { token, name, new, files, outside, by, .. } = intent else { return None };
    if *token == 0 {
        return None;
    }
    let late = *token != now_token;
    let passed = outside.is_empty() && !late;
    Some(Event::CommitVerified {
        lock_id: lock_id(*token),
        holder: by.clone(),
        branch: name.clone(),
        commit: new.clone(),
        verification_status: if passed { Verification::Passed } else { Verification::Failed },
        files: files.clone(),
        outside: outside.clone(),
        lease_was_over: late,
    })
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
