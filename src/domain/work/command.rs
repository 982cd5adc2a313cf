//! Commands about work items: assign, start, finish, cancel, reassign.

use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::mail::priority::Priority;

/// The recipient of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignTo {
    /// This role.
    Role(Role),
    /// The role of this kind with the fewest tasks.
    Kind(RoleKind),
}

/// A command about work items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkCommand {
    /// Assign a new task.
    Assign {
        /// The recipient.
        to: AssignTo,
        /// The title, in one line.
        title: String,
        /// The digest of its text, which is stored already.
        body: Option<String>,
        /// The priority.
        priority: Priority,
        /// The tasks that must be done before it.
        after: Vec<u64>,
        /// The reviewers.
        reviewers: Vec<Role>,
    },
    /// Start a task.
    Start(u64),
    /// Finish a task.
    Done {
        /// The task's number.
        id: u64,
        /// The result.
        note: String,
    },
    /// Cancel a task.
    Cancel {
        /// The task's number.
        id: u64,
        /// The reason.
        reason: String,
    },
    /// Reassign a task.
    Reassign {
        /// The task's number.
        id: u64,
        /// The new recipient.
        to: AssignTo,
        /// The reason.
        reason: String,
    },
}
