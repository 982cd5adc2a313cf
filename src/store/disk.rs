//! The file operations of a state directory, with their fsyncs.
//!
//! All of `store/` reaches the disk through [`Disk`], so that `tests/crash.rs` can stop before each
//! operation, and so that links planted in place of our files are never followed.
//!
//! Invariants (each has a test of the same name):
//! * `create_new_refuses_an_existing_file`
//! * `a_planted_link_is_never_followed`
//! * `an_append_that_fails_half_way_leaves_nothing`
//! * `a_program_can_be_run_whatever_the_umask`
//!
//! Limitations: local Linux file systems; `openat2` (Linux 5.6). NFS is not supported.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};

/// A program file, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramFile {
    /// Whether its owner may execute it.
    pub is_executable: bool,
    /// Its length in bytes.
    pub size: u64,
    /// Device and inode: equal for two names of one file.
    pub file_id: (u64, u64),
}

/// File operations on a state directory. Paths are relative to git's common directory.
///
/// A trait because the crash model is its second implementation.
pub trait Disk {
    /// A held lock; dropping it unlocks.
    type Lock;

    /// Reads the whole file; `None` when it does not exist.
    ///
    /// # Errors
    /// `InvalidData` when it is larger than `max` bytes or not a regular file of this user.
    fn read(&self, path: &str, max: u64) -> io::Result<Option<Vec<u8>>>;

    /// Reads up to `len` bytes from `offset`; fewer at the end of the file, none when it does not exist.
    fn read_at(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Returns the next offset that is in no hole of a sparse file, or the end of the file; the offset itself where
    /// holes are not known.
    fn next_data(&self, _path: &str, offset: u64) -> io::Result<u64> {
        Ok(offset)
    }

    /// Returns the length of a file; `None` when it does not exist.
    fn size(&self, path: &str) -> io::Result<Option<u64>>;

    /// Creates a file with this content; does not sync.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    fn create_new(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Creates an executable like [`Disk::create_new`], with mode 0755 regardless of the umask.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    fn create_program(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Returns what is known of a program without reading it; `None` when it does not exist.
    ///
    /// # Errors
    /// `InvalidData` when it is not a regular file of this user.
    fn program(&self, path: &str) -> io::Result<Option<ProgramFile>>;

    /// Creates a hard link (never a symbolic one).
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Appends in one write, creating the file when it is missing; does not sync. After a short write the
    /// file is cut back to its previous length.
    ///
    /// # Errors
    /// The system's error; then nothing was appended.
    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes in place (for soft state only), creating the file when it is missing; does not sync.
    fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Truncates a file to `len` bytes; does not sync.
    fn truncate(&self, path: &str, len: u64) -> io::Result<()>;

    /// Syncs a file's bytes (fdatasync: length included).
    ///
    /// # Errors
    /// The system's error. After a failed sync a later one may report success although bytes are lost: never
    /// repeat the same sync (see `fsync` under failure in FORMAT.md).
    fn sync(&self, path: &str) -> io::Result<()>;

    /// Syncs a directory, and with it the names in it.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Renames a file, replacing the target.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Renames a file unless the target exists.
    ///
    /// # Errors
    /// `AlreadyExists` when it does.
    fn rename_new(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; no error when it does not exist.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Lists the names in a directory, sorted; empty when it does not exist.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Creates a directory and its parents, with mode 0700.
    ///
    /// # Errors
    /// The system's error; also when the name belongs to something other than a directory.
    fn ensure_dir(&self, dir: &str) -> io::Result<()>;

    /// Acquires the exclusive lock of a lock file. The file is created when missing, and never renamed or
    /// removed.
    ///
    /// # Errors
    /// `WouldBlock` when the lock stayed held for `wait_ms` milliseconds.
    fn lock(&self, path: &str, wait_ms: u64) -> io::Result<Self::Lock>;
}

/// The real disk: everything below one directory, which is opened once.
#[derive(Debug)]
pub struct RealDisk {
    root: OwnedFd,
    path: PathBuf,
    /// The user whose files are accepted; constant while a program runs.
    user: u32,
}

/// An flock that is released explicitly: closing alone would leave it with a child process that is between
/// fork and exec.
#[derive(Debug)]
#[must_use = "dropping it unlocks"]
pub struct FileLock(File);

impl Drop for FileLock {
    fn drop(&mut self) {
        // A failed unlock needs no handling: the kernel unlocks at the last close.
        let _ = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock);
    }
}

impl RealDisk {
    /// Opens git's common directory.
    ///
    /// # Errors
    /// When it is not a directory or cannot be opened.
    pub fn open(common_dir: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let root = rustix::fs::open(common_dir, flags, Mode::empty())?;
        let user = rustix::process::geteuid().as_raw();
        Ok(Self { root, path: common_dir.to_owned(), user })
    }

