//! Owns what git says of itself and of a repository's linked work trees.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::adapters::git::{Repo, RepoError};

impl Repo {
    /// The version of the git that answers, such as `2.47.1`.
    ///
    /// # Errors
    /// [`RepoError::NotStarted`], or git's own words.
    pub fn git_version(&self) -> Result<String, RepoError> {
        let said = self.run_ok(self.git(), &[OsStr::new("version")])?;
        let said = String::from_utf8_lossy(&said);
        Ok(said.trim().trim_start_matches("git version ").to_owned())
    }

    /// The work trees of this repository, the main one first; not the ones that are gone.
    ///
    /// # Errors
    /// Git's own words.
    pub fn work_trees(&self) -> Result<Vec<PathBuf>, RepoError> {
        let args = ["worktree", "list", "--porcelain"].map(OsStr::new);
        let trees = parse(&self.run_ok(self.git(), &args)?);
        Ok(trees.into_iter().filter(|path| path.exists()).collect())
    }

    /// The same repository as seen from another of its work trees.
    ///
    /// # Errors
    /// As [`crate::adapters::git::discover`].
    pub fn in_work_tree(&self, path: &Path) -> Result<Self, RepoError> {
        let mut other = crate::adapters::git::discover(path, &crate::adapters::git::GitEnv::default())?;
        other.program.clone_from(&self.program);
        other.variables.clone_from(&self.variables);
        Ok(other)
    }
}

/// The paths in the output of `git worktree list --porcelain`, without bare repositories.
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

/// Major and minor number of a git's version; `None` when it has none.
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
