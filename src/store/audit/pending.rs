//! What the ref journal records and no publish has ingested yet.

use crate::domain::audit::growth;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::state::State;
use crate::store::audit::ingest::violation_found;
use crate::store::audit::journal::READ_BYTES_MAX;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::{jsonl, layout};

/// Applies the violations that the journal records from a byte offset on and no publish has ingested yet: what
/// a check has found counts at once, for every program. A journal that cannot be read adds nothing.
pub fn apply_violations<D: Disk>(disk: &D, offset: u64, state: &mut State) {
    let bytes = disk.read_at(layout::JOURNAL, offset, READ_BYTES_MAX).unwrap_or_default();
    for line in bytes.split(|b| *b == b'\n').filter(|line| line.windows(STRAYED.len()).any(|w| w == STRAYED))
    {
        if let Ok(JournalEntry::Strayed { at, by, cause, refs }) = serde_json::from_slice(line) {
            let mut event = violation_found(&cause, &refs);
            growth::number(state, &mut event);
            evolve(state, &Event::Audit(event), at, &by);
        }
    }
}

/// Part of each line that records a violation.
const STRAYED: &[u8] = b"\"kind\":\"strayed\"";

/// Reads the entries from a byte offset on.
///
/// # Errors
/// [`StoreError::Io`].
pub fn entries<D: Disk>(disk: &D, offset: u64) -> Result<Vec<JournalEntry>, StoreError> {
    let read = disk.read_at(layout::JOURNAL, offset, READ_BYTES_MAX);
    let bytes = read.map_err(|e| StoreError::io("read", layout::JOURNAL, e))?;
    Ok(bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Counts the violations recorded from a byte offset on.
///
/// # Errors
/// [`StoreError::Io`].
pub fn violation_count<D: Disk>(disk: &D, offset: u64) -> Result<usize, StoreError> {
    let (lines, _) = jsonl::read_from(disk, layout::JOURNAL, offset)?;
    let entries = lines.iter().filter_map(|line| serde_json::from_slice(line).ok());
    Ok(entries.filter(|entry| matches!(entry, JournalEntry::Strayed { .. })).count())
}