    /// Returns the path of git's common directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a directory with everything below it; links are removed, never followed. No error when it does
    /// not exist.
    pub fn remove_tree(&self, dir: &str) -> io::Result<()> {
        use rustix::io::Errno;
        for name in self.list(dir)? {
            let path = format!("{dir}/{name}");
            let (above, name) = self.parent(&path)?;
            match rustix::fs::unlinkat(above, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR | Errno::PERM) => self.remove_tree(&path)?,
                Err(errno) => return Err(errno.into()),
            }
        }
        let (above, name) = self.parent(dir)?;
        or_none(rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR).map_err(io::Error::from)).map(|_| ())
    }

    /// Removes a directory if it is empty.
    pub fn remove_empty_dir(&self, dir: &str) -> io::Result<()> {
        use rustix::io::Errno;
        let (above, name) = self.parent(dir)?;
        match rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sets the permissions of a file or directory of this user.
    pub fn set_mode(&self, path: &str, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match self.open_dir(path) {
            Ok(dir) => Ok(rustix::fs::fchmod(dir, mode)?),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                Ok(rustix::fs::fchmod(self.open_file(path, OFlags::RDONLY)?, mode)?)
            }
            Err(e) => Err(e),
        }
    }

    fn open_file(&self, path: &str, flags: OFlags) -> io::Result<File> {
        // NONBLOCK: a FIFO in place of a file must not hang us.
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mode = Mode::from_raw_mode(if flags.contains(OFlags::CREATE) { 0o600 } else { 0 });
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let fd = rustix::fs::openat2(&self.root, path, flags, mode, resolve)
            .map_err(|errno| explain_open(path, errno))?;
        let file = File::from(fd);
        if !flags.contains(OFlags::DIRECTORY) {
            check_ours(path, &file, self.user)?;
        }
        Ok(file)
    }

    fn open_dir(&self, dir: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let dir = if dir.is_empty() { "." } else { dir };
        rustix::fs::openat2(&self.root, dir, flags, Mode::empty(), resolve)
            .map_err(|errno| explain_open(dir, errno))
    }

    fn parent<'a>(&self, path: &'a str) -> io::Result<(OwnedFd, &'a str)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.open_dir(dir)?, name))
    }
}

/// The error for a file that belongs to another user.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OtherOwner(String);

/// Checks that this is a regular file of this user; the error says what it is instead.
fn check_ours(path: &str, file: &File, me: u32) -> io::Result<()> {
    let stat = rustix::fs::fstat(file)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not a regular file")));
    }
    if stat.st_uid != me {
        let text = format!("{path} belongs to user {}, not to you (user {me})", stat.st_uid);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, OtherOwner(text)));
    }
    Ok(())
}

fn explain_open(path: &str, errno: rustix::io::Errno) -> io::Error {
    use rustix::io::Errno;
    match errno {
        Errno::LOOP => io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{path} is a symbolic link, which cmw never creates"),
        ),
        Errno::NXIO => io::Error::new(io::ErrorKind::InvalidData, format!("{path} is not a regular file")),
        other => other.into(),
    }
}

fn or_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

impl Disk for RealDisk {
    type Lock = FileLock;

