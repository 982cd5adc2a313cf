//! Pins on disk: `<common>/refs/heads/<branch>.lock/` with a README, in the place of git's own lock file. The
//! state says which branches to pin; this module only sets, finds and removes pins.
//!
//! Invariants (tests of the same name below, and in `tests/fast/freeze/pins.rs` with every git):
//! * `a_pin_is_there_as_a_whole_or_not_at_all`: it is assembled elsewhere and moved to its place by a rename
//!   that replaces nothing.
//! * `only_a_pin_of_this_freeze_is_removed`: by its inode or its marker; other obstacles stay.
//!
//! Only for refs that are stored as files. All of it happens under [`lock`], outside the gate.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use crate::domain::freeze::pins::PinId;
use crate::domain::guard::git_ref::{Oid, RefName};
use crate::domain::util::sanitize::ascii_safe_json;

use crate::store::disk::{Disk, RealDisk};
use crate::store::layout;

/// The file in a pin that explains it to people.
const README: &str = "README";
/// The beginning of the line that identifies a pin.
const MARK: &str = "cmw-pin: ";
/// Longer texts are not ours.
const README_BYTES_MAX: u64 = 16 << 10;

/// The owner of a pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinMarker {
    /// Which freeze set it.
    pub freeze: String,
    /// The repository's id.
    pub repository: String,
    /// Git's common directory, as text.
    pub common_dir: String,
    /// The branch.
    pub reference: RefName,
}

/// What occupies the path of a branch's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSlot {
    /// Nothing.
    Free,
    /// A pin of this freeze.
    Pin(PinId),
    /// The directory of a pin, without its README.
    Hollow(PinId),
    /// A file: the lock of a git process, or a left-over of one.
    Git,
    /// Something else, or a pin of another freeze.
    Foreign,
}

/// Acquires the lock that keeps two commands from setting and removing pins at once.
///
/// # Errors
/// `WouldBlock` when another command held it for that long.
pub fn lock(disk: &RealDisk, wait_ms: u64) -> io::Result<<RealDisk as Disk>::Lock> {
    disk.lock(layout::PINS_LOCK, wait_ms)
}

/// Returns the path of a branch's pin.
#[must_use]
pub fn path(disk: &RealDisk, name: &RefName) -> PathBuf {
    let mut bytes = name.to_bytes();
    bytes.extend_from_slice(b".lock");
    disk.path().join(OsStr::from_bytes(&bytes))
}

/// Returns the inode of a directory that may be a pin: the quick check. An inode alone proves little: it is
/// reused.
#[must_use]
pub fn directory(disk: &RealDisk, name: &RefName) -> Option<PinId> {
    let path = path(disk, name);
    identity(&path).filter(|_| path.join(README).symlink_metadata().is_ok_and(|found| found.is_file()))
}

fn identity(path: &Path) -> Option<PinId> {
    let found = path.symlink_metadata().ok()?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    ours.then(|| PinId { dev: found.dev(), ino: found.ino() })
}

/// Examines the path: a pin's marker says that it is of this freeze; the known directory is still a pin when
/// it is empty.
pub fn inspect_slot(
    disk: &RealDisk,
    name: &RefName,
    freeze: &str,
    known: Option<PinId>,
) -> io::Result<PinSlot> {
    let path = path(disk, name);
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if is_absent(&error) => return Ok(PinSlot::Free),
        Err(error) => return Err(error),
    };
    if found.is_file() {
        return Ok(PinSlot::Git);
    }
    let marked = || read_marker(&path).is_some_and(|m| m.freeze == freeze && m.reference == *name);
    Ok(match identity(&path) {
        Some(id) if marked() => PinSlot::Pin(id),
        Some(id) if known == Some(id) && fs::read_dir(&path)?.next().is_none() => PinSlot::Hollow(id),
        Some(_) | None => PinSlot::Foreign,
    })
}

