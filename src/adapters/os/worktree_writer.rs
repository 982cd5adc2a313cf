//! Writes files into a work tree that is in use: follows no link out of it, replaces only the file that was
//! examined, and writes each file completely or not at all.
//!
//! Invariants (each has a test of the same name):
//! * `no_link_leads_out`
//! * `what_changed_is_not_replaced`
//!
//! Limitations: `openat2` (Linux 5.6). Nothing is synced: the content has its source in the repository, and
//! can be written again.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// The prefix of temporary files.
const TEMPORARY: &str = ".cmw-rescue-";
/// How many names are tried for one copy.
const COPIES_MAX: usize = 1_000;
/// The longest name of a file, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// The identity and state of a file that was examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    dev: u64,
    ino: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    #[expect(clippy::useless_conversion, reason = "the types differ between machines")]
    fn of(stat: &Stat) -> Self {
        let ns = |ns| i64::try_from(ns).unwrap_or(0);
        Self {
            dev: u64::from(stat.st_dev),
            ino: u64::from(stat.st_ino),
            size: i64::from(stat.st_size),
            modified: (i64::from(stat.st_mtime), ns(stat.st_mtime_nsec)),
            changed: (i64::from(stat.st_ctime), ns(stat.st_ctime_nsec)),
        }
    }
}

/// What kind of file a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathState {
    /// It does not exist.
    Nothing,
    /// It cannot exist: this parent path is not a directory, or is a link.
    Blocked(Vec<u8>),
    /// A file.
    File {
        /// Its identity.
        seen: FileStamp,
        /// Whether its owner may execute it.
        runs: bool,
    },
    /// A symbolic link.
    Link {
        /// Its identity.
        seen: FileStamp,
        /// Its target.
        target: Vec<u8>,
    },
    /// A directory.
    Directory,
    /// A FIFO, a socket, a device.
    Other,
}

impl PathState {
    /// Returns the identity of a file or link.
    #[must_use]
    pub fn seen(&self) -> Option<FileStamp> {
        match self {
            Self::File { seen, .. } | Self::Link { seen, .. } => Some(*seen),
            Self::Nothing | Self::Blocked(_) | Self::Directory | Self::Other => None,
        }
    }
}

/// The content to write.
#[derive(Debug)]
pub enum FileContent<'a> {
    /// A file: its bytes, and whether it is executable.
    File(&'a mut File, bool),
    /// A symbolic link to this target.
    Link(&'a [u8]),
}

/// A work tree. Paths are relative to it, as git writes them.
#[derive(Debug)]
pub struct WorktreeWriter {
    root: OwnedFd,
}

/// Splits a path into its directory and its name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Returns every parent path, the topmost first.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| &path[..at])
}

fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

fn changed(path: &[u8]) -> io::Error {
    let text = format!("{} was changed by another process just now", os(path).display());
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}

/// Returns whether a path is valid in a work tree: no part leads elsewhere, or into a git directory.
#[must_use]
pub fn is_sound(path: &[u8]) -> bool {
    let is_bad = |part: &[u8]| {
        matches!(part, b"" | b"." | b"..") || part.eq_ignore_ascii_case(b".git") || part.contains(&0)
    };
    !path.split(|b| *b == b'/').any(is_bad)
}

