//! Append-only files of JSON lines: torn tails are repaired, damaged lines are kept.
//!
//! A tail without a line end was never acknowledged: the next append cuts it. A bad line *with* a line end is
//! damage: nothing is cut, and the file is not appended to.

use crate::store::disk::Disk;
use crate::store::error::StoreError;

/// Longest line in bytes, its line end included.
pub const LINE_BYTES_MAX: usize = 2 << 20;

/// How many bytes are read at a time.
const CHUNK: usize = 256 << 10;
/// How far the end of a line that is too long is looked for, in bytes, holes not counted.
const SKIPPED_BYTES_MAX: usize = 256 << 20;

/// Where an append begins: the length of the file up to its last line end, and that last line.
#[derive(Debug, PartialEq, Eq)]
pub struct FileTail {
    /// Bytes up to and including the last line end.
    pub whole: u64,
    /// Bytes after it: the torn tail.
    pub torn: u64,
    /// The last whole line, without its end; `None` in an empty file.
    pub last: Option<Vec<u8>>,
}

/// Reads the end of a file.
///
/// # Errors
/// [`StoreError`]; damage when a line is longer than [`LINE_BYTES_MAX`].
pub fn tail<D: Disk>(disk: &D, file: &str) -> Result<FileTail, StoreError> {
    let size = disk.size(file).map_err(|e| StoreError::io("look at", file, e))?.unwrap_or(0);
    let mut chunk = 8 << 10;
    loop {
        let start = size.saturating_sub(chunk as u64);
        let bytes = disk.read_at(file, start, chunk).map_err(|e| StoreError::io("read", file, e))?;
        if let Some(tail) = split(&bytes, start) {
            return Ok(tail);
        }
        if chunk > 2 * LINE_BYTES_MAX {
            let what = format!("its last line is longer than {LINE_BYTES_MAX} bytes");
            return Err(StoreError::Damaged { file: file.to_owned(), what, remedy: "cmw-doctor --fix" });
        }
        chunk *= 8;
    }
}

/// Splits off the tail of a file whose last bytes, from `start` on, are given; `None`: more bytes are needed.
fn split(bytes: &[u8], start: u64) -> Option<FileTail> {
    let Some(end) = bytes.iter().rposition(|b| *b == b'\n') else {
        return (start == 0).then_some(FileTail { whole: 0, torn: bytes.len() as u64, last: None });
    };
    let begin = match bytes[..end].iter().rposition(|b| *b == b'\n') {
        Some(before) => before + 1,
        None if start == 0 => 0,
        None => return None,
    };
    let torn = (bytes.len() - end - 1) as u64;
    Some(FileTail { whole: start + end as u64 + 1, torn, last: Some(bytes[begin..end].to_vec()) })
}

/// Cuts a torn tail, if there is one.
///
/// # Errors
/// [`StoreError::Io`].
pub fn repair<D: Disk>(disk: &D, file: &str, tail: &FileTail) -> Result<(), StoreError> {
    if tail.torn == 0 {
        return Ok(());
    }
    disk.truncate(file, tail.whole).map_err(|e| StoreError::io("repair", file, e))
}

/// A whole line of a file, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The byte at which it begins.
    pub at: u64,
    /// Its bytes; none when it is too long.
    pub bytes: &'a [u8],
    /// Whether it is longer than [`LINE_BYTES_MAX`]: then it is not one of ours.
    pub is_too_long: bool,
}

/// Reads the whole lines of a file between two offsets, in chunks, whatever the file contains: of a line that is
/// too long nothing is kept, and holes of a sparse file are jumped over.
#[derive(Debug)]
pub struct LineReader<'d, D> {
    disk: &'d D,
    path: String,
    /// Offset of the next line.
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Index of the next line in the buffer.
    start: usize,
}