/// Sets a pin: its path must be free.
///
/// # Errors
/// `AlreadyExists` when it is not; otherwise the system's error.
pub fn set(disk: &RealDisk, marker: &PinMarker, text: &str) -> io::Result<PinId> {
    let place = path(disk, &marker.reference);
    step();
    disk.ensure_dir(layout::PINS)?;
    let built = disk.path().join(layout::PINS).join(format!("new-{}", std::process::id()));
    discard(&built)?;
    fs::DirBuilder::new().mode(0o700).create(&built)?;
    step();
    let json = serde_json::to_string(marker).map_err(io::Error::other)?;
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(built.join(README))?;
    file.write_all(format!("{text}\n{MARK}{}\n", ascii_safe_json(&json)).as_bytes())?;
    step();
    if let Some(above) = place.parent() {
        // Git's own mode: git creates and removes these directories as it needs them.
        fs::DirBuilder::new().recursive(true).create(above)?;
    }
    match renameat_with(CWD, &built, CWD, &place, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(errno) => {
            discard(&built)?;
            return Err(errno.into());
        }
    }
    step();
    identity(&place).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Gives a branch that is only in `packed-refs` a file of its own, under its pin, which is git's lock: git
/// before 2.46, when it deletes a branch, rewrites `packed-refs` before it meets the pin.
pub fn unpack(disk: &RealDisk, name: &RefName, oid: &Oid) -> io::Result<()> {
    let place = disk.path().join(OsStr::from_bytes(&name.to_bytes()));
    if !matches!(place.symlink_metadata(), Err(error) if is_absent(&error)) {
        return Ok(());
    }
    disk.ensure_dir(layout::PINS)?;
    let built = disk.path().join(layout::PINS).join(format!("ref-{}", std::process::id()));
    let _ = fs::remove_file(&built);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&built)?;
    file.write_all(format!("{oid}\n").as_bytes())?;
    match renameat_with(CWD, &built, CWD, &place, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(errno) => {
            fs::remove_file(&built)?;
            Err(errno.into())
        }
    }
}

/// Removes a pin that [`inspect_slot`] has found, then the directories that are empty without it. Files that
/// were added to it are kept in `cmw/pins/`.
///
/// # Errors
/// The system's error; also when another directory has replaced it, which stays.
pub fn remove(disk: &RealDisk, name: &RefName, id: PinId) -> io::Result<()> {
    let place = path(disk, name);
    step();
    disk.ensure_dir(layout::PINS)?;
    let away = disk.path().join(layout::PINS).join(format!("gone-{}-{}", id.ino, std::process::id()));
    renameat_with(CWD, &place, CWD, &away, RenameFlags::NOREPLACE)?;
    if identity(&away) != Some(id) {
        renameat_with(CWD, &away, CWD, &place, RenameFlags::NOREPLACE)?;
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another directory took its place"));
    }
    step();
    discard(&away)?;
    step();
    let heads = disk.path().join("refs/heads");
    for dir in place.ancestors().skip(1).take_while(|dir| dir.starts_with(&heads) && **dir != *heads) {
        if fs::remove_dir(dir).is_err() {
            break;
        }
    }
    Ok(())
}

