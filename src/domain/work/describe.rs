//! One-sentence descriptions of the events of work items.

use crate::domain::util::phrase::{bracketed, listed};
use crate::domain::util::sanitize;
use crate::domain::work::event::WorkEvent;

/// Returns the sentence, which follows who caused the event and its tag.
pub(crate) fn describe(event: &WorkEvent) -> String {
    match event {
        WorkEvent::TaskAssigned(task) => {
            format!("T{} to {}: {}", task.id, task.assignee, sanitize::line(&task.title))
        }
        WorkEvent::TaskStarted(it) => format!("T{} by {}: {}", it.id, it.assignee, sanitize::line(&it.title)),
        WorkEvent::TaskDone(it) | WorkEvent::TaskCancelled(it) => {
            format!("T{} of {}: {}{}", it.id, it.assignee, sanitize::line(&it.title), bracketed(&it.note))
        }
        WorkEvent::TaskReassigned(it) => {
            let (id, to, from) = (it.id, &it.assignee, &it.former);
            format!("T{id} from {from} to {to}: {}{}", sanitize::line(&it.title), bracketed(&it.reason))
        }
        WorkEvent::WorkBlocked(blocked) => {
            let ids: Vec<String> = blocked.tasks.iter().map(|id| format!("T{id}")).collect();
            format!("{} of {}: {}", listed(&ids, ", "), blocked.role, sanitize::line(&blocked.why))
        }
    }
}
