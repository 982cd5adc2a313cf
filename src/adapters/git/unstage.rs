//! Owns taking back what was staged: entries of the index become those of HEAD again.

use std::ffi::{OsStr, OsString};

use crate::adapters::git::{Repo, RepoError};

impl Repo {
    /// Makes the index of this work tree be as HEAD at these paths, each meant to the letter;
    /// files stay as they are. Entries of `git add --intent-to-add` go too.
    ///
    /// # Errors
    /// Git's own words, such as that somebody else holds the index. Then nothing was changed.
    pub fn unstage(&self, paths: &[Vec<u8>]) -> Result<(), RepoError> {
        // No path at all, or the root, would mean everything.
        let is_meant = |path: &&Vec<u8>| !path.is_empty() && !path.iter().all(|b| matches!(b, b'.' | b'/'));
        let input: Vec<u8> =
            paths.iter().filter(is_meant).flat_map(|path| [path, &b"\0"[..]].concat()).collect();
        if input.is_empty() {
            return Ok(());
        }
        // Somebody's hook about changed indexes need not know.
        let hooks: (OsString, OsString) = ("core.hooksPath".into(), "/dev/null".into());
        let mut command = self.settled_git(&[hooks]);
        command.env("GIT_LITERAL_PATHSPECS", "1");
        let args = ["reset", "-q", "--pathspec-from-file=-", "--pathspec-file-nul"];
        self.run_fed_ok(command, &args.map(OsStr::new), &input).map(drop)
    }
}
