//! Soft records: small, checksummed, written in place, never synced.
//!
//! A rename over an existing file flushes it on ext4 and costs forty times as much. Readers of a soft record
//! do without it when they must: a torn, lost or outdated one only makes them slower.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::util::digest::Digest;
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};

/// Length of a record on disk, in bytes; one write within one page.
const BYTES: usize = 384;
/// How many digits of the digest precede the JSON.
const SUM: usize = 16;

/// Reads a record; `None` when there is none that can be trusted.
pub(crate) fn read<T: DeserializeOwned>(disk: &impl Disk, path: &str) -> Result<Option<T>> {
    read_sized(disk, path, BYTES)
}

/// Reads a record of another length.
pub(crate) fn read_sized<T: DeserializeOwned>(
    disk: &impl Disk,
    path: &str,
    bytes: usize,
) -> Result<Option<T>> {
    Ok(parse(&disk.read_at(path, 0, bytes).doing("read", path)?))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(bytes).ok()?.trim_end();
    let (sum, json) = text.split_once(' ')?;
    if Digest::of(json.as_bytes()).to_string().get(..SUM) != Some(sum) {
        return None;
    }
    serde_json::from_str(json).ok()
}

/// Writes a record, creating its directory when it is missing.
pub(crate) fn write(disk: &impl Disk, path: &str, record: &impl Serialize) -> Result<()> {
    let fitted = write_sized(disk, path, record, BYTES)?;
    assert!(fitted, "soft records have a fixed size");
    Ok(())
}

/// Writes a record of another length; returns whether it fitted, and writes nothing otherwise.
pub(crate) fn write_sized(
    disk: &impl Disk,
    path: &str,
    record: &impl Serialize,
    bytes: usize,
) -> Result<bool> {
    let json = serde_json::to_string(record).expect("soft records are plain data");
    let json = crate::domain::util::sanitize::ascii_safe_json(&json);
    let sum = Digest::of(json.as_bytes()).to_string();
    let mut line = format!("{} {json}", &sum[..SUM]);
    if line.len() >= bytes {
        return Ok(false);
    }
    line.extend(std::iter::repeat_n(' ', bytes - 1 - line.len()));
    line.push('\n');
    with_dir(disk, path, || disk.write_at(path, 0, line.as_bytes())).doing("write", path)?;
    Ok(true)
}

/// Runs an operation; when a directory is missing, creates it and repeats: the usual case pays nothing.
pub(crate) fn with_dir<T>(disk: &impl Disk, path: &str, try_it: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match (try_it(), path.rsplit_once('/')) {
        (Err(e), Some((dir, _))) if e.kind() == io::ErrorKind::NotFound => {
            disk.ensure_dir(dir)?;
            try_it()
        }
        (result, _) => result,
    }
}

/// Acquires a gate lock, creating its directory when it is missing.
///
/// # Errors
/// [`StoreError::Busy`], or the system's error.
pub(crate) fn lock<D: Disk>(disk: &D, path: &str, wait_ms: u64) -> Result<D::Lock> {
    with_dir(disk, path, || disk.lock(path, wait_ms))
        .map_err(|source| StoreError::lock(path, wait_ms, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::RealDisk;

    #[test]
    fn a_damaged_soft_record_is_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        assert_eq!(read::<u64>(&disk, "a/b").unwrap(), None);
        write(&disk, "a/b", &12_345_u64).unwrap();
        write(&disk, "a/b", &7_u64).unwrap();
        assert_eq!(read::<u64>(&disk, "a/b").unwrap(), Some(7));
        for (offset, byte) in [(0, b"z"), (17, b"8"), (383, b"x"), (20, b"\0")] {
            write(&disk, "a/b", &7_u64).unwrap();
            disk.write_at("a/b", offset, byte).unwrap();
            assert_eq!(read::<u64>(&disk, "a/b").unwrap(), None, "{offset}");
        }
        disk.truncate("a/b", 0).unwrap();
        assert_eq!(read::<u64>(&disk, "a/b").unwrap(), None);
    }
}
