//! Inspects every file of the state directory for `cmw-doctor`: foreign files, permissions, left-over files,
//! torn tails.
//!
//! Inspection follows no link and changes nothing. Limitations: only the owner can repair a mode.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use crate::domain::util::time::WallTime;
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::{Doing, Result};
use crate::store::gate;
use crate::store::guard::hookdir;
use crate::store::{GATE_WAIT_MS, jsonl, layout};

/// Our directories. Our one file directly in the common directory is found by its name.
const TREES: [&str; 4] = ["cmw", layout::AUDIT, "messages", "locks"];

/// What is wrong with a file or directory in the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// A symbolic link, which cmw never creates.
    Link,
    /// Neither a file nor a directory.
    Special,
    /// It belongs to another user.
    Owner {
        /// The id of that user.
        uid: u32,
    },
    /// Other users could read or change it.
    Mode {
        /// Its permissions.
        mode: u32,
        /// The permissions that it should have.
        wanted: u32,
    },
    /// A temporary file of a process that ended before renaming it.
    LeftOver {
        /// How old it is, in milliseconds.
        age_ms: u64,
    },
    /// It cannot be examined.
    Unreadable {
        /// Why.
        why: String,
    },
}

/// A file or directory with a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The path below git's common directory; must be sanitised before printing.
    pub path: String,
    /// What is wrong.
    pub fault: FileFault,
}

/// Examines every file and directory of ours below git's common directory.
#[must_use]
pub fn file_problems(disk: &RealDisk, now: WallTime) -> Vec<FileProblem> {
    let root = disk.path();
    let me = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    let trees = TREES.iter().flat_map(|tree| WalkDir::new(root.join(tree)).sort_by_file_name());
    let top =
        WalkDir::new(root).min_depth(1).max_depth(1).into_iter().filter(|entry| {
            entry.as_ref().is_ok_and(|e| e.file_name().to_str().is_some_and(is_ours_at_the_top))
        });
    for entry in trees.chain(top) {
        match entry {
            Ok(entry) => {
                let path = relative(root, entry.path());
                if let Some(fault) = fault_of(&path, &entry, me, now) {
                    found.push(FileProblem { path, fault });
                }
            }
            Err(e) if e.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) => {}
            Err(e) => {
                let path = e.path().map_or_else(String::new, |path| relative(root, path));
                found.push(FileProblem { path, fault: FileFault::Unreadable { why: e.to_string() } });
            }
        }
    }
    found
}

fn is_ours_at_the_top(name: &str) -> bool {
    (name.starts_with("message-registry") && name.ends_with(".json"))
        || name.starts_with(layout::REGISTRY_VIEW)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

fn fault_of(path: &str, entry: &DirEntry, me: u32, now: WallTime) -> Option<FileFault> {
    if is_evidence(path) {
        return None;
    }
    let kind = entry.file_type();
    if kind.is_symlink() {
        return Some(FileFault::Link);
    }
    if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
        return Some(FileFault::Special);
    }
    let found = match entry.metadata() {
        Ok(found) => found,
        Err(e) if e.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) => return None,
        Err(e) => return Some(FileFault::Unreadable { why: e.to_string() }),
    };
    if found.uid() != me {
        return Some(FileFault::Owner { uid: found.uid() });
    }
    let mode = found.mode() & 0o777;
    let (wanted, allowed) = match (kind.is_dir(), path.starts_with(hookdir::DIR)) {
        (true, _) => (0o700, 0o700),
        // Programs: git runs them, and other users who may enter the directory may run them too.
        (false, true) => (0o755, 0o755),
        (false, false) => (0o600, 0o600),
    };
    if mode & !allowed != 0 {
        return Some(FileFault::Mode { mode, wanted });
    }
    let written = WallTime(found.mtime().saturating_mul(1_000));
    is_temporary(path).then(|| FileFault::LeftOver { age_ms: now.ms_since(written) })
}

/// Returns whether a path is that of something which was moved aside.
fn is_evidence(path: &str) -> bool {
    [".damaged-", ".displaced-"].iter().any(|mark| path.contains(mark))
}

/// Returns whether a file is one that its writer would have renamed or removed at once.
fn is_temporary(path: &str) -> bool {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let in_mailbox = dir.starts_with("messages/") && dir.ends_with("/tmp");
    let of_hooks = dir == hookdir::DIR && (name.starts_with(".new-") || name.starts_with(".link-"));
    in_mailbox || of_hooks || path.ends_with(".tmp") && !dir.starts_with("messages/")
}

/// Sets the permissions that a file or directory of ours should have.
pub fn repair_mode(disk: &RealDisk, path: &str, mode: u32) -> Result<()> {
    disk.set_mode(path, mode).doing("set the mode of", path)
}

/// Moves aside what is no file or directory of ours; it keeps its content. Returns its new path.
///
/// # Errors
/// The system's error.
pub fn displace(disk: &RealDisk, path: &str, now: WallTime) -> Result<String> {
    let name = format!("{path}.displaced-{}", now.to_string().replace(':', ""));
    disk.rename_new(path, &name).doing("move", path).map(|()| name)
}

/// Removes a left-over temporary file.
pub fn remove_left_over(disk: &RealDisk, path: &str) -> Result<()> {
    if is_temporary(path) { disk.remove(path).doing("remove", path) } else { Ok(()) }
}

