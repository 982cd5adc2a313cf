//! A ref as it is read: its value and its reflog.

use crate::domain::audit::journal_entry::{RefState, signature};
use crate::domain::util::time::WallTime;

/// The text of git's reflog when a branch was renamed.
const RENAMED: &str = "Branch: renamed ";

/// The old value of a reflog line that does not give one.
pub const ANYWHERE: &str = "?";

/// A line of a reflog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReflogLine {
    /// The value before; empty: none.
    pub old: String,
    /// The value after; empty: none.
    pub new: String,
    /// The time, by the committer's clock.
    pub at: WallTime,
    /// The committer, as git was told.
    pub who: String,
    /// Git's text about it.
    pub what: String,
}

/// A ref's value and its reflog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefWithReflog {
    /// Its value; empty: there is none; `ref:…` for a symbolic one.
    pub value: String,
    /// Its reflog, oldest first.
    pub log: Vec<ReflogLine>,
}

impl RefWithReflog {
    /// Returns the value of the ref and the signatures of its reflog lines, as the journal keeps them.
    #[must_use]
    pub fn to_ref_state(&self, name: &str) -> RefState {
        let log = self.log.iter().map(|line| signature(&line.old, &line.new)).collect();
        RefState { name: name.to_owned(), value: self.value.clone(), log }
    }
}

impl ReflogLine {
    /// Returns the line for display.
    #[must_use]
    pub fn describe(&self) -> String {
        let what = if self.what.is_empty() { "(no text)" } else { self.what.as_str() };
        format!("{} {}: {what}", self.at, self.who)
    }
}

/// Returns the former name, if the line tells of a renaming to `to`, or to any name.
#[must_use]
pub fn renamed<'a>(line: &'a ReflogLine, to: Option<&str>) -> Option<&'a str> {
    let (from, new) = line.what.strip_prefix(RENAMED)?.split_once(" to ")?;
    to.is_none_or(|to| to == new).then_some(from)
}
