//! Append-only files of JSON lines: torn tails are repaired, damaged lines are kept.
//!
//! A tail without a line end was never acknowledged: the next append cuts it. A bad line *with* a line end is
//! damage: nothing is cut, and the file is not appended to.

use crate::store::disk::Disk;
use crate::store::error::StoreError;

/// Longest line in bytes, its line end included.
pub const LINE_BYTES_MAX: usize = 2 << 20;

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
            return Err(StoreError::Damaged { file: file.to_owned(), what, remedy: "cmw-doctor" });
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

/// Reads all whole lines from a byte offset on; returns them and the offset after the last. A torn tail is
/// left out.
pub fn read_from<D: Disk>(disk: &D, file: &str, offset: u64) -> Result<(Vec<Vec<u8>>, u64), StoreError> {
    let size = disk.size(file).map_err(|e| StoreError::io("look at", file, e))?.unwrap_or(0);
    let len = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    if len == 0 {
        return Ok((Vec::new(), offset));
    }
    let bytes = disk.read_at(file, offset, len).map_err(|e| StoreError::io("read", file, e))?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split_inclusive(|b| *b == b'\n').map(|l| l[..l.len() - 1].to_vec()).collect();
    Ok((lines, offset + whole as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

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
