//! Subjects and changed files of commits, read by one git process for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use crate::adapters::git::{Repo, RepoError};
use crate::domain::guard::git_ref::Oid;

/// Subject and files of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its first line; must be sanitised before printing.
    pub subject: String,
    /// The files that it changes, as git quotes them; none for a merge.
    pub files: BTreeSet<String>,
}

impl Repo {
    /// Returns subject and files of these commits; missing commits are left out.
    ///
    /// # Errors
    /// Git's error message.
    pub fn commit_infos(&self, commits: &[Oid]) -> Result<BTreeMap<Oid, CommitInfo>, RepoError> {
        if commits.is_empty() {
            return Ok(BTreeMap::new());
        }
        let fixed = [
            "log",
            "--no-walk=unsorted",
            "--ignore-missing",
            "--no-show-signature",
            "--no-color",
            "--no-ext-diff",
            "--no-renames",
            "--no-relative",
            "--name-only",
            "--format=%x01%H%x02%s",
            "--end-of-options",
        ];
        let args: Vec<&OsStr> =
            fixed.into_iter().chain(commits.iter().map(Oid::as_str)).map(OsStr::new).collect();
        let mut command = self.settled_git(&[]);
        // In a partial clone only local objects are read: an overview must not wait for a network.
        command.env("GIT_NO_LAZY_FETCH", "1");
        Ok(parse(&self.run_ok(command, &args)?))
    }
}

/// Parses the output; no file's name begins with `\x01`, since git quotes such names.
fn parse(output: &[u8]) -> BTreeMap<Oid, CommitInfo> {
    let text = String::from_utf8_lossy(output);
    let mut found = BTreeMap::new();
    for part in text.split('\u{1}').skip(1) {
        let (head, names) = part.split_once('\n').unwrap_or((part, ""));
        let Some((id, subject)) = head.split_once('\u{2}') else { continue };
        let Ok(id) = Oid::parse(id.as_bytes()) else { continue };
        let files = names.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect();
        found.insert(id, CommitInfo { subject: subject.to_owned(), files });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_told_apart() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let output =
            format!("\x01{a}\x02a: one\n\nsrc/a\n\"b\\303\"\n\x01{b}\x02\n\x01rubbish\n\x01{a}0\x02x\n");
        let found = parse(output.as_bytes());
        assert_eq!(found.len(), 2, "{found:?}");
        let one = &found[&Oid::parse(a.as_bytes()).unwrap()];
        assert_eq!((one.subject.as_str(), one.files.len()), ("a: one", 2));
        assert_eq!(found[&Oid::parse(b.as_bytes()).unwrap()], CommitInfo::default());
        assert_eq!(parse(b""), BTreeMap::new());
    }
}