    fn read(&self, path: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = or_none(self.open_file(path, OFlags::RDONLY))? else { return Ok(None) };
        // Room for all of it and one byte more: then two reads are enough, the second of which finds the end.
        let len = file.metadata()?.len().min(max) + 1;
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        file.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{path} is larger than {max} bytes"),
            ));
        }
        Ok(Some(bytes))
    }

    fn read_at(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let Some(file) = or_none(self.open_file(path, OFlags::RDONLY))? else { return Ok(Vec::new()) };
        let mut bytes = vec![0; len.min(1 << 20)];
        let mut got = 0;
        while got < len {
            if got == bytes.len() {
                bytes.resize(len.min(got * 2), 0);
            }
            match file.read_at(&mut bytes[got..], offset + got as u64) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(got);
        Ok(bytes)
    }

    fn next_data(&self, path: &str, offset: u64) -> io::Result<u64> {
        let file = self.open_file(path, OFlags::RDONLY)?;
        match rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(next) => Ok(next),
            Err(rustix::io::Errno::NXIO) => Ok(file.metadata()?.len()),
            Err(_) => Ok(offset), // Not every file system knows its holes.
        }
    }

    fn size(&self, path: &str) -> io::Result<Option<u64>> {
        let Some(file) = or_none(self.open_file(path, OFlags::RDONLY))? else { return Ok(None) };
        Ok(Some(file.metadata()?.len()))
    }

    fn create_new(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.open_file(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        file.write_all(bytes).inspect_err(|_| {
            // A half-written new file is useless; one that cannot be removed is swept later.
            let _ = self.remove(path);
        })
    }

    fn create_program(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.open_file(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        let written =
            file.write_all(bytes).and_then(|()| Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(0o755))?));
        written.inspect_err(|_| {
            // A half-written new file is useless; one that cannot be removed is swept later.
            let _ = self.remove(path);
        })
    }

    fn program(&self, path: &str) -> io::Result<Option<ProgramFile>> {
        let Some(file) = or_none(self.open_file(path, OFlags::RDONLY))? else { return Ok(None) };
        let metadata = file.metadata()?;
        Ok(Some(ProgramFile {
            is_executable: Mode::from_raw_mode(metadata.mode()).contains(Mode::XUSR),
            size: metadata.len(),
            file_id: (metadata.dev(), metadata.ino()),
        }))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_dir, from), (to_dir, to)) = (self.parent(from)?, self.parent(to)?);
        Ok(rustix::fs::linkat(from_dir.as_fd(), from, to_dir.as_fd(), to, AtFlags::empty())?)
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let mut file = self.open_file(path, flags)?;
        let before = file.metadata()?.len();
        file.write_all(bytes).inspect_err(|_| {
            // If this fails, a torn tail is left, which the next writer repairs.
            let _ = file.set_len(before);
        })
    }

    fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.open_file(path, OFlags::WRONLY | OFlags::CREATE)?.write_all_at(bytes, offset)
    }

    fn truncate(&self, path: &str, len: u64) -> io::Result<()> {
        self.open_file(path, OFlags::WRONLY)?.set_len(len)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        self.open_file(path, OFlags::RDONLY)?.sync_data()
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_dir(dir)?)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_dir, from), (to_dir, to)) = (self.parent(from)?, self.parent(to)?);
        Ok(rustix::fs::renameat(from_dir.as_fd(), from, to_dir.as_fd(), to)?)
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_dir, from), (to_dir, to)) = (self.parent(from)?, self.parent(to)?);
        let flags = RenameFlags::NOREPLACE;
        Ok(rustix::fs::renameat_with(from_dir.as_fd(), from, to_dir.as_fd(), to, flags)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let Some((dir, name)) = or_none(self.parent(path))? else { return Ok(()) };
        or_none(rustix::fs::unlinkat(dir, name, AtFlags::empty()).map_err(io::Error::from)).map(|_| ())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let Some(fd) = or_none(self.open_dir(dir))? else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(fd)? {
            if let Ok(name) = entry?.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn ensure_dir(&self, dir: &str) -> io::Result<()> {
        if self.open_dir(dir).is_ok() {
            return Ok(());
        }
        if let Some((above, _)) = dir.rsplit_once('/') {
            self.ensure_dir(above)?;
        }
        let (above, name) = self.parent(dir)?;
        match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => self.open_dir(dir).map(|_| ()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn lock(&self, path: &str, wait_ms: u64) -> io::Result<FileLock> {
        let file = self.open_file(path, OFlags::RDWR | OFlags::CREATE)?;
        take_flock(file, wait_ms)
    }
}

/// How often a held gate is tried before blocking.
const SPINS: u32 = 50;

/// Acquires an flock by blocking, which is nearly fair where polling starves. A thread does the blocking, so
/// that a gate whose holder is stopped ends in an error and not in a hang.
fn take_flock(file: File, wait_ms: u64) -> io::Result<FileLock> {
    use rustix::fs::{FlockOperation, flock};
    // A gate is held for microseconds: a few tries in a row cost less than the thread below.
    for _ in 0..SPINS {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(FileLock(file));
        }
        std::thread::yield_now();
    }
    let (send, receive) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let taken = loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other,
            }
        };
        // If the receiver has timed out, the value is dropped here, which unlocks.
        let _ = send.send(taken.map(|()| FileLock(file)).map_err(io::Error::from));
    });
    receive.recv_timeout(std::time::Duration::from_millis(wait_ms)).unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::WouldBlock, format!("held for more than {wait_ms} ms")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> (tempfile::TempDir, RealDisk) {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        (dir, disk)
    }

    #[test]
    fn create_new_refuses_an_existing_file() {
        let (_dir, disk) = disk();
        disk.create_new("a", b"one").unwrap();
        assert_eq!(disk.create_new("a", b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.read("a", 10).unwrap().unwrap(), b"one");
        disk.create_new("b", b"two").unwrap();
        assert_eq!(disk.rename_new("b", "a").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_program_can_be_run_whatever_the_umask() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, disk) = disk();
        // A file created with mode 0600 is not executable under any umask, so the mode must be set
        // explicitly.
        disk.create_program("p", b"#!/bin/sh\nexit 7\n").unwrap();
        disk.link("p", "q").unwrap();
        for name in ["p", "q"] {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o755);
            assert!(disk.program(name).unwrap().unwrap().is_executable);
        }
        assert_eq!(disk.link("p", "q").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.create_program("p", b"").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        disk.create_new("plain", b"").unwrap();
        assert!(!disk.program("plain").unwrap().unwrap().is_executable);
        assert_eq!(disk.program("none").unwrap(), None);
    }

    #[test]
    fn a_planted_link_is_never_followed() {
        let (dir, disk) = disk();
        let victim = dir.path().join("victim");
        #[expect(clippy::disallowed_methods, reason = "the test plants a file of its own")]
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/tmp", dir.path().join("dir")).unwrap();
        for result in [
            disk.read("link", 100).map(|_| ()),
            disk.append("link", b"x"),
            disk.write_at("link", 0, b"x"),
            disk.create_new("link", b"x"),
            disk.truncate("link", 0),
            disk.create_new("dir/cmw-planted", b"x"),
            disk.ensure_dir("dir/below"),
            disk.lock("link", 10).map(|_| ()),
            disk.read("../escape", 100).map(|_| ()),
        ] {
            assert!(result.is_err());
        }
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn a_fifo_does_not_hang_and_a_directory_is_not_a_file() {
        let (dir, disk) = disk();
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("fifo")).status().unwrap();
        assert!(made.success());
        disk.ensure_dir("d/e").unwrap();
        for path in ["fifo", "d"] {
            let error = disk.read(path, 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{path}: {error}");
        }
        assert!(disk.append("fifo", b"x").is_err());
    }

    #[test]
    fn an_append_that_fails_half_way_leaves_nothing() {
        // A file-size limit of 1 KiB causes a real short write. The limit holds for a whole process, so a
        // copy of this test binary runs this test as the limited child.
        let Some(dir) = std::env::args().skip_while(|a| a != "--skip").nth(1).filter(|a| a.starts_with('/'))
        else {
            let (dir, disk) = disk();
            disk.append("log", &[b'a'; 600]).unwrap();
            let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" an_append_that_fails --skip \"$1\"";
            let status = std::process::Command::new("bash")
                .args(["-c", script])
                .arg(std::env::current_exe().unwrap())
                .arg(dir.path())
                .stdout(std::process::Stdio::null())
                .status()
                .unwrap();
            assert!(status.success());
            assert_eq!(disk.size("log").unwrap(), Some(600));
            return;
        };
        let disk = RealDisk::open(Path::new(&dir)).unwrap();
        assert!(disk.append("log", &[b'b'; 600]).is_err());
        assert_eq!(disk.size("log").unwrap(), Some(600));
    }

    #[test]
    fn a_taken_lock_times_out_and_a_dropped_one_is_free() {
        let (_dir, disk) = disk();
        let held = disk.lock("l", 10).unwrap();
        assert_eq!(disk.lock("l", 20).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        drop(disk.lock("l", 1_000).unwrap());
    }
}
