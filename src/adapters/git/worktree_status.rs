//! Owns what a commit by path would take: which files below some paths differ from the last commit.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::adapters::git::{NOT_PASSED_ON, Repo, RepoError};

/// A file that differs from the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its path from the root, as git writes it.
    pub path: Vec<u8>,
    /// What is to be done before git can commit it by its path.
    pub state: PendingState,
}

/// What stands in the way of committing a file by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingState {
    /// Nothing: git knows it.
    Known,
    /// Git does not know it yet.
    New,
    /// It has conflicts.
    Unmerged,
}

impl Repo {
    /// The files below these paths (as seen from `here`; git's pathspecs) that differ from the last
    /// commit, new ones included, ignored ones not; each once, in order.
    ///
    /// # Errors
    /// Git's own words.
    pub fn pending(&self, here: &Path, paths: &[OsString]) -> Result<Vec<Pending>, RepoError> {
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
        let mut found: Vec<Pending> = output.split(|b| *b == 0).filter_map(parse).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.dedup_by(|a, b| a.path == b.path);
        Ok(found)
    }

    /// The path of something in the work tree from its root, as git writes it.
    #[must_use]
    pub fn from_root(&self, here: &Path, path: &OsStr) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStrExt;
        let path = path.as_bytes();
        // Git's own ways of meaning a path from the root, or to the letter.
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

    /// A git for these files and no others: names are no patterns, and hooks run as ever.
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

/// `XY PATH`: what the index and the work tree say.
fn parse(entry: &[u8]) -> Option<Pending> {
    let (code, path) = (entry.get(..2)?, entry.get(3..)?);
    let state = match code {
        b"??" => PendingState::New,
        b"DD" | b"AA" => PendingState::Unmerged,
        _ if code.contains(&b'U') => PendingState::Unmerged,
        _ => PendingState::Known,
    };
    // A nested repository ends in a slash, and is none of ours.
    (!path.is_empty() && !path.ends_with(b"/")).then(|| Pending { path: path.to_vec(), state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_read() {
        let state = |entry: &[u8]| parse(entry).map(|p| p.state);
        assert_eq!(state(b"?? a b"), Some(PendingState::New));
        assert_eq!(state(b" M a"), Some(PendingState::Known));
        assert_eq!(state(b"UU a"), Some(PendingState::Unmerged));
        assert_eq!(state(b"?? nested/"), None);
        assert_eq!(state(b""), None);
    }
}
