//! What can happen to work items: events, their log, severity and whom they are about.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::util::tags::tags;
use crate::domain::work::task::{Task, TaskFinished, TaskReassigned, TaskStarted, WorkBlocked};

/// Something that happened to a work item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkEvent {
    /// Somebody has something to do.
    TaskAssigned(Box<Task>),
    /// They are at it.
    TaskStarted(TaskStarted),
    /// It is done.
    TaskDone(TaskFinished),
    /// Nobody wants it any more.
    TaskCancelled(TaskFinished),
    /// It goes to somebody else.
    TaskReassigned(TaskReassigned),
    /// Nobody can do the work of a role.
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
    /// The file of `audit/` in which its record stands: the guide's names.
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::TaskAssigned(_) | Self::TaskStarted(_) | Self::TaskDone(_) | Self::TaskCancelled(_) => {
                "work-items.log"
            }
            Self::TaskReassigned(_) | Self::WorkBlocked(_) => "work-reassignment.log",
        }
    }

    /// How much attention it needs.
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

    /// Whom it is about, besides the one that caused it.
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
