//! Stale lock files of killed git processes, which block all later commands: finds those that no living
//! process can hold, and removes them.
//!
//! In doubt a lock counts as held: the lock of a running git is never removed.
//!
//! Invariants (tests of the same name in `tests/fast/git/stale_locks.rs`):
//! * `a_lock_of_a_living_git_is_never_removed`
//! * `what_changed_since_it_was_looked_at_stays`
//!
//! Limitations: processes of other machines and in other containers are not seen, so the minimum age of a
//! lock should be long where a repository is shared with some. Whether a process started before a lock is
//! decided by the wall clock, since files have no other.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::adapters::os::clock;
use crate::adapters::os::process;

use crate::adapters::git::Repo;

/// A lock file that no living process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleLock {
    /// Its path.
    pub path: PathBuf,
    /// Its age, in milliseconds.
    pub age_ms: u64,
    identity: FileIdentity,
}

/// The identity of a file, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileIdentity {
    dev: u64,
    ino: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl FileIdentity {
    fn of(meta: &Metadata) -> Self {
        let (modified_s, modified_ns) = (meta.mtime(), meta.mtime_nsec());
        Self { dev: meta.dev(), ino: meta.ino(), modified_s, modified_ns }
    }

    fn modified_ms(&self) -> i64 {
        self.modified_s.saturating_mul(1_000).saturating_add(self.modified_ns / 1_000_000)
    }
}

/// The files that git locks in a git directory, other than refs. Other locks may belong to other programs.
const NAMES: [&str; 8] = [
    "index.lock",
    "config.lock",
    "config.worktree.lock",
    "packed-refs.lock",
    "shallow.lock",
    "gc.pid.lock",
    "MERGE_RR.lock",
    "AUTO_MERGE.lock",
];

/// How many milliseconds a lock may seem older than its process: the clocks are read in turn.
const SLACK_MS: i64 = 2_000;

/// The length of a clock tick of `/proc/<pid>/stat`, in milliseconds: the same on all known machines.
const TICK_MS: u64 = 10;

/// A git process in this repository, and when it started by the wall clock.
struct RunningGit {
    began_ms: i64,
}

/// What is known of all processes.
#[derive(Default)]
struct RunningProcesses {
    gits: Vec<RunningGit>,
    /// Device and inode of each file that one of them has open.
    open: BTreeSet<(u64, u64)>,
}

impl Repo {
    /// Returns the lock files of this repository that are at least `age_ms_min` old and that no living
    /// process holds. Directories in such a place are pins, and are left out.
    #[must_use]
    pub fn stale_locks(&self, age_ms_min: u64) -> Vec<StaleLock> {
        let mut found = self.lock_files();
        found.retain(|lock| lock.age_ms >= age_ms_min);
        if found.is_empty() {
            return found;
        }
        let Some(living) = self.running_processes() else { return Vec::new() };
        found.retain(|lock| {
            let is_open = living.open.contains(&(lock.identity.dev, lock.identity.ino));
            let could_own = |git: &RunningGit| git.began_ms <= lock.identity.modified_ms() + SLACK_MS;
            !is_open && !living.gits.iter().any(could_own)
        });
        found
    }

    /// Removes a lock, when it is still the file that was found.
    ///
    /// # Errors
    /// The system's error; also when it was replaced by another lock. Then nothing was removed. A lock that
    /// no longer exists is no error.
    pub fn remove_stale(&self, lock: &StaleLock) -> io::Result<()> {
        let or_gone =
            |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
        let meta = match lock.path.symlink_metadata() {
            Ok(meta) => meta,
            Err(error) => return or_gone(error),
        };
        if !meta.is_file() || FileIdentity::of(&meta) != lock.identity {
            let text = format!("{} was replaced by another lock", lock.path.display());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
        }
        std::fs::remove_file(&lock.path).or_else(or_gone)
    }

    fn lock_files(&self) -> Vec<StaleLock> {
        let mut git_dirs = vec![self.git_dir.clone(), self.common_dir.clone()];
        let linked = std::fs::read_dir(self.common_dir.join("worktrees"));
        git_dirs.extend(linked.into_iter().flatten().flatten().map(|entry| entry.path()));
        let mut paths = BTreeSet::new();
        for dir in git_dirs {
            paths.extend(entries(&dir).filter(|path| is_gits(path)));
            paths.extend(entries(&dir.join("reftable")).filter(|path| is_lock(path)));
            let refs = walkdir::WalkDir::new(dir.join("refs")).into_iter().flatten();
            paths.extend(refs.map(walkdir::DirEntry::into_path).filter(|path| is_lock(path)));
        }
        let me = rustix::process::geteuid().as_raw();
        let found = paths.into_iter().filter_map(|path| {
            let meta = path.symlink_metadata().ok().filter(|meta| meta.is_file() && meta.uid() == me)?;
            let age = clock::age(meta.modified().ok()?);
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            Some(StaleLock { path, age_ms, identity: FileIdentity::of(&meta) })
        });
        found.collect()
    }

