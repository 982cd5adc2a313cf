//! What can be asked of work items: assign, start, finish, cancel, reassign.

use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::mail::priority::Priority;

/// For whom a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignTo {
    /// This role.
    Role(Role),
    /// Whoever of this kind has the fewest tasks.
    Kind(RoleKind),
}

/// What is asked of work items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkCommand {
    /// Somebody is to do something.
    Assign {
        /// Who.
        to: AssignTo,
        /// What, in one line.
        title: String,
        /// The digest of its text, which lies beside the state already.
        body: Option<String>,
        /// Before what else.
        priority: Priority,
        /// Which must be done before.
        after: Vec<u64>,
        /// Who is to review it.
        reviewers: Vec<Role>,
    },
    /// Its assignee begins.
    Start(u64),
    /// It is done.
    Done {
        /// Which.
        id: u64,
        /// What came of it.
        note: String,
    },
    /// Nobody wants it any more.
    Cancel {
        /// Which.
        id: u64,
        /// Why.
        reason: String,
    },
    /// Somebody else does it.
    Reassign {
        /// Which.
        id: u64,
        /// Who.
        to: AssignTo,
        /// Why.
        reason: String,
    },
}
