//! Unstages paths: resets entries of the index to those of HEAD.

use std::ffi::{OsStr, OsString};

use crate::adapters::git::{Repo, RepoError};

impl Repo {
    /// Resets the index of this work tree to HEAD at these literal paths; files are unchanged. Entries of
    /// `git add --intent-to-add` are removed too.
    ///
    /// # Errors
    /// Git's error message, for example that another process holds the index lock. Then nothing was changed.
    pub fn unstage(&self, paths: &[Vec<u8>]) -> Result<(), RepoError> {
        // An empty path, or the root, would mean everything.
        let is_meant = |path: &&Vec<u8>| !path.is_empty() && !path.iter().all(|b| matches!(b, b'.' | b'/'));
        let input: Vec<u8> =
            paths.iter().filter(is_meant).flat_map(|path| [path, &b"\0"[..]].concat()).collect();
        if input.is_empty() {
            return Ok(());
        }
        // Suppresses hooks, such as post-index-change.
        let hooks: (OsString, OsString) = ("core.hooksPath".into(), "/dev/null".into());
        let mut command = self.settled_git(&[hooks]);
        command.env("GIT_LITERAL_PATHSPECS", "1");
        let args = ["reset", "-q", "--pathspec-from-file=-", "--pathspec-file-nul"];
        self.run_with_input_ok(command, &args.map(OsStr::new), &input).map(drop)
    }
}
