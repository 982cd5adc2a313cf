//! Events of work items: their log, severity and the actors concerned.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::util::tags::tags;
use crate::domain::work::task::{Task, TaskFinished, TaskReassigned, TaskStarted, WorkBlocked};

/// An event of a work item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkEvent {
    /// A task was assigned.
    TaskAssigned(Box<Task>),
    /// A task was started.
    TaskStarted(TaskStarted),
    /// A task was finished.
    TaskDone(TaskFinished),
    /// A task was cancelled.
    TaskCancelled(TaskFinished),
    /// A task was reassigned.
    TaskReassigned(TaskReassigned),
    /// The tasks of a role are blocked: no other role can take them.
    WorkBlocked(WorkBlocked),
}

tags! { WorkEvent:
    TaskAssigned => "TASK_ASSIGNED",
    TaskStarted => "TASK_STARTED",
    TaskDone => "TASK_DONE",
    TaskCancelled => "TASK_CANCELLED",
    TaskReassigned => "TASK_REASSIGNED",
    WorkBlocked => "WORK_BLOCKED",
}

impl WorkEvent {
    /// Returns the file of `audit/` that holds its record, named as in the guide.
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::TaskAssigned(_) | Self::TaskStarted(_) | Self::TaskDone(_) | Self::TaskCancelled(_) => {
                "work-items.log"
            }
            Self::TaskReassigned(_) | Self::WorkBlocked(_) => "work-reassignment.log",
        }
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::WorkBlocked(_) => Severity::High,
            Self::TaskReassigned(_) => Severity::Warning,
            Self::TaskAssigned(_) | Self::TaskStarted(_) | Self::TaskDone(_) | Self::TaskCancelled(_) => {
                Severity::Info
            }
        }
    }

    /// Returns the actors concerned, other than the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        let roles = match self {
            Self::TaskAssigned(task) => vec![task.assignee.clone()],
            Self::TaskStarted(it) => vec![it.assignee.clone()],
            Self::TaskDone(it) | Self::TaskCancelled(it) => vec![it.assignee.clone()],
            Self::TaskReassigned(it) => vec![it.assignee.clone(), it.former.clone()],
            Self::WorkBlocked(blocked) => vec![blocked.role.clone()],
        };
        roles.into_iter().map(Actor::Role).collect()
    }
}