impl WorktreeWriter {
    /// Opens the root of a work tree.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(root, flags, Mode::empty())? })
    }

    fn dir(&self, dir: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let dir = if dir.is_empty() { b"." } else { dir };
        let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, os(dir), flags, Mode::empty(), resolve)
    }

    /// Examines a path; follows no links in its directories or at its end.
    pub fn inspect(&self, path: &[u8]) -> io::Result<PathState> {
        let (parent, name) = split(path);
        let parent = match self.dir(parent, OFlags::PATH) {
            Ok(parent) => parent,
            Err(Errno::NOENT) => return self.blocked(path),
            Err(Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return self.blocked(path),
            Err(error) => return Err(error.into()),
        };
        let stat = match rustix::fs::statat(&parent, os(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(PathState::Nothing),
            Err(error) => return Err(error.into()),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => PathState::File {
                seen: FileStamp::of(&stat),
                runs: stat.st_mode & Mode::XUSR.as_raw_mode() != 0,
            },
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&parent, os(name), Vec::new())?;
                PathState::Link { seen: FileStamp::of(&stat), target: target.into_bytes() }
            }
            FileType::Directory => PathState::Directory,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => PathState::Other,
        })
    }

    /// Returns the obstacle in the place of a parent directory.
    fn blocked(&self, path: &[u8]) -> io::Result<PathState> {
        for above in above(path) {
            match self.inspect(above)? {
                PathState::Directory => {}
                PathState::Nothing => return Ok(PathState::Nothing),
                PathState::Blocked(_)
                | PathState::File { .. }
                | PathState::Link { .. }
                | PathState::Other => {
                    return Ok(PathState::Blocked(above.to_vec()));
                }
            }
        }
        Ok(PathState::Nothing)
    }

    /// Returns the files below a directory, at any depth, and everything else that is not a directory.
    pub fn files_below(&self, dir: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let mut todo = vec![dir.to_vec()];
        while let Some(dir) = todo.pop() {
            for name in self.names(&dir)? {
                let path = [&dir[..], b"/", &name].concat();
                if self.inspect(&path)? == PathState::Directory { todo.push(path) } else { found.push(path) }
            }
        }
        Ok(found)
    }

    fn names(&self, dir: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let dir = self.dir(dir, OFlags::RDONLY)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(dir)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Removes a file or a link, when it is the one that was examined.
    ///
    /// # Errors
    /// The system's error, or that it changed.
    pub fn remove(&self, path: &[u8], seen: FileStamp) -> io::Result<()> {
        if self.inspect(path)?.seen() != Some(seen) {
            return Err(changed(path));
        }
        let (parent, name) = split(path);
        Ok(rustix::fs::unlinkat(self.dir(parent, OFlags::PATH)?, os(name), AtFlags::empty())?)
    }

    /// Writes a file or a link: over the one that was examined, or to a free path, or in the place of
    /// directories without files. Creates missing parent directories.
    ///
    /// # Errors
    /// The system's error, or that the existing file changed.
    pub fn write(&self, path: &[u8], over: Option<FileStamp>, content: FileContent<'_>) -> io::Result<()> {
        let (parent, name) = split(path);
        let dir = self.make_dir(parent)?;
        let temporary = temporary(&dir, content)?;
        let placed = self.place(&dir, &temporary, path, name, over);
        placed.inspect_err(|_| forget(&dir, &temporary))
    }

    fn place(
        &self,
        dir: &OwnedFd,
        temporary: &str,
        path: &[u8],
        name: &[u8],
        over: Option<FileStamp>,
    ) -> io::Result<()> {
        let there = self.inspect(path)?;
        if there == PathState::Directory && over.is_none() {
            self.remove_empty(path)?;
        } else if there.seen() != over {
            return Err(changed(path));
        }
        if over.is_some() {
            return Ok(rustix::fs::renameat(dir, temporary, dir, os(name))?);
        }
        match rustix::fs::renameat_with(dir, temporary, dir, os(name), RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => Err(changed(path)),
            result => Ok(result?),
        }
    }

    /// Writes a copy beside a path, under a free name: `NAME.rescued`, `NAME.rescued-2`; in the nearest
    /// existing directory. Returns its path. An identical existing copy is reused.
    pub fn write_beside(&self, path: &[u8], content: FileContent<'_>) -> io::Result<Vec<u8>> {
        let is_dir = |dir: &&[u8]| self.dir(dir, OFlags::PATH).is_ok();
        let parent = above(path).take_while(is_dir).last().unwrap_or_default();
        let rest = if parent.is_empty() { path } else { &path[parent.len() + 1..] };
        let stem: Vec<u8> = rest.iter().map(|b| if *b == b'/' { b'-' } else { *b }).collect();
        let dir = self.dir(parent, OFlags::PATH)?;
        let temporary = temporary(&dir, content)?;
        let in_parent = |name: &[u8]| match parent {
            b"" => name.to_vec(),
            parent => [parent, b"/", name].concat(),
        };
        for n in 1..=COPIES_MAX {
            let suffix = if n == 1 { ".rescued".to_owned() } else { format!(".rescued-{n}") };
            let stem = &stem[..stem.len().min(NAME_BYTES_MAX - suffix.len())];
            let name = [stem, suffix.as_bytes()].concat();
            let renamed =
                rustix::fs::renameat_with(&dir, &temporary, &dir, os(&name), RenameFlags::NOREPLACE);
            match renamed {
                Ok(()) => return Ok(in_parent(&name)),
                Err(Errno::EXIST) if is_same(&dir, &temporary, &name) => {
                    forget(&dir, &temporary);
                    return Ok(in_parent(&name));
                }
                Err(Errno::EXIST) => {}
                Err(error) => {
                    forget(&dir, &temporary);
                    return Err(error.into());
                }
            }
        }
        forget(&dir, &temporary);
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "a thousand copies of it already exist"))
    }

    fn make_dir(&self, dir: &[u8]) -> io::Result<OwnedFd> {
        for dir in above(dir).chain([dir]).filter(|dir| !dir.is_empty()) {
            let (parent, name) = split(dir);
            let mode = Mode::from_raw_mode(0o777);
            match rustix::fs::mkdirat(self.dir(parent, OFlags::PATH)?, os(name), mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.dir(dir, OFlags::PATH)?)
    }

    /// Removes a directory that has only directories in it.
    fn remove_empty(&self, dir: &[u8]) -> io::Result<()> {
        for name in self.names(dir)? {
            self.remove_empty(&[dir, b"/", &name].concat())?;
        }
        let (parent, name) = split(dir);
        Ok(rustix::fs::unlinkat(self.dir(parent, OFlags::PATH)?, os(name), AtFlags::REMOVEDIR)?)
    }
}

