//! The message registry: the append-only, chained record of every message (docs/decisions.md D7).
//!
//! The commit point of a send is one append and one fdatasync. Everything except the segments (index, tail,
//! claim) is soft: verified on use, rebuilt from the segments, and trusted only in the boot that wrote it,
//! because a power cut may keep a soft record and lose the bytes that it describes.
//!
//! Invariants (each has a test of the same name, here or in `tests/soak/mail/crash.rs`):
//! * `numbers_are_gapless_and_the_chain_verifies`
//! * `a_torn_tail_is_cut_and_a_bad_line_is_damage`
//! * `a_damaged_index_is_rebuilt`
//! * `the_same_id_is_the_same_send`
//! * `a_segment_is_rolled_and_a_missing_current_one_is_made_again`
//! * `a_failed_sync_is_reported_and_never_taken_for_durable`
//!
//! Limitations: where a file system persists the later pages of an unsynced append and loses earlier ones,
//! the line with the hole is damage, although its send was never acknowledged.

mod index;
mod read;
mod salvage;
mod segment;
mod sync;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::{Envelope, SealedMessage};
use crate::domain::util::digest::Digest;
use crate::domain::util::time::BootId;
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};
use crate::store::jsonl::{self, LineReader};
use crate::store::mail::registry::index::IndexEntry;
use crate::store::mail::registry::segment::{Header, Line, Segment, damaged};
use crate::store::unsynced;

pub use crate::store::mail::registry::segment::CURRENT;

/// The gate around every write to the registry.
const GATE: &str = "cmw/registry.lock";
/// Soft: the length of the current segment, and its last record.
const TAIL: &str = "cmw/registry/tail";
/// A header that is about to become the current segment.
const NEXT: &str = "cmw/registry/next";
/// The size at which a segment is closed, in bytes.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// How long a command waits for a gate, in milliseconds.
const WAIT_MS: u64 = 5_000;

/// The registry of one repository.
#[derive(Debug)]
pub struct Registry<'d, D> {
    disk: &'d D,
    boot: BootId,
    segment_bytes: u64,
    /// How long it waits for its gate, in milliseconds.
    wait_ms: u64,
    #[cfg(feature = "seeded-faults")]
    keep_torn_tails: bool,
}

/// A message as the registry has it, with its position in the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// The message.
    pub envelope: Envelope,
    /// The chain value before it.
    pub prev: Digest,
    /// The chain value after it.
    pub chain: Digest,
}

/// The end of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegistryTail {
    boot: BootId,
    /// First number of the current segment.
    first: u64,
    /// Length of the current segment in bytes, complete lines only; 0 without one.
    len: u64,
    /// Number of the last record; `first - 1` while there is none in this segment.
    pub(crate) last: u64,
    /// The chain value after it.
    pub(crate) chain: Digest,
}

impl RegistryTail {
    /// Returns how many records the current segment has.
    fn count(&self) -> u64 {
        self.last + 1 - self.first
    }
}

impl<'d, D: Disk> Registry<'d, D> {
    /// Returns the registry on this disk; reads and creates nothing yet.
    ///
    /// `boot` is the running boot: soft records of another one are not trusted.
    #[must_use]
    pub fn new(disk: &'d D, boot: BootId) -> Self {
        Self {
            disk,
            boot,
            segment_bytes: SEGMENT_BYTES,
            wait_ms: WAIT_MS,
            #[cfg(feature = "seeded-faults")]
            keep_torn_tails: false,
        }
    }

    /// Sets another size at which segments are closed.
    #[must_use]
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Sets another time after which a gate that stays held is an error, in milliseconds.
    #[must_use]
    pub fn with_wait(mut self, ms: u64) -> Self {
        self.wait_ms = ms;
        self
    }

    /// Seeds a fault: torn tails are not repaired.
    #[cfg(feature = "seeded-faults")]
    #[must_use]
    pub fn with_torn_tails_kept(mut self) -> Self {
        self.keep_torn_tails = true;
        self
    }

