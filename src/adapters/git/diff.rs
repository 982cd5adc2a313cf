//! Which paths a change touches, computed by git, which is much faster at it on big trees and supports every
//! repository format.
//!
//! Never writes the index, never counts a rename as one path, and is independent of the caller's
//! configuration and of replaced objects.

use std::ffi::OsStr;
use std::path::Path;

use crate::domain::guard::git_ref::{Oid, RefName};

use crate::adapters::git::refs::RefValue;
use crate::adapters::git::{Repo, RepoError};

/// Options of every comparison here: recursive trees, both sides of a rename, submodules included, paths from
/// the root.
const RULES: [&str; 6] =
    ["-z", "--name-only", "--no-renames", "--ignore-submodules=none", "--no-relative", "--no-ext-diff"];

/// With more new commits than these, the whole tree of the new ref is compared instead.
const INTRODUCED_MAX: usize = 200;

/// Returns the paths in git's output, each once, in order.
fn paths(output: &[u8]) -> Vec<Vec<u8>> {
    let mut paths: Vec<Vec<u8>> =
        output.split(|b| *b == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect();
    paths.sort();
    paths.dedup();
    paths
}

impl Repo {
    /// Returns the paths that differ between two commits (or trees); without an old one, all paths of the new
    /// one.
    ///
    /// # Errors
    /// Git's error message, for instance that an object is missing.
    pub fn changed_paths(&self, old: Option<&Oid>, new: &Oid) -> Result<Vec<Vec<u8>>, RepoError> {
        let old = old.filter(|oid| !oid.is_zero()).map_or(self.object_format.empty_tree(), Oid::as_str);
        let mut args: Vec<&OsStr> = ["diff-tree", "-r"].map(OsStr::new).to_vec();
        args.extend(RULES.map(OsStr::new));
        args.extend(["--end-of-options", old, new.as_str()].map(OsStr::new));
        Ok(paths(&self.run_ok(self.plain_git(), &args)?))
    }

    /// Returns the paths that merging a commit into HEAD would change: those that differ from the merge base;
    /// `None` when HEAD contains the commit.
    ///
    /// # Errors
    /// Git's error message, for instance that there is no common ancestor.
    pub fn merged_paths(&self, other: &Oid) -> Result<Option<Vec<Vec<u8>>>, RepoError> {
        let args = ["merge-base", "HEAD", other.as_str()].map(OsStr::new);
        let output = self.run_ok(self.plain_git(), &args)?;
        let base = output.split(|b| *b == b'\n').next().and_then(|line| Oid::parse(line).ok());
        match base {
            Some(base) if base == *other => Ok(None),
            base => self.changed_paths(base.as_ref(), other).map(Some),
        }
    }

    /// Returns the paths changed by the commits of a new ref: those that no other ref contains, each compared
    /// with its first parent. Empty when its tip is on a branch already.
    ///
    /// # Errors
    /// Git's error message.
    pub fn introduced_paths(&self, new: &Oid) -> Result<Vec<Vec<u8>>, RepoError> {
        let args = ["rev-list", "--parents", new.as_str(), "--not", "--branches", "--remotes", "--tags"];
        let output = self.run_ok(self.plain_git(), &args.map(OsStr::new))?;
        let commits: Vec<&[u8]> = output.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
        if commits.len() > INTRODUCED_MAX {
            return self.changed_paths(None, new);
        }
        let mut all = Vec::new();
        for line in commits {
            let mut ids = line.split(|b| *b == b' ').map(Oid::parse);
            let (Some(Ok(commit)), parent) = (ids.next(), ids.next().and_then(Result::ok)) else { continue };
            all.extend(self.changed_paths(parent.as_ref(), &commit)?);
        }
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// Returns the paths that a commit of this index would change. `index_file` is `GIT_INDEX_FILE` as a hook
    /// gets it (relative to the work tree's root), or `None` for the usual index.
    ///
    /// # Errors
    /// Git's error message.
    pub fn staged_paths(&self, index_file: Option<&Path>) -> Result<Vec<Vec<u8>>, RepoError> {
        let head = RefName::parse(b"HEAD").expect("HEAD is a name");
        // An unborn branch has no commit: every staged path is a change.
        let base = match self.resolve(&head)? {
            RefValue::Oid(oid) => oid.to_string(),
            RefValue::Missing | RefValue::Symref(_) => self.object_format.empty_tree().to_owned(),
        };
        let mut command = self.plain_git();
        if let Some(index_file) = index_file {
            command.env("GIT_INDEX_FILE", index_file);
        }
        let mut args: Vec<&OsStr> = ["diff-index", "--cached"].map(OsStr::new).to_vec();
        args.extend(RULES.map(OsStr::new));
        args.extend([OsStr::new("--end-of-options"), OsStr::new(&base)]);
        Ok(paths(&self.run_ok(command, &args)?))
    }
}