/// Removes the left-overs of a command that was killed while it assembled or dismantled a pin.
pub fn sweep(disk: &RealDisk) {
    let dir = disk.path().join(layout::PINS);
    for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
        // A directory that cannot be removed is not ours, and does no harm.
        let _ = discard(&entry.path());
        if entry.file_name().as_bytes().starts_with(b"ref-") {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_dir(&dir);
}

/// Syncs the names: a pin must not vanish in a power cut.
pub fn sync(disk: &RealDisk) -> io::Result<()> {
    let dir = fs::File::open(disk.path())?;
    Ok(rustix::fs::syncfs(&dir)?)
}

/// Lists the pins of any freeze whose marker says that they are ours, each with its branch: for when no state
/// says what is pinned.
#[must_use]
pub fn marked(disk: &RealDisk, is_ours: &dyn Fn(&PinMarker) -> bool) -> Vec<(RefName, PinId)> {
    let heads = disk.path().join("refs/heads");
    let entries = walkdir::WalkDir::new(heads).into_iter().filter_map(Result::ok);
    let pins = entries.filter_map(|entry| {
        let path = entry.path();
        let name = path.strip_prefix(disk.path()).ok()?.as_os_str().as_bytes().strip_suffix(b".lock")?;
        let (name, id) = (RefName::parse(name).ok()?, identity(path)?);
        let marker = read_marker(path).filter(|marker| marker.reference == name && is_ours(marker))?;
        Some((marker.reference, id))
    });
    pins.collect()
}

fn read_marker(pin: &Path) -> Option<PinMarker> {
    let readme = pin.join(README);
    if !readme.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    fs::File::open(readme).ok()?.take(README_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(text.lines().rev().find_map(|line| line.strip_prefix(MARK))?).ok()
}

/// Removes a pin that was moved out of the way: its README and the directory; it stays when it has other
/// files.
fn discard(pin: &Path) -> io::Result<()> {
    let or_gone = |done: io::Result<()>| match done {
        Err(error) if is_absent(&error) => Ok(()),
        other => other,
    };
    or_gone(fs::remove_file(pin.join(README)))?;
    match fs::remove_dir(pin) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => or_gone(other),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns the common directory as a marker has it.
#[must_use]
pub fn common_dir(disk: &RealDisk) -> String {
    crate::domain::util::path_encoding::to_text(&disk.path().to_owned().into_os_string().into_vec())
}

/// Marks a place where a test kills the process: `CMW_TEST_STOP_AT` counts them.
#[cfg(feature = "seeded-faults")]
pub fn step() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static STEPS: AtomicU32 = AtomicU32::new(0);
    #[expect(clippy::disallowed_methods, reason = "a seeded fault, never in a release build")]
    let stop = std::env::var("CMW_TEST_STOP_AT").ok().and_then(|at| at.parse::<u32>().ok());
    if stop == Some(STEPS.fetch_add(1, Ordering::Relaxed) + 1) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Marks a place where a test kills the process.
#[cfg(not(feature = "seeded-faults"))]
pub fn step() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> (tempfile::TempDir, RealDisk, PinMarker) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("refs/heads")).unwrap();
        fs::create_dir(dir.path().join("cmw")).unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let marker = PinMarker {
            freeze: "F".to_owned(),
            repository: "R".to_owned(),
            common_dir: common_dir(&disk),
            reference: RefName::parse(b"refs/heads/a/\xff").unwrap(),
        };
        (dir, disk, marker)
    }

    #[test]
    fn a_pin_is_there_as_a_whole_or_not_at_all() {
        let (_dir, disk, marker) = scene();
        let name = marker.reference.clone();
        let id = set(&disk, &marker, "why").unwrap();
        assert_eq!(inspect_slot(&disk, &name, "F", None).unwrap(), PinSlot::Pin(id), "by its marker");
        assert_eq!(set(&disk, &marker, "why").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(directory(&disk, &name), Some(id), "what is there is not replaced");
        assert_eq!(disk.list(layout::PINS).unwrap(), [""; 0], "nothing is left of what came too late");
        assert_eq!(marked(&disk, &|m| m.repository == "R"), [(name.clone(), id)]);
        assert_eq!(marked(&disk, &|m| m.repository == "X"), []);
        remove(&disk, &name, id).unwrap();
        assert_eq!(inspect_slot(&disk, &name, "F", Some(id)).unwrap(), PinSlot::Free);
        assert!(!disk.path().join("refs/heads/a").exists(), "nor is its directory");
    }

    #[test]
    fn only_a_pin_of_this_freeze_is_removed() {
        let (_dir, disk, marker) = scene();
        let name = marker.reference.clone();
        let id = set(&disk, &marker, "why").unwrap();
        assert_eq!(inspect_slot(&disk, &name, "G", None).unwrap(), PinSlot::Foreign);
        let other = PinId { ino: id.ino + 1, ..id };
        assert_eq!(inspect_slot(&disk, &name, "G", Some(id)).unwrap(), PinSlot::Foreign, "with any inode");
        assert!(remove(&disk, &name, other).is_err());
        assert_eq!(directory(&disk, &name), Some(id), "it is in its place again");
        // A file that was added to it is kept.
        let path = path(&disk, &name);
        fs::hard_link(path.join(README), path.join("theirs")).unwrap();
        remove(&disk, &name, id).unwrap();
        sweep(&disk);
        let kept = disk.list(layout::PINS).unwrap();
        assert_eq!(disk.list(&format!("{}/{}", layout::PINS, kept[0])).unwrap(), ["theirs"]);
        fs::create_dir_all(&path).unwrap();
        assert_eq!(inspect_slot(&disk, &name, "F", Some(other)).unwrap(), PinSlot::Foreign);
        let hollow = identity(&path).unwrap();
        assert_eq!(inspect_slot(&disk, &name, "F", Some(hollow)).unwrap(), PinSlot::Hollow(hollow));
        fs::remove_dir(&path).unwrap();
        fs::hard_link(disk.path().join(layout::PINS).join(&kept[0]).join("theirs"), &path).unwrap();
        assert_eq!(inspect_slot(&disk, &name, "F", Some(id)).unwrap(), PinSlot::Git);
    }
}
