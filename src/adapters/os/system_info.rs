//! Facts about the machine: the file system below a directory, and the holder of a lock file.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The file system below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name, when locks or renames are unreliable on it.
    pub remote: Option<&'static str>,
    /// Bytes available to this user.
    pub free_bytes: u64,
    /// Inodes available; `None` where the file system does not count them.
    pub free_files: Option<u64>,
}

/// Magic numbers of network file systems (`statfs(2)`).
const REMOTE: [(u32, &str); 8] = [
    (0x0000_6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
];

/// Examines the file system below a directory.
pub fn file_system(dir: &Path) -> std::io::Result<FileSystem> {
    let stat = rustix::fs::statfs(dir)?;
    let magic = u32::try_from(i128::from(stat.f_type) & 0xffff_ffff).unwrap_or(0);
    let space = rustix::fs::statvfs(dir)?;
    Ok(FileSystem {
        remote: remote(magic),
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        free_files: (space.f_files > 0).then_some(space.f_favail),
    })
}

fn remote(magic: u32) -> Option<&'static str> {
    REMOTE.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// A process that holds a lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Its process id; 0 when it is not visible to this process.
    pub pid: u32,
    /// Its name, as the kernel has it; must be sanitised before printing.
    pub name: String,
    /// Whether it is stopped (Ctrl-Z, SIGSTOP, a debugger).
    pub stopped: bool,
}

/// Returns the holder of a file's flock; `None` when it is not locked, or does not exist.
#[must_use]
pub fn lock_holder(file: &Path) -> Option<LockHolder> {
    let found = std::fs::symlink_metadata(file).ok()?;
    let pid = holder_in(&std::fs::read_to_string("/proc/locks").ok()?, found.ino(), found.dev())?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(LockHolder { pid, name: name.trim_end().to_owned(), stopped: is_stopped(pid) })
}

/// Finds the holder in the text of `/proc/locks`. Some file systems show another device number there than to
/// `stat`; then the inode alone decides.
fn holder_in(locks: &str, inode: u64, device: u64) -> Option<u32> {
    let of_line = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let kind = fields.next()?;
        // Waiting processes are listed below the holder, as `->`.
        if kind != "FLOCK" {
            return None;
        }
        let (pid, place) = (fields.nth(2)?, fields.next()?);
        let mut parts = place.split(':');
        let major = u32::from_str_radix(parts.next()?, 16).ok()?;
        let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
        let number: u64 = parts.next()?.parse().ok()?;
        let same_device = rustix::fs::makedev(major, minor) == device;
        (number == inode).then_some((same_device, pid.parse::<u32>().unwrap_or(0)))
    };
    locks.lines().filter_map(of_line).max_by_key(|(same, _)| *same).map(|(_, pid)| pid)
}

fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rfind(')').and_then(|end| stat.get(end + 2..end + 3));
    matches!(state, Some("T" | "t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_file_is_named() {
        let device = rustix::fs::makedev(8, 1);
        let locks = "1: POSIX  ADVISORY  WRITE 9 08:01:42 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 7 00:2f:42 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 8 08:01:42 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 5 08:01:42 0 EOF\n\
                     nonsense\n";
        assert_eq!(holder_in(locks, 42, device), Some(8));
        assert_eq!(holder_in(locks, 42, 0), Some(8), "on another device the inode decides");
        assert_eq!(holder_in(locks, 43, device), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(lock_holder(file.path()), None);
        rustix::fs::flock(file.as_file(), rustix::fs::FlockOperation::LockExclusive).unwrap();
        let holder = lock_holder(file.path()).unwrap();
        assert_eq!((holder.pid, holder.stopped), (std::process::id(), false));
    }

    #[test]
    fn a_remote_file_system_is_known_by_its_number() {
        assert_eq!((remote(0x6969), remote(0xef53)), (Some("NFS"), None));
        let here = file_system(Path::new("/tmp")).unwrap();
        assert!(here.free_bytes > 0);
    }
}
