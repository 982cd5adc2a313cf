//! Texts of work items, `cmw/bodies/`: each under its SHA-256, so that the state stays small.
//!
//! A text is synced before the state that refers to it is published: a crash leaves at most one unused text.
//! Invariants (each has a test of the same name):
//! * `the_same_text_is_one_file`
//! * `a_text_that_was_changed_is_damage`
//! * `a_task_that_is_known_has_its_text` (in `tests/soak/store/crash/tasks.rs`)

use crate::domain::util::digest::Digest;
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};
use crate::store::{layout, unsynced};

/// Longest text, in bytes: that of a message.
pub const BODY_BYTES_MAX: usize = crate::domain::mail::message::BODY_BYTES_MAX;

/// How long a command waits for the lock around writing, in milliseconds.
const WAIT_MS: u64 = 5_000;

fn file(digest: &str) -> String {
    format!("{}/{digest}", layout::BODIES)
}

/// Stores a text; returns its digest.
///
/// # Errors
/// [`StoreError::Busy`], or the system's error.
pub fn keep<D: Disk>(disk: &D, text: &str) -> Result<String> {
    let digest = Digest::of(text.as_bytes()).to_string();
    let path = file(&digest);
    // Two writers of the same text would remove each other's file.
    let _lock = unsynced::lock(disk, layout::BODIES_LOCK, WAIT_MS)?;
    let there = disk.read(&path, BODY_BYTES_MAX as u64);
    if !there.is_ok_and(|there| there.as_deref() == Some(text.as_bytes())) {
        let tmp = format!("{path}.tmp");
        unsynced::with_dir(disk, &tmp, || {
            disk.remove(&tmp)?;
            disk.create_new(&tmp, text.as_bytes())?;
            disk.sync(&tmp)?;
            disk.rename(&tmp, &path)
        })
        .doing("write", &path)?;
    }
    // Also when it existed: its writer may have been killed before the name was synced.
    disk.sync_dir(layout::BODIES).doing("sync", layout::BODIES)?;
    Ok(digest)
}

/// Reads the text of this digest.
///
/// # Errors
/// [`StoreError::Damaged`] when it is missing or was changed, or the system's error.
pub fn read<D: Disk>(disk: &D, digest: &str) -> Result<String> {
    let path = file(digest);
    let damaged = |what: &str| StoreError::Damaged {
        file: path.clone(),
        what: what.to_owned(),
        remedy: "cmw-work list",
    };
    if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(damaged("its name is not a digest"));
    }
    let bytes = disk.read(&path, BODY_BYTES_MAX as u64).doing("read", &path)?;
    let bytes = bytes.ok_or_else(|| damaged("the text of this task is missing"))?;
    if Digest::of(&bytes).to_string() != digest {
        return Err(damaged("the text of this task was changed"));
    }
    String::from_utf8(bytes).map_err(|_| damaged("the text of this task is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::RealDisk;

    #[test]
    fn the_same_text_is_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let first = keep(&disk, "a\u{1b}b\n").unwrap();
        assert_eq!(keep(&disk, "a\u{1b}b\n").unwrap(), first);
        assert_ne!(keep(&disk, "").unwrap(), first);
        assert_eq!(disk.list(layout::BODIES).unwrap().len(), 2);
        assert_eq!(read(&disk, &first).unwrap(), "a\u{1b}b\n");
        // A file left by a killed writer does not matter.
        let next = Digest::of(b"c").to_string();
        disk.create_new(&format!("{}.tmp", file(&next)), b"half").unwrap();
        assert_eq!(keep(&disk, "c").unwrap(), next);
    }

    #[test]
    fn a_text_that_was_changed_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let digest = keep(&disk, "text").unwrap();
        disk.write_at(&file(&digest), 0, b"T").unwrap();
        assert!(matches!(read(&disk, &digest), Err(StoreError::Damaged { .. })));
        assert_eq!(keep(&disk, "text").unwrap(), digest, "who writes it again mends it");
        assert_eq!(read(&disk, &digest).unwrap(), "text");
        for wrong in ["", "../../HEAD", &"0".repeat(64)] {
            assert!(matches!(read(&disk, wrong), Err(StoreError::Damaged { .. })), "{wrong}");
        }
    }
}