    pub(crate) fn disk(&self) -> &'d D {
        self.disk
    }

    pub(crate) fn boot(&self) -> &BootId {
        &self.boot
    }

    /// Appends messages in one write and returns their numbers once they are synced.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`]: nothing was appended. [`StoreError::Unconfirmed`]: it may be there or not.
    /// Damage and a held gate: nothing was appended.
    pub fn append(&self, sealed: &[SealedMessage]) -> Result<Vec<u64>> {
        let fresh: Vec<&SealedMessage> = sealed.iter().collect();
        let (before, after) = {
            let _gate = unsynced::lock(self.disk, GATE, self.wait_ms)?;
            let tail = self.ready_to_append()?;
            (tail.last, self.append_locked(tail, &fresh)?)
        };
        self.make_durable(&after)?;
        Ok((before + 1..=after.last).collect())
    }

    /// Appends those messages whose id is not yet there after record `floor_seq` (0: anywhere), and returns
    /// the numbers of all: the outbox and `--id` may repeat a send.
    ///
    /// # Errors
    /// As [`Registry::append`]; [`StoreError::IdTaken`] when an id is there with different content: then
    /// nothing was appended.
    pub fn append_once(&self, sealed: &[SealedMessage], floor_seq: u64) -> Result<Vec<u64>> {
        let (seqs, after) = {
            let _gate = unsynced::lock(self.disk, GATE, self.wait_ms)?;
            let tail = self.ready_to_append()?;
            let mut known: HashMap<MessageId, (u64, Digest)> = HashMap::new();
            for (id, seq) in self.find_many(&tail, sealed.iter().map(|s| s.draft().id), floor_seq)? {
                let record = self.get_below(&tail, seq)?.ok_or_else(|| {
                    damaged(CURRENT, format!("record {seq} is in the index but not in the registry"))
                })?;
                known.insert(id, (seq, record.envelope.sha256));
            }
            let (mut seqs, mut fresh) = (Vec::new(), Vec::new());
            for one in sealed {
                let next = (tail.last + 1 + fresh.len() as u64, one.sha256());
                let (seq, sha256) = *known.entry(one.draft().id).or_insert_with(|| {
                    fresh.push(one);
                    next
                });
                if sha256 != one.sha256() {
                    return Err(StoreError::IdTaken { id: one.draft().id, seq });
                }
                seqs.push(seq);
            }
            (seqs, self.append_locked(tail, &fresh)?)
        };
        // Earlier bytes may never have been synced, by a sender that died.
        self.make_durable(&after)?;
        Ok(seqs)
    }

    /// Returns the number of the last message; 0 when there is none.
    ///
    /// # Errors
    /// Damage, a held gate, or the system's error.
    pub fn last_seq(&self) -> Result<u64> {
        Ok(self.tail()?.last)
    }

    fn ready_to_append(&self) -> Result<RegistryTail> {
        let tail = self.recover_tail()?;
        self.recover_failed_sync(&tail)?;
        if tail.len >= self.segment_bytes && tail.count() > 0 { self.roll(&tail) } else { Ok(tail) }
    }

    /// Appends after [`Self::ready_to_append`]; under the gate.
    fn append_locked(&self, mut tail: RegistryTail, fresh: &[&SealedMessage]) -> Result<RegistryTail> {
        if fresh.is_empty() {
            return Ok(tail);
        }
        let (mut bytes, mut entries) = (Vec::new(), Vec::with_capacity(fresh.len()));
        for sealed in fresh {
            let (seq, from) = (tail.last + 1, bytes.len());
            segment::push_line(&mut bytes, seq, tail.chain, sealed);
            let offset = tail.len + from as u64;
            entries.push(IndexEntry::new(seq, sealed.draft().id, offset, bytes.len() - from - 1));
            tail.chain = tail.chain.link(seq, &sealed.sha256());
            tail.last = seq;
        }
        self.disk
            .append(CURRENT, &bytes)
            .map_err(|source| StoreError::NotWritten { file: CURRENT.to_owned(), source })?;
        tail.len += bytes.len() as u64;
        // The messages are appended; a later command updates an index or a tail that lags behind.
        let _ = index::write(self.disk, tail.first, &entries);
        let _ = unsynced::write(self.disk, TAIL, &tail);
        Ok(tail)
    }

    /// Returns the tail, when the soft record matches the segment exactly: two reads, no lock.
    pub(crate) fn peek(&self) -> Result<Option<RegistryTail>> {
        let Some(tail) = self.remembered()? else { return Ok(None) };
        let end = self.disk.read_at(CURRENT, tail.len - 1, 2).doing("read", CURRENT)?;
        Ok((end == b"\n").then_some(tail))
    }

    fn remembered(&self) -> Result<Option<RegistryTail>> {
        let tail: Option<RegistryTail> = unsynced::read(self.disk, TAIL)?;
        Ok(tail.filter(|t| t.boot == self.boot && !t.boot.0.is_empty() && t.len > 0 && t.last + 1 >= t.first))
    }

    /// Returns the tail for a reader: without the gate when no write is in progress.
    pub(crate) fn tail(&self) -> Result<RegistryTail> {
        if let Some(tail) = self.peek()? {
            return Ok(tail);
        }
        let missing = self.disk.size(CURRENT).doing("read", CURRENT)?.is_none();
        if missing && segment::closed(self.disk)?.is_empty() && self.claim()?.is_none() {
            return Ok(RegistryTail {
                boot: self.boot.clone(),
                first: 1,
                len: 0,
                last: 0,
                chain: Digest::ZERO,
            });
        }
        match (unsynced::lock(self.disk, GATE, self.wait_ms), self.remembered()?) {
            (Ok(_gate), _) => self.recover_tail(),
            // A stopped writer holds the gate: the records before it are readable all the same.
            (Err(StoreError::Busy { .. }), Some(tail)) => Ok(tail),
            (Err(error), _) => Err(error),
        }
    }

    /// Updates index and tail from the segment, and cuts a torn tail; under the gate.
    fn recover_tail(&self) -> Result<RegistryTail> {
        let indexed = |tail: &RegistryTail| -> Result<bool> {
            let path = index::path(tail.first);
            let size = self.disk.size(&path).doing("read", &path)?.unwrap_or(0);
            Ok(size == tail.count() * index::ENTRY_BYTES)
        };
        if let Some(tail) = self.peek()?
            && indexed(&tail)?
        {
            return Ok(tail);
        }
        let Some((header, header_len)) = Header::read(self.disk, CURRENT)? else { return self.recreate() };
        let mut start = RegistryTail {
            boot: self.boot.clone(),
            first: header.first_seq,
            len: header_len,
            last: header.first_seq - 1,
            chain: header.prev,
        };
        let mut behind = false;
        if let Some(tail) = self.remembered()?
            && tail.first == start.first
            && indexed(&tail)?
            && self.disk.read_at(CURRENT, tail.len - 1, 1).doing("read", CURRENT)? == b"\n"
        {
            (start, behind) = (tail, true);
        }
        let size = self.disk.size(CURRENT).doing("read", CURRENT)?.unwrap_or(0);
        let first = start.first;
        let (tail, entries) = self.follow(CURRENT, start, size)?;
        // In the same boot what was written once is there.
        if let Some(noted) = self.remembered()?
            && noted.first == first
            && noted.last > tail.last
        {
            let what = format!("messages {} to {} are gone from its end", tail.last + 1, noted.last);
            return Err(damaged(CURRENT, what));
        }
        if size > tail.len && self.repairs_tails() {
            self.disk.truncate(CURRENT, tail.len).doing("cut the torn tail of", CURRENT)?;
        }
        let write = if behind { index::write } else { index::replace };
        write(self.disk, tail.first, &entries).doing("write", &index::path(tail.first))?;
        unsynced::write(self.disk, TAIL, &tail)?;
        Ok(tail)
    }

    #[cfg(feature = "seeded-faults")]
    fn repairs_tails(&self) -> bool {
        !self.keep_torn_tails
    }

    #[cfg(not(feature = "seeded-faults"))]
    #[expect(clippy::unused_self, reason = "only the seeded fault uses the flag")]
    fn repairs_tails(&self) -> bool {
        true
    }

    /// Follows the complete lines of a segment from a known position, checking number, digest and chain.
    fn follow(
        &self,
        path: &str,
        mut tail: RegistryTail,
        end: u64,
    ) -> Result<(RegistryTail, Vec<IndexEntry>)> {
        let mut lines = LineReader::new(self.disk, path, tail.len, end);
        let mut entries = Vec::new();
        while let Some(jsonl::Line { at: offset, bytes, .. }) = lines.next()? {
            let line = next_line(path, offset, bytes, tail.last + 1, Some(tail.chain))?;
            let id = line.id().map_err(|what| damaged(path, format!("at byte {offset}: {what}")))?;
            entries.push(IndexEntry::new(line.seq, id, offset, bytes.len()));
            (tail.last, tail.chain) = (line.seq, line.chain());
        }
        tail.len = lines.offset();
        if end.saturating_sub(tail.len) > jsonl::LINE_BYTES_MAX as u64 {
            let what =
                format!("the line at byte {} is longer than {} bytes", tail.len, jsonl::LINE_BYTES_MAX);
            return Err(damaged(path, what));
        }
        Ok((tail, entries))
    }

    /// Closes the current segment and starts the next one; a crash is safe after each step.
    fn roll(&self, tail: &RegistryTail) -> Result<RegistryTail> {
        let closed = Segment::closed(tail.first, tail.last).path;
        self.disk.sync(CURRENT).doing("sync", CURRENT)?;
        self.disk.rename_new(CURRENT, &closed).doing("close the segment", CURRENT)?;
        // Without this the new name could reach the disk alone, and replace the old segment there.
        self.disk.sync_dir("").doing("sync", ".")?;
        self.start_segment(tail.last + 1, tail.chain)
    }

    /// Recreates a missing current segment: either nothing was ever sent, or a roll was interrupted.
    fn recreate(&self) -> Result<RegistryTail> {
        let last = segment::closed(self.disk)?.pop();
        let (first, chain) = match &last {
            None => (1, Digest::ZERO),
            Some(segment) => {
                let tail = self.whole(segment)?;
                (tail.last + 1, tail.chain)
            }
        };
        if self.claim()?.is_some_and(|claim| claim.holds_from(first)) {
            return Err(damaged(CURRENT, format!("it is missing, with the messages from number {first} on")));
        }
        self.start_segment(first, chain)
    }

    fn start_segment(&self, first: u64, chain: Digest) -> Result<RegistryTail> {
        let line = Header::new(first, chain).to_line();
        let create = || {
            let _ = crate::store::damage::clear(self.disk, NEXT);
            self.disk.create_new(NEXT, line.as_bytes())
        };
        unsynced::with_dir(self.disk, NEXT, create).doing("create", NEXT)?;
        self.disk.sync(NEXT).doing("sync", NEXT)?;
        self.disk.rename(NEXT, CURRENT).doing("create", CURRENT)?;
        // Its name is synced with its first message: the claim refers to an older segment.
        let tail =
            RegistryTail { boot: self.boot.clone(), first, len: line.len() as u64, last: first - 1, chain };
        index::replace(self.disk, first, &[]).doing("write", &index::path(first))?;
        unsynced::write(self.disk, TAIL, &tail)?;
        Ok(tail)
    }

    /// Follows a closed segment from its header to its end, and rewrites its index.
    fn whole(&self, segment: &Segment) -> Result<RegistryTail> {
        let path = &segment.path;
        let missing = || damaged(path, "it is missing".to_owned());
        let (header, header_len) = Header::read(self.disk, path)?.ok_or_else(missing)?;
        let start = RegistryTail {
            boot: self.boot.clone(),
            first: header.first_seq,
            len: header_len,
            last: header.first_seq - 1,
            chain: header.prev,
        };
        let size = self.disk.size(path).doing("read", path)?.unwrap_or(0);
        let (tail, entries) = self.follow(path, start, size)?;
        if segment.first != tail.first || segment.last.is_some_and(|last| last != tail.last) {
            let what =
                format!("it holds records {} to {}, which does not match its name", tail.first, tail.last);
            return Err(damaged(path, what));
        }
        index::replace(self.disk, tail.first, &entries).doing("write", &index::path(tail.first))?;
        Ok(tail)
    }
}

/// Parses a line that must be record `seq`, following `prev`.
fn next_line<'a>(
    path: &str,
    offset: u64,
    bytes: &'a [u8],
    seq: u64,
    prev: Option<Digest>,
) -> Result<Line<'a>> {
    let at = |what: String| damaged(path, format!("at byte {offset}: {what}"));
    if bytes.is_empty() {
        return Err(at(format!("not a record: it is empty, or longer than {} bytes", jsonl::LINE_BYTES_MAX)));
    }
    let line = Line::parse(bytes).map_err(|e| at(format!("not a record ({e})")))?;
    if line.seq != seq {
        return Err(at(format!("record {} is in the place of record {seq}", line.seq)));
    }
    if prev.is_some_and(|prev| prev != line.prev) {
        return Err(at(format!("the chain is broken before record {seq}")));
    }
    Ok(line)
}

#[cfg(test)]
mod tests;
