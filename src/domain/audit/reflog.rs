//! A ref as it is read: its value, and what git's reflog says of how it got there.

use crate::domain::audit::journal_entry::{RefState, signature};
use crate::domain::util::time::WallTime;

/// The text of git's reflog when a branch was renamed.
const RENAMED: &str = "Branch: renamed ";

/// Where a line of a reflog came from, when that is not told.
pub const ANYWHERE: &str = "?";

/// A line of a reflog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReflogLine {
    /// The value before; empty: none.
    pub old: String,
    /// The value after; empty: none.
    pub new: String,
    /// When, as the committer's clock said.
    pub at: WallTime,
    /// Who, as git was told.
    pub who: String,
    /// What git said of it.
    pub what: String,
}

/// A ref as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefWithReflog {
    /// Its value; empty: there is none; `ref:…` for a symbolic one.
    pub value: String,
    /// Its reflog, oldest first.
    pub log: Vec<ReflogLine>,
}

impl RefWithReflog {
    /// The same, to be written down.
    #[must_use]
    pub fn sighting(&self, name: &str) -> RefState {
        let log = self.log.iter().map(|line| signature(&line.old, &line.new)).collect();
        RefState { name: name.to_owned(), value: self.value.clone(), log }
    }
}

impl ReflogLine {
    /// The line as a person reads it.
    #[must_use]
    pub fn describe(&self) -> String {
        let what = if self.what.is_empty() { "(no text)" } else { self.what.as_str() };
        format!("{} {}: {what}", self.at, self.who)
    }
}

/// From which name git says that this one, or any, was made.
#[must_use]
pub fn renamed<'a>(line: &'a ReflogLine, to: Option<&str>) -> Option<&'a str> {
    let (from, new) = line.what.strip_prefix(RENAMED)?.split_once(" to ")?;
    to.is_none_or(|to| to == new).then_some(from)
}
