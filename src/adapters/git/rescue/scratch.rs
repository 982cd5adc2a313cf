//! Temporary directories for indexes and files that git uses without touching a work tree.
//!
//! A directory that a killed process left is harmless, and is removed when it is an hour old.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adapters::os::clock;

/// The prefix of the directories' names.
const NAME: &str = "rescue-";
/// The age from which on a directory is no longer in use.
const OLD: Duration = Duration::from_secs(3_600);

/// A directory that is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct ScratchDir {
    dir: PathBuf,
}

impl ScratchDir {
    /// Creates one below `cmw/` of a common directory, and sweeps old ones.
    pub(crate) fn new(common_dir: &Path) -> io::Result<Self> {
        let parent = common_dir.join("cmw");
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700);
        match private.create(&parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => sweep(&parent),
        }
        let dir = parent.join(format!("{NAME}{:032x}", random()?));
        private.create(&dir)?;
        Ok(Self { dir })
    }

    /// Returns a path in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // A directory that cannot be removed is swept later.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn random() -> io::Result<u128> {
    let mut bytes = [0_u8; 16];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(u128::from_ne_bytes(bytes))
}

fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(NAME));
        let modified = || entry.metadata().ok().filter(std::fs::Metadata::is_dir)?.modified().ok();
        if is_ours && modified().is_some_and(|time| clock::age(time) > OLD) {
            // Another process may remove it at the same time.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