impl<'d, D: Disk> LineReader<'d, D> {
    /// Reads nothing yet.
    pub fn new(disk: &'d D, path: &str, from: u64, end: u64) -> Self {
        Self { disk, path: path.to_owned(), next: from, end, buffer: Vec::new(), start: 0 }
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// When the length of the file cannot be read.
    pub fn whole(disk: &'d D, path: &str) -> Result<Self, StoreError> {
        let size = disk.size(path).map_err(|e| StoreError::io("look at", path, e))?.unwrap_or(0);
        Ok(Self::new(disk, path, 0, size))
    }

    /// Returns the offset of the next line: after the last one, the end of the whole lines.
    pub fn offset(&self) -> u64 {
        self.next
    }

    /// Returns the next line; `None` at the end, and before a torn line.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    #[expect(clippy::should_implement_trait, reason = "a line is lent, and reading it can fail")]
    pub fn next(&mut self) -> Result<Option<Line<'_>>, StoreError> {
        let mut searched = 0;
        let length = loop {
            let rest = &self.buffer[self.start..];
            if let Some(found) = rest[searched..].iter().position(|b| *b == b'\n') {
                break searched + found;
            }
            searched = rest.len();
            if searched > LINE_BYTES_MAX {
                return self.skip_long_line(searched);
            }
            let chunk = self.chunk(self.next + searched as u64)?;
            if chunk.is_empty() {
                return Ok(None);
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer.extend_from_slice(&chunk);
        };
        let (at, from) = (self.next, self.start);
        self.next += length as u64 + 1;
        self.start += length + 1;
        Ok(Some(Line { at, bytes: &self.buffer[from..from + length], is_too_long: false }))
    }

    fn chunk(&self, at: u64) -> Result<Vec<u8>, StoreError> {
        let want = usize::try_from(self.end.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
        self.disk.read_at(&self.path, at, want).map_err(|e| StoreError::io("read", &self.path, e))
    }

    /// Finds the end of a line of which so much has been read.
    fn skip_long_line(&mut self, searched: usize) -> Result<Option<Line<'_>>, StoreError> {
        let (line, mut at) = (self.next, self.next + searched as u64);
        (self.buffer, self.start) = (Vec::new(), 0);
        for _ in 0..SKIPPED_BYTES_MAX / CHUNK {
            at = self.disk.next_data(&self.path, at).map_err(|e| StoreError::io("read", &self.path, e))?;
            let chunk = self.chunk(at)?;
            if chunk.is_empty() {
                break;
            }
            if let Some(end) = chunk.iter().position(|b| *b == b'\n') {
                self.next = at + end as u64 + 1;
                return Ok(Some(Line { at: line, bytes: &[], is_too_long: true }));
            }
            at += chunk.len() as u64;
        }
        self.end = line;
        Ok(None)
    }
}

/// Reads all whole lines from a byte offset on; returns them and the offset after the last. A torn tail is
/// left out, and a line that is too long is empty.
pub fn read_from<D: Disk>(disk: &D, file: &str, offset: u64) -> Result<(Vec<Vec<u8>>, u64), StoreError> {
    let size = disk.size(file).map_err(|e| StoreError::io("look at", file, e))?.unwrap_or(0);
    let mut reader = LineReader::new(disk, file, offset, size);
    let mut lines = Vec::new();
    while let Some(line) = reader.next()? {
        lines.push(line.bytes.to_vec());
    }
    Ok((lines, reader.offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whatever_stands_between_them() {
        let dir = tempfile::tempdir().unwrap();
        let disk = crate::store::disk::RealDisk::open(dir.path()).unwrap();
        let write = |text: &str| {
            disk.remove("f").unwrap();
            disk.append("f", text.as_bytes()).unwrap();
        };
        let lines = || {
            let mut reader = LineReader::whole(&disk, "f").unwrap();
            let mut found = Vec::new();
            while let Some(line) = reader.next().unwrap() {
                found.push((line.at, String::from_utf8(line.bytes.to_vec()).unwrap()));
            }
            (found, reader.offset())
        };
        let line = |at: u64, text: &str| (at, text.to_owned());
        write("a\n\nbc\ntorn");
        assert_eq!(lines(), (vec![line(0, "a"), line(2, ""), line(3, "bc")], 6));
        write(&format!("a\n{}\nb\n", "x".repeat(9 << 20)));
        assert_eq!(lines(), (vec![line(0, "a"), line(2, ""), line((9 << 20) + 3, "b")], (9 << 20) + 5));
        // A line of eight gigabytes of nothing.
        write("a\n");
        disk.truncate("f", 8 << 30).unwrap();
        assert_eq!(lines(), (vec![line(0, "a")], 2));
        disk.write_at("f", 8 << 30, b"x\nb\n").unwrap();
        assert_eq!(lines(), (vec![line(0, "a"), line(2, ""), line((8 << 30) + 2, "b")], (8 << 30) + 4));
    }

    #[test]
    fn the_tail_of_every_shape_of_file() {
        let last = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(split(b"", 0), Some(FileTail { whole: 0, torn: 0, last: None }));
        assert_eq!(split(b"ab", 0), Some(FileTail { whole: 0, torn: 2, last: None }));
        assert_eq!(split(b"ab\n", 0), Some(FileTail { whole: 3, torn: 0, last: last("ab") }));
        assert_eq!(split(b"ab\ncd\ne", 0), Some(FileTail { whole: 6, torn: 1, last: last("cd") }));
        assert_eq!(split(b"b\nc", 7), None);
        assert_eq!(split(b"\nb\n", 7), Some(FileTail { whole: 10, torn: 0, last: last("b") }));
    }
}
