//! The files that a commit by path would include: those that differ from the last commit.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::adapters::git::{NOT_PASSED_ON, Repo, RepoError};

/// A file that differs from the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// Its path from the root, as git writes it.
    pub path: Vec<u8>,
    /// What git needs before it can commit the path.
    pub state: ChangedFileState,
}

/// The state of a changed file before a commit by path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedFileState {
    /// Tracked: it can be committed.
    Known,
    /// Untracked.
    New,
    /// It has conflicts.
    Unmerged,
}

impl Repo {
    /// Returns the files below these paths (relative to `here`; git pathspecs) that differ from the last
    /// commit, including new but not ignored ones; each once, in order.
    ///
    /// # Errors
    /// Git's error message.
    pub fn changed_files(&self, here: &Path, paths: &[OsString]) -> Result<Vec<ChangedFile>, RepoError> {
        let mut command = self.plain_git();
        command.current_dir(here);
        let mut args: Vec<&OsStr> = [
            "status",
            "--porcelain",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=none",
            "--",
        ]
        .map(OsStr::new)
        .to_vec();
        args.extend(paths.iter().map(OsString::as_os_str));
        let output = self.run_ok(command, &args)?;
        let mut found: Vec<ChangedFile> = output.split(|b| *b == 0).filter_map(parse).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.dedup_by(|a, b| a.path == b.path);
        Ok(found)
    }

    /// Returns the path of a file in the work tree from its root, as git writes it.
    #[must_use]
    pub fn from_root(&self, here: &Path, path: &OsStr) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt;
        let path = path.as_bytes();
        // Git's own notation for a path from the root, or a literal path.
        let root = self.work_tree.as_deref()?;
        let (here, path) = if let Some(rest) = path.strip_prefix(b":(top,literal)") {
            (root, rest)
        } else if let Some(rest) = path.strip_prefix(b":(top)") {
            (root, rest)
        } else {
            (here, path.strip_prefix(b":(literal)").unwrap_or(path))
        };
        let mut whole = PathBuf::new();
        for part in here.join(OsStr::from_bytes(path)).components() {
            match part {
                Component::ParentDir => drop(whole.pop()),
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => whole.push(part),
            }
        }
        let below = whole.strip_prefix(root).ok()?;
        Some(below.as_os_str().as_bytes().to_vec())
    }

    /// Builds a git command for exactly these files: names are literal, and hooks run as usual.
    #[must_use]
    pub fn git_for_files(&self) -> Command {
        let mut command = Command::new(&self.program);
        for name in NOT_PASSED_ON {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("GIT_LITERAL_PATHSPECS", "1");
        command.current_dir(self.work_tree.as_ref().unwrap_or(&self.git_dir));
        command
    }
}

/// Parses `XY PATH`: the states of the index and of the work tree.
fn parse(entry: &[u8]) -> Option<ChangedFile> {
    let (code, path) = (entry.get(..2)?, entry.get(3..)?);
    let state = match code {
        b"??" => ChangedFileState::New,
        b"DD" | b"AA" => ChangedFileState::Unmerged,
        _ if code.contains(&b'U') => ChangedFileState::Unmerged,
        _ => ChangedFileState::Known,
    };
    // A nested repository ends in a slash, and is not part of this one.
    (!path.is_empty() && !path.ends_with(b"/")).then(|| ChangedFile { path: path.to_vec(), state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_read() {
        let state = |entry: &[u8]| parse(entry).map(|p| p.state);
        assert_eq!(state(b"?? a b"), Some(ChangedFileState::New));
        assert_eq!(state(b" M a"), Some(ChangedFileState::Known));
        assert_eq!(state(b"UU a"), Some(ChangedFileState::Unmerged));
        assert_eq!(state(b"?? nested/"), None);
        assert_eq!(state(b""), None);
    }
}