    /// Returns all processes of this user; `None` when one of them cannot be examined.
    fn running_processes(&self) -> Option<RunningProcesses> {
        let mut places = vec![self.git_dir.clone(), self.common_dir.clone()];
        places.extend(self.work_tree.clone());
        places.extend(self.work_trees().ok()?.into_iter().map(|path| path.canonicalize().unwrap_or(path)));
        let me = rustix::process::geteuid().as_raw();
        let now = clock::now();
        let mut living = RunningProcesses::default();
        for entry in std::fs::read_dir("/proc").ok()? {
            let Some(pid) = entry.ok()?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let Some(stat) = process::stat(pid).filter(|stat| !stat.zombie) else { continue };
            match is_working_here(pid, me, &places, &mut living.open) {
                Ok(false) => {}
                Ok(true) => {
                    let lived_ms = now.boot.ms.saturating_sub(stat.start_ticks.saturating_mul(TICK_MS));
                    let began_ms = now.wall.0.saturating_sub(i64::try_from(lived_ms).unwrap_or(i64::MAX));
                    living.gits.push(RunningGit { began_ms });
                }
                // It has ended in the meantime, or is ending: its files are closed before its directory
                // disappears.
                Err(error) if is_gone(&error) || process::stat(pid).is_none_or(|stat| stat.zombie) => {}
                Err(_) => return None,
            }
        }
        Some(living)
    }
}

/// Returns whether a process is a git in one of these directories; adds its open files.
fn is_working_here(
    pid: u32,
    me: u32,
    places: &[PathBuf],
    open: &mut BTreeSet<(u64, u64)>,
) -> io::Result<bool> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    if std::fs::metadata(&proc)?.uid() != me {
        return Ok(false);
    }
    for entry in std::fs::read_dir(proc.join("fd"))? {
        // A file that was closed in the meantime is not open.
        let Ok(meta) = entry.and_then(|entry| std::fs::metadata(entry.path())) else { continue };
        if meta.is_file() {
            open.insert((meta.dev(), meta.ino()));
        }
    }
    let name = std::fs::read(proc.join("comm"))?;
    let program = std::fs::read_link(proc.join("exe")).unwrap_or_default();
    let program = program.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let is_git = |name: &[u8]| name == b"git" || name.starts_with(b"git-") || name.starts_with(b"git ");
    if !is_git(name.trim_ascii_end()) && !is_git(program) {
        return Ok(false);
    }
    let mut at = std::fs::read_link(proc.join("cwd"))?;
    let is_here = |path: &Path| {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        places.iter().any(|place| whole.starts_with(place))
    };
    if is_here(&at) {
        return Ok(true);
    }
    let environment = std::fs::read(proc.join("environ"))?;
    for variable in environment.split(|b| *b == 0) {
        let Some(equals) = variable.iter().position(|b| *b == b'=') else { continue };
        let value = OsStr::from_bytes(&variable[equals + 1..]);
        if variable.starts_with(b"GIT_") && is_here(&at.join(value)) {
            return Ok(true);
        }
    }
    // Each -C is relative to the previous one; any other word may be a path, or end in one.
    let start = at.clone();
    for word in process::command_line(pid) {
        let value = word.iter().position(|b| *b == b'=').map_or(&word[..], |equals| &word[equals + 1..]);
        for value in [&word[..], value] {
            let value = OsStr::from_bytes(value);
            if is_here(&at.join(value)) || is_here(&start.join(value)) {
                return Ok(true);
            }
        }
        if at.join(OsStr::from_bytes(&word)).is_dir() {
            at.push(OsStr::from_bytes(&word));
        }
    }
    Ok(false)
}

/// Returns whether an error means that the process has ended, or no longer has a directory.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_lock(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b".lock")
}

/// Returns whether it is one of git's own locks in a git directory: a known name, a name like HEAD, or the
/// index of a partial commit.
fn is_gits(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return false };
    let Some(stem) = name.strip_suffix(".lock") else { return false };
    let is_head = stem.ends_with("HEAD") && stem.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    NAMES.contains(&name) || is_head || stem.starts_with("next-index-")
}
