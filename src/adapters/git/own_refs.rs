//! Moves cmw's own refs, `refs/cmw/**`: without hooks, which refuse these refs to all other programs; each step is
//! recorded (docs/decisions.md D31).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::adapters::git::{Repo, RepoError, io_error};
use crate::domain::guard::git_ref::Oid;

/// A step of the movement of one of our refs.
#[derive(Clone, Copy, Debug)]
pub enum OwnRefStep<'a> {
    /// Git is about to move it.
    Begins {
        /// The ref.
        name: &'a str,
        /// The value before; `None`: it does not exist.
        old: Option<&'a Oid>,
        /// The value after.
        new: &'a Oid,
    },
    /// Git has moved it, or could not.
    Ended {
        /// The ref.
        name: &'a str,
        /// The value after.
        new: &'a Oid,
        /// Whether it was moved.
        moved: bool,
    },
}

/// Records the steps in the ref journal; a begin that cannot be recorded stops the movement.
#[derive(Clone)]
pub struct OwnRefRecorder(Arc<dyn Fn(OwnRefStep<'_>) -> io::Result<()> + Send + Sync>);

impl OwnRefRecorder {
    /// Creates one.
    pub fn new(record: impl Fn(OwnRefStep<'_>) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(record))
    }
}

impl fmt::Debug for OwnRefRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnRefRecorder")
    }
}

impl Repo {
    /// Returns the same repository, which records what it does to our refs.
    #[must_use]
    pub fn recording_own_refs(self, recorder: OwnRefRecorder) -> Self {
        Self { own_refs: Some(recorder), ..self }
    }

    /// Moves one of our refs from one value to another.
    ///
    /// # Errors
    /// [`RepoError`]: it has another value, git failed, or the step cannot be recorded; then it was not moved.
    pub(crate) fn move_own_ref(
        &self,
        name: &str,
        old: Option<&Oid>,
        new: &Oid,
        reflog: &str,
    ) -> Result<(), RepoError> {
        let record = |step: OwnRefStep<'_>| match &self.own_refs {
            Some(OwnRefRecorder(record)) => record(step),
            None => Ok(()),
        };
        record(OwnRefStep::Begins { name, old, new }).map_err(io_error(&self.common_dir))?;
        let before = old.map_or_else(|| "0".repeat(new.as_str().len()), Oid::to_string);
        let settings = [("core.hooksPath", "/dev/null"), ("core.fsync", "all")]
            .map(|(key, value)| (OsString::from(key), OsString::from(value)));
        let args = ["update-ref", "--no-deref", "-m", reflog, name, new.as_str(), &before];
        let moved = self.run_ok(self.settled_git(&settings), &args.map(OsStr::new)).map(drop);
        // A missing outcome is found by comparing the ref with the journal.
        let _ = record(OwnRefStep::Ended { name, new, moved: moved.is_ok() });
        moved
    }
}
