//! Work items: their assignee, dependencies and status.
//!
//! Invariants (each has a test of the same name in `tests/fast/rules/work.rs`):
//! * `a_task_has_one_assignee_at_most`
//! * `no_reviewer_is_handed_the_work_to_review`
//! * `nothing_begins_before_what_it_waits_for_is_done`

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::mail::priority::Priority;
use crate::domain::util::time::WallTime;

/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// Longest final note or reason, in characters.
pub const NOTE_CHARS_MAX: usize = 500;
/// Maximum number of unfinished tasks.
pub const OPEN_MAX: usize = 2_000;
/// Number of finished tasks kept in the state; the audit trail has all.
pub const FINISHED_KEPT: usize = 50;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Its number; it only grows. Shown as `T7`.
    pub id: u64,
    /// Its title, in one line.
    pub title: String,
    /// The digest of its text, which is stored next to the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The actor that wants it.
    pub wanted_by: Actor,
    /// The role that does it.
    pub assignee: Role,
    /// Its priority.
    pub priority: Priority,
    /// The tasks that must be done before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u64>,
    /// Its reviewers, which never do it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<Role>,
    /// Its status.
    pub status: TaskStatus,
    /// The start of this status.
    pub since: WallTime,
    /// The time of its first assignment.
    pub made: WallTime,
    /// The reason why no role can do it, if it is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
}

/// The status of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskStatus {
    /// Its assignee works on it.
    Started,
    /// It waits for its assignee.
    Open,
    /// It is done.
    Done,
    /// It was cancelled.
    Cancelled,
}

impl TaskStatus {
    /// Returns the name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Open => "OPEN",
            Self::Done => "DONE",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl Task {
    /// Whether it is unfinished.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self.status, TaskStatus::Open | TaskStatus::Started)
    }

    /// Returns the tasks that it still waits for.
    #[must_use]
    pub fn waits_for(&self, tasks: &Tasks) -> Vec<u64> {
        let pending = |id: &&u64| tasks.get(id).is_some_and(Self::is_pending);
        self.after.iter().filter(pending).copied().collect()
    }
}

/// The unfinished tasks, and the last finished ones.
pub type Tasks = BTreeMap<u64, Task>;

/// Returns the unfinished tasks of a role: the started one first, then the most urgent.
#[must_use]
pub fn pending<'a>(tasks: &'a Tasks, role: &Role) -> Vec<&'a Task> {
    let mut its: Vec<&Task> = tasks.values().filter(|t| t.is_pending() && t.assignee == *role).collect();
    its.sort_by_key(|task| (task.status, task.priority, task.id));
    its
}

/// Returns the task that a role works on, if any.
#[must_use]
pub fn current<'a>(tasks: &'a Tasks, role: &Role) -> Option<&'a Task> {
    pending(tasks, role).into_iter().find(|task| task.status == TaskStatus::Started)
}

/// Removes the oldest finished tasks beyond [`FINISHED_KEPT`].
pub fn tidy(tasks: &mut Tasks) {
    let mut finished: Vec<(WallTime, u64)> =
        tasks.values().filter(|task| !task.is_pending()).map(|task| (task.since, task.id)).collect();
    finished.sort_unstable();
    let surplus = finished.len().saturating_sub(FINISHED_KEPT);
    for (_, id) in &finished[..surplus] {
        tasks.remove(id);
    }
}

/// The start of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// The task's number.
    pub id: u64,
    /// Its title.
    pub title: String,
    /// Its assignee.
    pub assignee: Role,
}

/// The end of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFinished {
    /// The task's number.
    pub id: u64,
    /// Its title.
    pub title: String,
    /// Its assignee.
    pub assignee: Role,
    /// The result, or the reason for cancelling it; may be empty.
    pub note: String,
}

/// The reassignment of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReassigned {
    /// The task's number.
    pub id: u64,
    /// Its title.
    pub title: String,
    /// The former assignee.
    pub former: Role,
    /// The new assignee.
    pub assignee: Role,
    /// The reason.
    pub reason: String,
}

/// The blocked tasks of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkBlocked {
    /// The role.
    pub role: Role,
    /// The tasks' numbers.
    pub tasks: Vec<u64>,
    /// The reason.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u64, status: TaskStatus, since: i64) -> Task {
        Task {
            id,
            title: String::new(),
            body: None,
            wanted_by: Actor::User,
            assignee: Role::parse("Dev-A").unwrap(),
            priority: Priority::Normal,
            after: Vec::new(),
            reviewers: Vec::new(),
            status,
            since: WallTime(since),
            made: WallTime(0),
            blocked: None,
        }
    }

    #[test]
    fn only_the_last_finished_ones_are_kept_and_every_pending_one() {
        let count = u64::try_from(FINISHED_KEPT).unwrap() + 5;
        let mut tasks: Tasks = (1..=count).map(|id| (id, task(id, TaskStatus::Done, 7))).collect();
        tasks.insert(1, task(1, TaskStatus::Open, 0));
        tasks.insert(2, task(2, TaskStatus::Cancelled, 9));
        tidy(&mut tasks);
        let finished: Vec<u64> = tasks.values().filter(|t| !t.is_pending()).map(|t| t.id).collect();
        assert_eq!(finished.len(), FINISHED_KEPT);
        assert!(tasks.contains_key(&1) && finished.contains(&2) && !tasks.contains_key(&3));
    }

    #[test]
    fn what_one_is_at_comes_first_then_what_is_urgent() {
        let mut urgent = task(3, TaskStatus::Open, 0);
        urgent.priority = Priority::High;
        let all = [
            task(1, TaskStatus::Open, 0),
            task(2, TaskStatus::Started, 0),
            urgent,
            task(4, TaskStatus::Done, 0),
        ];
        let tasks: Tasks = all.into_iter().map(|task| (task.id, task)).collect();
        let dev = Role::parse("Dev-A").unwrap();
        let ids: Vec<u64> = pending(&tasks, &dev).iter().map(|task| task.id).collect();
        assert_eq!(ids, [2, 3, 1]);
        assert_eq!(current(&tasks, &dev).map(|task| task.id), Some(2));
        assert_eq!(current(&tasks, &Role::parse("Dev-B").unwrap()), None);
        let mut waits = task(5, TaskStatus::Open, 0);
        waits.after = vec![2, 4, 99];
        assert_eq!(waits.waits_for(&tasks), [2]);
    }
}
