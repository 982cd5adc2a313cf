//! State changes of work items.

use crate::domain::identity::role::Role;
use crate::domain::state::State;
use crate::domain::util::time::WallTime;
use crate::domain::work::event::WorkEvent;
use crate::domain::work::task::{self, TaskStatus};

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &WorkEvent, at: WallTime) {
    match event {
        WorkEvent::TaskAssigned(task) => {
            state.last.task = state.last.task.max(task.id);
            state.tasks.insert(task.id, (**task).clone());
        }
        WorkEvent::TaskStarted(it) => become_status(state, it.id, TaskStatus::Started, at),
        WorkEvent::TaskDone(it) => become_status(state, it.id, TaskStatus::Done, at),
        WorkEvent::TaskCancelled(it) => become_status(state, it.id, TaskStatus::Cancelled, at),
        WorkEvent::TaskReassigned(it) => {
            become_status(state, it.id, TaskStatus::Open, at);
            if let Some(task) = state.tasks.get_mut(&it.id) {
                task.assignee = it.assignee.clone();
            }
        }
        WorkEvent::WorkBlocked(blocked) => {
            for id in &blocked.tasks {
                become_status(state, *id, TaskStatus::Open, at);
                if let Some(task) = state.tasks.get_mut(id) {
                    task.blocked = Some(blocked.why.clone());
                }
            }
        }
    }
}

/// Sets the status of a task, which is then no longer blocked.
fn become_status(state: &mut State, id: u64, status: TaskStatus, at: WallTime) {
    if let Some(task) = state.tasks.get_mut(&id) {
        (task.status, task.since, task.blocked) = (status, at, None);
    }
    task::tidy(&mut state.tasks);
}

/// Unblocks the tasks of a role that has an instance again.
pub(crate) fn unblock(state: &mut State, role: &Role) {
    for task in state.tasks.values_mut().filter(|task| task.assignee == *role) {
        task.blocked = None;
    }
}
