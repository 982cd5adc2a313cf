//! Reads the anchor commits of `refs/cmw/anchor`, and adds the next one.

use std::ffi::OsStr;

use crate::domain::audit::anchor::{Anchor, REF};
use crate::domain::guard::git_ref::{Oid, RefName};

use crate::adapters::git::refs::RefValue;
use crate::adapters::git::{Repo, RepoError};

/// The first line of an anchor's commit message.
const SUBJECT: &str = "cmw anchor";

/// The anchors of a repository.
#[derive(Debug, Default)]
pub struct Anchors {
    /// The commit of the newest one.
    pub tip: Option<Oid>,
    /// All that can be parsed, newest first.
    pub all: Vec<Anchor>,
    /// How many commits are not valid anchors.
    pub broken: usize,
}

impl Repo {
    /// Reads the anchors, at most `limit` of the newest.
    ///
    /// # Errors
    /// Git's error message.
    pub fn anchors(&self, limit: usize) -> Result<Anchors, RepoError> {
        let name = RefName::parse(REF.as_bytes()).expect("it is a name");
        let RefValue::Oid(tip) = self.resolve(&name)? else { return Ok(Anchors::default()) };
        let count = format!("--max-count={limit}");
        let args =
            ["log", "-z", "--first-parent", "--no-show-signature", "--format=%B", &count, tip.as_str(), "--"];
        let output = self.run_ok(self.settled_git(&[]), &args.map(OsStr::new))?;
        let mut anchors = Anchors { tip: Some(tip), ..Anchors::default() };
        for commit in output.split(|b| *b == 0).filter(|commit| !commit.is_empty()) {
            match parse(commit) {
                Some(anchor) => anchors.all.push(anchor),
                None => anchors.broken += 1,
            }
        }
        Ok(anchors)
    }

    /// Adds the next anchor on top of the one that was read.
    ///
    /// # Errors
    /// Git's error message; also when another process has added one meanwhile.
    pub fn set_anchor(&self, anchor: &Anchor, tip: Option<&Oid>) -> Result<(), RepoError> {
        let tree = self.run_with_input_ok(self.settled_git(&[]), &["mktree"].map(OsStr::new), b"")?;
        let tree = self.an_oid(&tree)?;
        let json = serde_json::to_string(anchor).expect("an anchor has only texts and numbers");
        let mut command = self.settled_git(&[]);
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "cmw")
                .env(format!("GIT_{who}_EMAIL"), "cmw@localhost.invalid");
            command.env(format!("GIT_{who}_DATE"), format!("@{} +0000", anchor.at.0.div_euclid(1_000)));
        }
        let mut args: Vec<&OsStr> = ["commit-tree", "--no-gpg-sign", tree.as_str()].map(OsStr::new).to_vec();
        if let Some(tip) = tip {
            args.extend(["-p", tip.as_str()].map(OsStr::new));
        }
        let commit = self.run_with_input_ok(command, &args, format!("{SUBJECT}\n\n{json}\n").as_bytes())?;
        let commit = self.an_oid(&commit)?;
        self.move_own_ref(REF, tip, &commit, SUBJECT)
    }
}

fn parse(commit: &[u8]) -> Option<Anchor> {
    let json = std::str::from_utf8(commit).ok()?.strip_prefix(SUBJECT)?.trim();
    serde_json::from_str(json).ok()
}
