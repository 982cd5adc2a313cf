//! Reads the registry: by number, by id, forwards, backwards, and as a whole.
//!
//! Readers take no gate while no write is in progress. Every record read is checked: number, digest, chain.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::domain::mail::id::MessageId;
use crate::domain::util::digest::Digest;
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result};
use crate::store::jsonl::{self, LineReader};
use crate::store::mail::registry::CURRENT;
use crate::store::mail::registry::GATE;
use crate::store::mail::registry::Registry;
use crate::store::mail::registry::RegistryTail;
use crate::store::mail::registry::StoredMessage;
use crate::store::mail::registry::index::{self, IndexEntry};
use crate::store::mail::registry::next_line;
use crate::store::mail::registry::segment::Line;
use crate::store::mail::registry::segment::{Header, Segment, closed, damaged};
use crate::store::unsynced;

/// How many index entries are read at a time when going backwards.
const BLOCK: u64 = 256;
/// How many bytes of records are read at a time when going backwards, unless one record is longer.
const BLOCK_BYTES: u64 = 1 << 20;

/// The result of a successful [`Registry::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryReport {
    /// Messages read.
    pub messages: u64,
    /// Files they were in.
    pub segments: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Number of the oldest message in the registry (older ones may be archived).
    pub first_seq: u64,
    /// Number of the last one; 0 when there is none.
    pub last_seq: u64,
    /// The chain value at the end, which an anchor keeps.
    pub head: Digest,
    /// Numbers of messages that are missing between others, the first and the last of each gap.
    pub missing: Vec<(u64, u64)>,
}

/// How often the current segment may be closed during one read before that counts as damage: a slow reader
/// sees it more than once while senders are fast.
const ROLLS_MAX: u32 = 50;