/// Lists the append-only files that have a torn tail, each with the length of the tail in bytes.
///
/// # Errors
/// Damage, or the system's error.
pub fn torn_tails<D: Disk>(disk: &D) -> Result<Vec<(String, u64)>> {
    let mut torn = Vec::new();
    for file in appended(disk)? {
        let tail = jsonl::tail(disk, &file)?;
        if tail.torn > 0 {
            torn.push((file, tail.torn));
        }
    }
    Ok(torn)
}

/// Cuts torn tails, which were never acknowledged. Returns the files that were cut.
///
/// # Errors
/// A held gate, or the system's error.
pub fn cut_torn_tails<D: Disk>(disk: &D) -> Result<Vec<String>> {
    let _gate = gate::take(disk, layout::GATE, GATE_WAIT_MS)?;
    let _journal = gate::take(disk, layout::JOURNAL_LOCK, GATE_WAIT_MS)?;
    let mut cut = Vec::new();
    for file in appended(disk)? {
        let tail = jsonl::tail(disk, &file)?;
        jsonl::repair(disk, &file, &tail)?;
        if tail.torn > 0 {
            cut.push(file);
        }
    }
    Ok(cut)
}

fn appended<D: Disk>(disk: &D) -> Result<Vec<String>> {
    let names = disk.list(layout::AUDIT).doing("list", layout::AUDIT)?;
    let is_log = |name: &String| {
        [".log", ".jsonl"].iter().any(|end| name.ends_with(end)) || name == "write-lock-intents.json"
    };
    Ok(names.iter().filter(|name| is_log(name)).map(|name| layout::log(name)).collect())
}

/// Lists the existing lock files.
pub fn lock_files<D: Disk>(disk: &D) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for dir in ["cmw", "cmw/mail"] {
        let names = disk.list(dir).doing("list", dir)?;
        files.extend(names.iter().filter(|n| n.ends_with(".lock")).map(|n| format!("{dir}/{n}")));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_is_not_as_it_should_be_is_found_and_mended() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        for sub in ["cmw/hooks", "audit", "messages/Dev-A/tmp", "locks"] {
            disk.ensure_dir(sub).unwrap();
        }
        let clean =
            ["cmw/state.json", "audit/x.log", "message-registry.json", "HEAD", "cmw/state.json.damaged-1"];
        for file in clean {
            disk.create_new(file, b"x\n").unwrap();
        }
        disk.create_program("cmw/hooks/pre-commit", b"x").unwrap();
        std::fs::set_permissions(dir.path().join("HEAD"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let now = WallTime(std::fs::metadata(dir.path().join("HEAD")).unwrap().mtime() * 1_000);
        assert_eq!(file_problems(&disk, now), []);

        symlink("/etc/passwd", dir.path().join("audit/link")).unwrap();
        let fifo = std::process::Command::new("mkfifo").arg(dir.path().join("locks/fifo")).status().unwrap();
        assert!(fifo.success());
        std::fs::set_permissions(dir.path().join("audit/x.log"), std::fs::Permissions::from_mode(0o640))
            .unwrap();
        std::fs::set_permissions(dir.path().join("messages"), std::fs::Permissions::from_mode(0o755))
            .unwrap();
        for file in ["cmw/state.json.tmp", "messages/Dev-A/tmp/1.json", "instance-registry.json.tmp"] {
            disk.create_new(file, b"").unwrap();
        }
        let found = file_problems(&disk, WallTime(now.0 + 7_200_000));
        let of = |path: &str| found.iter().find(|o| o.path == path).map(|o| o.fault.clone());
        assert_eq!(of("audit/link"), Some(FileFault::Link));
        assert_eq!(of("locks/fifo"), Some(FileFault::Special));
        assert_eq!(of("audit/x.log"), Some(FileFault::Mode { mode: 0o640, wanted: 0o600 }));
        assert_eq!(of("messages"), Some(FileFault::Mode { mode: 0o755, wanted: 0o700 }));
        for file in ["cmw/state.json.tmp", "messages/Dev-A/tmp/1.json", "instance-registry.json.tmp"] {
            assert!(matches!(of(file), Some(FileFault::LeftOver { age_ms: 7_000_000.. })), "{file}");
            remove_left_over(&disk, file).unwrap();
        }
        assert_eq!(found.len(), 7, "{found:?}");
        repair_mode(&disk, "audit/x.log", 0o600).unwrap();
        repair_mode(&disk, "messages", 0o700).unwrap();
        remove_left_over(&disk, "cmw/state.json").unwrap();
        assert!(disk.size("cmw/state.json").unwrap().is_some(), "only temporary files are removed");
        assert_eq!(file_problems(&disk, now).len(), 2);
    }

    #[test]
    fn a_torn_tail_is_seen_and_cut() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        disk.ensure_dir("cmw").unwrap();
        disk.ensure_dir("audit").unwrap();
        disk.append("audit/a.log", b"{}\n{\"to").unwrap();
        disk.append(layout::JOURNAL, b"{}\n").unwrap();
        assert_eq!(torn_tails(&disk).unwrap(), [("audit/a.log".to_owned(), 4)]);
        assert_eq!(cut_torn_tails(&disk).unwrap(), ["audit/a.log"]);
        assert_eq!(disk.read("audit/a.log", 100).unwrap().unwrap(), b"{}\n");
        assert!(torn_tails(&disk).unwrap().is_empty());
        assert_eq!(lock_files(&disk).unwrap(), ["cmw/journal.lock", "cmw/state.lock"]);
    }
}
