//! Git's version, and the linked work trees of a repository.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::adapters::git::{Repo, RepoError};

impl Repo {
    /// Returns the version of git, such as `2.47.1`.
    ///
    /// # Errors
    /// [`RepoError::NotStarted`], or git's error message.
    pub fn git_version(&self) -> Result<String, RepoError> {
        let said = self.run_ok(self.git(), &[OsStr::new("version")])?;
        let said = String::from_utf8_lossy(&said);
        Ok(said.trim().trim_start_matches("git version ").to_owned())
    }

    /// Returns the work trees of this repository, the main one first; without missing ones.
    ///
    /// # Errors
    /// Git's error message.
    pub fn work_trees(&self) -> Result<Vec<PathBuf>, RepoError> {
        let args = ["worktree", "list", "--porcelain"].map(OsStr::new);
        let trees = parse(&self.run_ok(self.git(), &args)?);
        Ok(trees.into_iter().filter(|path| path.exists()).collect())
    }

    /// Returns the same repository as seen from another of its work trees.
    ///
    /// # Errors
    /// As [`crate::adapters::git::discover`].
    pub fn in_work_tree(&self, path: &Path) -> Result<Self, RepoError> {
        let mut other = crate::adapters::git::discover(path, &crate::adapters::git::GitEnv::default())?;
        other.program.clone_from(&self.program);
        other.variables.clone_from(&self.variables);
        other.own_refs.clone_from(&self.own_refs);
        Ok(other)
    }
}

/// Parses the paths in the output of `git worktree list --porcelain`, without bare repositories.
fn parse(output: &[u8]) -> Vec<PathBuf> {
    let mut trees: Vec<PathBuf> = Vec::new();
    for line in output.split(|b| *b == b'\n') {
        if let Some(path) = line.strip_prefix(b"worktree ") {
            trees.push(PathBuf::from(OsStr::from_bytes(path)));
        } else if line == b"bare" {
            trees.pop();
        }
    }
    trees
}

/// Parses major and minor number of a git version; `None` when it has none.
#[must_use]
pub fn version_number(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_trees_are_listed_without_the_bare_repository() {
        let output = b"worktree /bare.git\nbare\n\nworktree /a b\nHEAD 1\nbranch refs/heads/x\n\nworktree /c\ndetached\nlocked\n\n";
        assert_eq!(parse(output), [PathBuf::from("/a b"), PathBuf::from("/c")]);
        assert_eq!(version_number("2.47.1"), Some((2, 47)));
        assert_eq!(version_number("2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version_number("next"), None);
    }
}