impl<D: Disk> Registry<'_, D> {
    /// Returns the message with this number; `None` when there is none, or when it was archived.
    ///
    /// # Errors
    /// Damage, or the system's error.
    pub fn get(&self, seq: u64) -> Result<Option<StoredMessage>> {
        // The first try may see a roll between two reads; after the second the index is suspect.
        for _ in 0..2 {
            let tail = self.tail()?;
            if seq == 0 || seq > tail.last {
                return Ok(None);
            }
            let Some(segment) = self.locate(&tail, seq)? else { return Ok(None) };
            if let Some(record) = self.look_up(&segment, seq)? {
                return Ok(Some(record));
            }
        }
        let _gate = unsynced::lock(self.disk, GATE, self.wait_ms)?;
        let tail = self.recover_tail()?;
        self.get_below(&tail, seq)
    }

    /// Reads like [`Self::get`], starting from a tail that was read a moment ago.
    pub(crate) fn get_from(&self, tail: &RegistryTail, seq: u64) -> Result<Option<StoredMessage>> {
        if seq >= tail.first
            && let Some(segment) = self.locate(tail, seq)?
            && let Some(record) = self.look_up(&segment, seq)?
        {
            return Ok(Some(record));
        }
        self.get(seq)
    }

    /// Returns the record by its index entry, if that can be trusted.
    fn look_up(&self, segment: &Segment, seq: u64) -> Result<Option<StoredMessage>> {
        let found = index::read(self.disk, segment.first, seq, seq);
        match found.doing("read", &index::path(segment.first))?.pop() {
            Some(entry) => self.read_at(segment, &entry),
            None => Ok(None),
        }
    }

    /// Reads like [`Self::get`], rebuilding the index when it is wrong; under the gate.
    pub(crate) fn get_below(&self, tail: &RegistryTail, seq: u64) -> Result<Option<StoredMessage>> {
        let Some(segment) = self.locate(tail, seq)? else { return Ok(None) };
        for _ in 0..2 {
            if let Some(record) = self.look_up(&segment, seq)? {
                return Ok(Some(record));
            }
            self.whole(&segment)?;
        }
        Err(damaged(&segment.path, format!("record {seq} cannot be read")))
    }

    fn locate(&self, tail: &RegistryTail, seq: u64) -> Result<Option<Segment>> {
        if seq >= tail.first {
            return Ok((seq <= tail.last).then(|| Segment::current(tail.first)));
        }
        Ok(closed(self.disk)?.into_iter().find(|s| s.first <= seq && s.last >= Some(seq)))
    }

    /// Returns the record that an index entry points to; `None` when it is not there.
    fn read_at(&self, segment: &Segment, entry: &IndexEntry) -> Result<Option<StoredMessage>> {
        let len = entry.len as usize + 1;
        let bytes = self.disk.read_at(&segment.path, entry.offset, len).doing("read", &segment.path)?;
        Ok(bytes.strip_suffix(b"\n").and_then(|line| record(line, entry.seq)))
    }

    /// Returns the message with this id.
    ///
    /// # Errors
    /// Damage, a held gate, or the system's error.
    pub fn find(&self, id: MessageId) -> Result<Option<StoredMessage>> {
        let seq = {
            let _gate = unsynced::lock(self.disk, GATE, self.wait_ms)?;
            let tail = self.recover_tail()?;
            self.find_many(&tail, [id].into_iter(), 0)?.get(&id).copied()
        };
        seq.map_or(Ok(None), |seq| self.get(seq))
    }

    /// Returns the numbers of those ids that are in the registry after `floor_seq`; under the gate.
    pub(crate) fn find_many(
        &self,
        tail: &RegistryTail,
        ids: impl Iterator<Item = MessageId>,
        floor_seq: u64,
    ) -> Result<BTreeMap<MessageId, u64>> {
        let mut wanted: BTreeMap<[u8; 16], MessageId> = ids.map(|id| (id.to_bytes(), id)).collect();
        let mut found = BTreeMap::new();
        let mut segments = vec![(Segment::current(tail.first), tail.last)];
        if floor_seq + 1 < tail.first {
            segments
                .extend(closed(self.disk)?.into_iter().rev().filter_map(|s| s.last.map(|last| (s, last))));
        }
        for (segment, last) in segments {
            let from = segment.first.max(floor_seq + 1);
            // A current segment may still be empty.
            if wanted.is_empty() || last < from {
                continue;
            }
            for entry in self.entries(&segment, from, last)? {
                if let Some(id) = wanted.remove(&entry.id) {
                    found.insert(id, entry.seq);
                }
            }
        }
        Ok(found)
    }

    /// Returns all these entries, rebuilding the index when one is missing; under the gate.
    fn entries(&self, segment: &Segment, from: u64, last: u64) -> Result<Vec<IndexEntry>> {
        let path = index::path(segment.first);
        for _ in 0..2 {
            let entries = index::read(self.disk, segment.first, from, last).doing("read", &path)?;
            if entries.len() as u64 == last + 1 - from {
                return Ok(entries);
            }
            self.whole(segment)?;
        }
        Err(damaged(&segment.path, format!("records {from} to {last} are not all there")))
    }

    /// Calls `f` with each message from number `from` on, in order, until it breaks.
    ///
    /// # Errors
    /// Damage, or the system's error; the error of `f`.
    pub fn scan(
        &self,
        from: u64,
        f: &mut dyn FnMut(&StoredMessage) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let tail = self.tail()?;
        self.scan_to(&tail, from, f)
    }

    /// Scans like [`Self::scan`], up to this tail.
    pub(crate) fn scan_to(
        &self,
        tail: &RegistryTail,
        from: u64,
        f: &mut dyn FnMut(&StoredMessage) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut next = from.max(1);
        let mut prev = None;
        let mut moved = 0;
        while next <= tail.last {
            let now = if moved == 0 { tail.clone() } else { self.tail()? };
            let segment = match self.locate(&now, next)? {
                Some(segment) => segment,
                // Messages before the oldest segment were archived.
                None => match closed(self.disk)?.into_iter().find(|s| s.first > next) {
                    Some(segment) => segment,
                    None => Segment::current(now.first),
                },
            };
            if next < segment.first {
                (next, prev) = (segment.first, None);
            }
            let end = if segment.last.is_none() { now.len } else { u64::MAX };
            match self.scan_segment(&segment, end, (&mut next, &mut prev), tail.last, f) {
                Ok(ControlFlow::Break(())) => return Ok(()),
                // A segment may have more than the tail covers: it was closed after more had come.
                Ok(ControlFlow::Continue(())) if segment.last.is_none_or(|l| next > l.min(tail.last)) => {}
                Ok(ControlFlow::Continue(())) => {
                    return Err(damaged(&segment.path, format!("record {next} is missing")));
                }
                Err(error) if moved >= ROLLS_MAX || !self.was_rolled(&segment)? => return Err(error),
                Err(_) => {}
            }
            // A current segment that ended early was closed during the read: read again.
            if next <= tail.last && segment.last.is_none() {
                moved += 1;
                if moved > ROLLS_MAX {
                    return Err(damaged(&segment.path, format!("record {next} is missing")));
                }
            }
        }
        Ok(())
    }

    fn was_rolled(&self, segment: &Segment) -> Result<bool> {
        let now = Header::read(self.disk, CURRENT)?;
        Ok(segment.last.is_none() && now.is_none_or(|(header, _)| header.first_seq != segment.first))
    }

    fn scan_segment(
        &self,
        segment: &Segment,
        end: u64,
        (next, prev): (&mut u64, &mut Option<Digest>),
        last: u64,
        f: &mut dyn FnMut(&StoredMessage) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let path = &segment.path;
        let missing = || damaged(path, "it is missing".to_owned());
        let (header, header_len) = Header::read(self.disk, path)?.ok_or_else(missing)?;
        if header.first_seq != segment.first {
            return Err(damaged(path, format!("it starts with number {}", header.first_seq)));
        }
        let found = index::read(self.disk, segment.first, *next, *next);
        let entry = found.doing("read", &index::path(segment.first))?.pop();
        let trusted = match &entry {
            Some(entry) => self.read_at(segment, entry)?.is_some(),
            None => false,
        };
        let (offset, mut seq) = match entry.filter(|_| trusted) {
            Some(entry) => (entry.offset, *next),
            None => (header_len, segment.first),
        };
        let mut lines = LineReader::new(self.disk, path, offset, end);
        while *next <= last
            && let Some(jsonl::Line { at: offset, bytes, .. }) = lines.next()?
        {
            let line = next_line(path, offset, bytes, seq, prev.filter(|_| seq == *next))?;
            seq += 1;
            if line.seq < *next {
                continue;
            }
            let at = |what: String| damaged(path, format!("at byte {offset}: {what}"));
            let record = StoredMessage {
                envelope: line.envelope().map_err(at)?,
                prev: line.prev,
                chain: line.chain(),
            };
            (*next, *prev) = (seq, Some(record.chain));
            if f(&record)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Calls `f` with each message whose stored text contains `needle`, newest first, until it breaks. Every
    /// text contains an empty needle.
    ///
    /// # Errors
    /// Damage, a held gate, or the system's error; the error of `f`.
    pub fn scan_back(
        &self,
        needle: &str,
        f: &mut dyn FnMut(&StoredMessage) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut last = self.tail()?.last;
        while last > 0 {
            // The gate is held only while entries are read: a roll or a rebuild of the index waits.
            let (segment, entries) = {
                let _gate = unsynced::lock(self.disk, GATE, self.wait_ms)?;
                let tail = self.recover_tail()?;
                let Some(segment) = self.locate(&tail, last)? else { return Ok(()) };
                let from = segment.first.max(last.saturating_sub(BLOCK - 1));
                let entries = self.entries(&segment, from, last)?;
                (segment, entries)
            };
            let end = |e: &IndexEntry| e.offset + u64::from(e.len) + 1;
            let (Some(newest), first_seq) = (entries.last(), segment.first) else { return Ok(()) };
            let near = |e: &&IndexEntry| end(newest) - e.offset <= BLOCK_BYTES || e.seq == last;
            let oldest = entries.iter().find(near).unwrap_or(newest);
            let len = usize::try_from(end(newest) - oldest.offset).unwrap_or(usize::MAX);
            let bytes = self.disk.read_at(&segment.path, oldest.offset, len).doing("read", &segment.path)?;
            for entry in entries.iter().rev().take_while(|e| e.seq >= oldest.seq) {
                let from = usize::try_from(entry.offset - oldest.offset).unwrap_or(usize::MAX);
                let line = bytes.get(from..from.saturating_add(entry.len as usize)).unwrap_or_default();
                if !lacks(line, entry.seq, needle) {
                    // A roll in between moved the file: lookup by number still finds the record.
                    let found =
                        record(line, entry.seq).map_or_else(|| self.get(entry.seq), |r| Ok(Some(r)))?;
                    if let Some(record) = found
                        && f(&record)?.is_break()
                    {
                        return Ok(());
                    }
                }
            }
            last = oldest.seq.max(first_seq) - 1;
        }
        Ok(())
    }

    /// Reads everything and checks each digest, each number and the whole chain.
    ///
    /// # Errors
    /// The first damage, with its place.
    pub fn verify(&self) -> Result<RegistryReport> {
        let _gate = unsynced::lock(self.disk, GATE, self.wait_ms)?;
        let tail = self.recover_tail()?;
        let mut out = RegistryReport {
            messages: 0,
            segments: 0,
            bytes: 0,
            first_seq: 0,
            last_seq: tail.last,
            head: Digest::ZERO,
            missing: Vec::new(),
        };
        let mut before: Option<(u64, Digest)> = None;
        for segment in closed(self.disk)?.into_iter().chain([Segment::current(tail.first)]) {
            let path = &segment.path;
            let missing = || damaged(path, "it is missing".to_owned());
            let (header, header_len) = Header::read(self.disk, path)?.ok_or_else(missing)?;
            let expected = before.map_or((header.first_seq, header.prev), |(last, head)| (last + 1, head));
            let is_gap = header.first_seq > expected.0 && header.first_seq == segment.first;
            if is_gap {
                out.missing.push((expected.0, header.first_seq - 1));
            } else if (header.first_seq, header.prev) != expected || (header.first_seq != segment.first) {
                let what = format!("it does not follow record {} before it", expected.0 - 1);
                return Err(damaged(path, what));
            }
            let (mut seq, mut head) = (segment.first - 1, header.prev);
            let size = self.disk.size(path).doing("read", path)?.unwrap_or(0);
            let mut lines = LineReader::new(self.disk, path, header_len, size);
            while let Some(jsonl::Line { at: offset, bytes, .. }) = lines.next()? {
                let line = next_line(path, offset, bytes, seq + 1, Some(head))?;
                (seq, head) = (line.seq, line.chain());
                out.messages += 1;
            }
            if lines.offset() != size || segment.last.is_some_and(|last| last != seq) {
                return Err(damaged(path, format!("it ends after record {seq}")));
            }
            out.bytes += size;
            out.segments += 1;
            out.first_seq = if out.first_seq == 0 { segment.first } else { out.first_seq };
            out.head = head;
            before = Some((seq, head));
        }
        Ok(out)
    }
}

/// Returns whether these bytes are record `seq` and do not contain the needle. After a roll the bytes may be
/// those of another record, which say nothing about this one.
pub(crate) fn lacks(line: &[u8], seq: u64, needle: &str) -> bool {
    let is_it = line.starts_with(format!("{{\"seq\":{seq},").as_bytes());
    is_it && std::str::from_utf8(line).is_ok_and(|text| !text.contains(needle))
}

fn record(line: &[u8], seq: u64) -> Option<StoredMessage> {
    let line = Line::parse(line).ok().filter(|line| line.seq == seq)?;
    Some(StoredMessage { envelope: line.envelope().ok()?, prev: line.prev, chain: line.chain() })
}
