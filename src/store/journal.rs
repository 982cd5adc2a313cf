//! Owns the hooks' journal: what the authority allowed, and what git then did.
//!
//! Hooks append and never publish (DECISIONS 4): an append under a lock of its own, held for
//! microseconds, not synced. Whoever publishes next turns finished pairs into audit events.

use serde::{Deserialize, Serialize};

use crate::domain::event::{Event, Verification};
use crate::domain::role::Actor;
use crate::domain::state::lock_id;
use crate::domain::text::ascii_safe_json;
use crate::domain::time::Wall;

use super::disk::Disk;
use super::error::StoreError;
use super::{layout, lines};

/// How long a hook waits for another one's append.
const WAIT_MS: u64 = 2_000;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// The authority allowed a movement; git may still fail.
    Intent {
        /// When.
        at: Wall,
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
        /// What changed, at most 100 names; empty when everything was claimed.
        files: Vec<String>,
        /// What of it was not claimed.
        outside: Vec<String>,
    },
    /// Git moved the ref.
    Observed {
        /// When.
        at: Wall,
        /// The ref.
        name: String,
        /// Its value after.
        new: String,
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

/// How long an intent without an outcome holds up the entries behind it.
const OPEN_MS_MAX: u64 = 60_000;

/// Turns what the journal says from a byte offset on into events: one for each movement that was
/// made under a lease and that git carried out. Returns them with the offset to go on from: an
/// intent whose outcome is still open, and what stands behind it, is left for the next reader.
///
/// # Errors
/// [`StoreError`]; damage when a whole line is no entry.
pub fn ingest<D: Disk>(disk: &D, offset: u64, now: Wall) -> Result<(Vec<Event>, u64), StoreError> {
    let (lines, _) = lines::read_from(disk, layout::JOURNAL, offset)?;
    let entries: Vec<Entry> = lines.iter().map(|line| parse(line)).collect::<Result<_, _>>()?;
    let open = |(i, entry): &(usize, &Entry)| match entry {
        Entry::Intent { at, name, new, .. } => {
            now.ms_since(*at) < OPEN_MS_MAX && outcome(&entries[*i..], name, new).is_none()
        }
        Entry::Observed { .. } => false,
    };
    let done = entries.iter().enumerate().find(open).map_or(entries.len(), |(i, _)| i);
    let events = (0..done).filter_map(|i| verified(&entries[i..])).collect();
    let bytes: usize = lines[..done].iter().map(|l| l.len() + 1).sum();
    Ok((events, offset + bytes as u64))
}

fn parse(line: &[u8]) -> Result<Entry, StoreError> {
    serde_json::from_slice(line).map_err(|e| StoreError::Damaged {
        file: layout::JOURNAL.to_owned(),
        what: format!("a line is no entry ({e})"),
        remedy: "cmw-doctor",
    })
}

/// The entry that says that git carried out the movement of `name` to `new`.
fn outcome<'a>(behind: &'a [Entry], name: &str, new: &str) -> Option<&'a Entry> {
    behind.iter().find(|entry| match entry {
        Entry::Observed { name: n, new: v, .. } => n == name && v == new,
        Entry::Intent { .. } => false,
    })
}

/// The event of the intent at the front, when git carried it out under a lease.
fn verified(entries: &[Entry]) -> Option<Event> {
    let Entry::Intent { token, name, new, files, outside, by, .. } = entries.first()? else { return None };
    if *token == 0 {
        return None;
    }
    outcome(&entries[1..], name, new)?;
    let passed = outside.is_empty();
    Some(Event::CommitVerified {
        lock_id: lock_id(*token),
        holder: by.clone(),
        branch: name.clone(),
        commit: new.clone(),
        verification_status: if passed { Verification::Passed } else { Verification::Failed },
        files: files.clone(),
        outside: outside.clone(),
    })
}

/// Every entry, oldest first.
///
/// # Errors
/// [`StoreError`]; damage when a whole line is no entry.
pub fn read_all<D: Disk>(disk: &D) -> Result<Vec<Entry>, StoreError> {
    lines::read_from(disk, layout::JOURNAL, 0)?.0.iter().map(|line| parse(line)).collect()
}
