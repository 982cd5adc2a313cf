//! Sets damaged files aside: the evidence is kept under a dated name, and what was whole goes on under the old one
//! (docs/decisions.md D30).
//!
//! A file under its own name is replaced in one step, so that a program that is killed leaves either the damaged
//! file or the whole one.
//!
//! Invariants (`tests/fast/store/damage.rs` for each file and each damage, `tests/soak/store/crash/damage.rs` for a
//! kill at each step): damage stops no freeze, thaw or commit; what was whole is there once, the rest is kept.

use sha2::{Digest, Sha256};

use crate::domain::audit::journal_entry::DamagedFile;
use crate::domain::util::digest::hex;
use crate::domain::util::time::WallTime;
use crate::store::disk::{Disk, OtherOwner};
use crate::store::error::{Doing, Result, StoreError};
use crate::store::jsonl::LineReader;

/// How many records or messages can be missing between two: a number that is further ahead was not given by us.
pub(crate) const GAP_MAX: u64 = 1 << 20;

/// Describes a damaged file before it is set aside. `why`: the fault.
pub(crate) fn examine<D: Disk>(disk: &D, file: &str, why: &str, at: WallTime) -> DamagedFile {
    let name = format!("{file}.damaged-{}", at.to_string().replace(':', ""));
    let is_free = |name: &String| matches!(disk.size(name), Ok(None));
    let others = (2..100).map(|number| format!("{name}-{number}"));
    let size = disk.size(file);
    if let Ok(None) = size {
        return DamagedFile::without_file(file, why, Vec::new());
    }
    let kept = std::iter::once(name.clone()).chain(others).find(is_free).unwrap_or(name);
    // What is no regular file of this user has neither length nor content.
    let bytes = size.ok().flatten().unwrap_or(0);
    let content = disk.read_at(file, 0, DamagedFile::HASHED_BYTES).ok();
    let sha256 = content.map_or_else(String::new, |content| hex(&Sha256::digest(content)));
    DamagedFile { file: file.to_owned(), why: why.to_owned(), kept, bytes, sha256, lost: Vec::new() }
}

/// Returns the file and the fault, if this error says that a file is damaged, or belongs to another user.
pub(crate) fn fault(error: &StoreError) -> Option<(&str, String)> {
    match error {
        StoreError::Damaged { file, what, .. } => Some((file, what.clone())),
        StoreError::Io { file, source, .. } => {
            let inner = source.get_ref().filter(|inner| inner.is::<OtherOwner>());
            inner.map(|inner| (file.as_str(), inner.to_string()))
        }
        StoreError::TooLarge { .. }
        | StoreError::Newer { .. }
        | StoreError::Busy { .. }
        | StoreError::NotInitialised
        | StoreError::NotWritten { .. }
        | StoreError::Unconfirmed { .. }
        | StoreError::IdTaken { .. } => None,
    }
}

/// Gives the file its second name. What cannot have two names is moved there.
fn keep<D: Disk>(disk: &D, damaged: &DamagedFile) -> Result<()> {
    let DamagedFile { file, kept, .. } = damaged;
    match disk.link(file, kept) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(_) => disk.rename_new(file, kept).doing("set aside", file),
    }
}

/// Sets an append-only file aside; its lines up to the damage at its end go on under its name, byte for byte.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn set_end_aside<D: Disk>(disk: &D, damaged: &DamagedFile) -> Result<()> {
    let file = &damaged.file;
    let whole = match LineReader::whole(disk, file) {
        Ok(mut lines) => {
            let mut whole = 0;
            while let Some(line) = lines.next()? {
                let is_too_long = line.is_too_long;
                whole = if is_too_long { whole } else { lines.offset() };
            }
            whole
        }
        Err(error) if fault(&error).is_some() => 0,
        Err(error) => return Err(error),
    };
    replace(disk, damaged, |tmp| {
        disk.create_new(tmp, b"").doing("write", tmp)?;
        let mut at = 0;
        while at < whole {
            let len = usize::try_from(whole - at).unwrap_or(usize::MAX).min(4 << 20);
            let chunk = disk.read_at(file, at, len).doing("read", file)?;
            if chunk.is_empty() {
                break;
            }
            disk.append(tmp, &chunk).doing("write", tmp)?;
            at += chunk.len() as u64;
        }
        Ok(())
    })
}

/// Clears the name of a new file: a left-over is removed, and what cannot be removed is moved aside.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn clear<D: Disk>(disk: &D, tmp: &str) -> Result<()> {
    let Err(error) = disk.remove(tmp) else { return Ok(()) };
    let aside = |number: u32| disk.rename_new(tmp, &format!("{tmp}.displaced-{number}")).is_ok();
    if (1..100).any(aside) { Ok(()) } else { Err(error).doing("remove", tmp) }
}

/// Keeps a damaged file and puts another one in its place, which `write` writes.
///
/// # Errors
/// [`StoreError::Io`], and those of `write`.
pub(crate) fn replace<D: Disk>(
    disk: &D,
    damaged: &DamagedFile,
    write: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let file = &damaged.file;
    let (dir, _) = file.rsplit_once('/').unwrap_or(("", file));
    let tmp = format!("{file}.tmp");
    clear(disk, &tmp)?;
    write(&tmp)?;
    disk.sync(&tmp).doing("sync", &tmp)?;
    if !damaged.kept.is_empty() {
        keep(disk, damaged)?;
    }
    disk.rename(&tmp, file).doing("replace", file)?;
    disk.sync_dir(dir).doing("sync", dir)
}
