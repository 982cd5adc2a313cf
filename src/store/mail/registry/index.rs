//! The index of a segment: 32 bytes for each record, soft and rebuilt from the segment.
//!
//! Entry `i` of `cmw/registry/<first>.idx` has the offset and the id of record `first + i`. Entries are
//! verified on use, and so is the record that they point to.

use std::io;

use crate::domain::mail::id::MessageId;
use crate::store::disk::Disk;
use crate::store::unsynced;

/// Length of an entry, in bytes.
pub(crate) const ENTRY_BYTES: u64 = 32;

/// The position of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) seq: u64,
    pub(crate) id: [u8; 16],
    pub(crate) offset: u64,
    /// Without the line end.
    pub(crate) len: u32,
}

/// Returns the index file of the segment that starts with this number.
pub(crate) fn path(first: u64) -> String {
    format!("cmw/registry/{first}.idx")
}

impl IndexEntry {
    pub(crate) fn new(seq: u64, id: MessageId, offset: u64, len: usize) -> Self {
        let len = u32::try_from(len).expect("a line is at most 2 MiB");
        Self { seq, id: id.to_bytes(), offset, len }
    }

    fn encode(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out[..16].copy_from_slice(&self.id);
        out[16..24].copy_from_slice(&self.offset.to_le_bytes());
        out[24..28].copy_from_slice(&self.len.to_le_bytes());
        out[28..].copy_from_slice(&self.check().to_le_bytes());
        out
    }

    /// Decodes the entry of record `seq`; `None` when it is torn, missing or of another record.
    pub(crate) fn decode(seq: u64, bytes: &[u8]) -> Option<Self> {
        let entry = Self {
            seq,
            id: bytes.get(..16)?.try_into().ok()?,
            offset: u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?),
            len: u32::from_le_bytes(bytes.get(24..28)?.try_into().ok()?),
        };
        (bytes.get(28..32)? == entry.check().to_le_bytes()).then_some(entry)
    }

    /// Returns the checksum, FNV-1a folded to 32 bits: detects accidents only; not 0 for zeros.
    fn check(&self) -> u32 {
        let numbers = [self.seq.to_le_bytes(), self.offset.to_le_bytes(), u64::from(self.len).to_le_bytes()];
        let bytes = self.id.iter().chain(numbers.iter().flatten());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        u32::try_from((hash ^ hash >> 32) & 0xffff_ffff).expect("32 bits fit")
    }
}

/// Writes entries at the position of the first of them.
pub(crate) fn write(disk: &impl Disk, first: u64, entries: &[IndexEntry]) -> io::Result<()> {
    let Some(start) = entries.first() else { return Ok(()) };
    let bytes: Vec<u8> = entries.iter().flat_map(IndexEntry::encode).collect();
    let path = path(first);
    unsynced::with_dir(disk, &path, || disk.write_at(&path, (start.seq - first) * ENTRY_BYTES, &bytes))
}

/// Replaces the whole index of a segment.
pub(crate) fn replace(disk: &impl Disk, first: u64, entries: &[IndexEntry]) -> io::Result<()> {
    let path = path(first);
    if disk.size(&path)?.is_some() {
        disk.truncate(&path, 0)?;
    }
    write(disk, first, entries)
}

/// Reads the entries of records `from..=to` of a segment, as far as they can be trusted.
pub(crate) fn read(disk: &impl Disk, first: u64, from: u64, to: u64) -> io::Result<Vec<IndexEntry>> {
    let count = usize::try_from(to.saturating_sub(from) + 1).unwrap_or(usize::MAX);
    let bytes = disk.read_at(&path(first), (from - first) * ENTRY_BYTES, count.saturating_mul(32))?;
    let entries = bytes.chunks(32).zip(from..).map_while(|(chunk, seq)| IndexEntry::decode(seq, chunk));
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_entry_is_no_entry() {
        let entry = IndexEntry::new(9, MessageId::from_parts(5, 6), 77, 88);
        let bytes = entry.encode();
        assert_eq!(IndexEntry::decode(9, &bytes), Some(entry));
        assert_eq!(IndexEntry::decode(8, &bytes), None);
        assert_eq!(IndexEntry::decode(9, &bytes[..31]), None);
        assert_eq!(IndexEntry::decode(9, &[0; 32]), None);
        for i in 0..32 {
            let mut torn = bytes;
            torn[i] ^= 1;
            assert_eq!(IndexEntry::decode(9, &torn), None, "{i}");
        }
    }
}