/// Writes a new temporary file or link; returns its name in the directory.
fn temporary(dir: &OwnedFd, content: FileContent<'_>) -> io::Result<String> {
    let mut random = [0_u8; 16];
    rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())?;
    let name = format!("{TEMPORARY}{:032x}", u128::from_ne_bytes(random));
    match content {
        FileContent::Link(target) => rustix::fs::symlinkat(os(target), dir, &name)?,
        FileContent::File(source, runs) => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            // The umask removes permissions, as with git.
            let mode = Mode::from_raw_mode(if runs { 0o777 } else { 0o666 });
            let mut file = File::from(rustix::fs::openat(dir.as_fd(), &name, flags, mode)?);
            if let Err(error) = io::copy(source, &mut file) {
                forget(dir, &name);
                return Err(error);
            }
        }
    }
    Ok(name)
}

/// Returns whether two files have the same bytes, or two links the same target.
fn is_same(dir: &OwnedFd, one: &str, other: &[u8]) -> bool {
    let target = |name: &OsStr| rustix::fs::readlinkat(dir, name, Vec::new()).ok();
    let link = target(OsStr::new(one));
    if link.is_some() {
        return link == target(os(other));
    }
    let open = |name: &OsStr| -> Option<io::BufReader<File>> {
        // NONBLOCK: opening a FIFO of that name must not block.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty()).ok()?);
        file.metadata().ok()?.is_file().then(|| io::BufReader::new(file))
    };
    let (Some(one), Some(other)) = (open(OsStr::new(one)), open(os(other))) else { return false };
    let len = |file: &io::BufReader<File>| file.get_ref().metadata().map(|meta| meta.len()).ok();
    let bytes = |file: io::BufReader<File>| io::Read::bytes(file).map(Result::ok);
    len(&one) == len(&other) && bytes(one).eq(bytes(other))
}

fn forget(dir: &OwnedFd, name: &str) {
    // A left-over is harmless.
    let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
}

#[cfg(test)]
#[path = "worktree_writer_tests.rs"]
mod tests;
