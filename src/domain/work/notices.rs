//! The messages that work items cause.

use serde_json::{Value, json};

use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::RoleKind;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::notice::{Notice, from_system, letter, shortened};
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;
use crate::domain::work::event::WorkEvent;
use crate::domain::work::task::{Task, TaskFinished, TaskReassigned, WorkBlocked};

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &WorkEvent, by: &Actor, after: &State) -> Vec<Notice> {
    match event {
        WorkEvent::TaskAssigned(task) => assigned(task, by),
        WorkEvent::TaskDone(it) => done(it, by, after),
        WorkEvent::TaskCancelled(it) => {
            let subject = format!("T{} is cancelled: {}", it.id, it.title);
            let body = json!({"task": it.id, "title": it.title, "reason": it.note});
            let to = Actor::Role(it.assignee.clone());
            letter(by, &to, MessageType::TASK_CANCELLED, Priority::Normal, &subject, body)
        }
        WorkEvent::TaskReassigned(it) => reassigned(it, by, after),
        WorkEvent::WorkBlocked(blocked) => work_blocked(blocked, after),
        WorkEvent::TaskStarted(_) => Vec::new(),
    }
}

fn assigned(task: &Task, by: &Actor) -> Vec<Notice> {
    let waits: Vec<String> = task.after.iter().map(|id| format!("T{id}")).collect();
    let after = if waits.is_empty() { String::new() } else { format!(" (after {})", waits.join(", ")) };
    let subject = format!("T{}: {}{after}", task.id, task.title);
    let mut body = json!({"task": task.id, "title": task.title, "after": task.after, "reviewers": task.reviewers,
        "next": format!("cmw-work start T{}", task.id)});
    if task.body.is_some() {
        body["text"] = format!("cmw-work show T{}", task.id).into();
    }
    let to = Actor::Role(task.assignee.clone());
    letter(by, &to, MessageType::TASK_ASSIGNMENT, task.priority, &subject, body)
}

/// Returns the messages to the actor that wanted it, and to the assignees of the tasks that waited for it.
fn done(it: &TaskFinished, by: &Actor, after: &State) -> Vec<Notice> {
    let wanted_by = after.tasks.get(&it.id).map_or(Actor::System, |task| task.wanted_by.clone());
    let orchestrator = after.policy.roster.first_of(RoleKind::is_orchestrator).cloned().map(Actor::Role);
    let subject = format!("T{} is done: {}", it.id, it.title);
    let body = json!({"task": it.id, "title": it.title, "assignee": it.assignee, "note": it.note});
    let mut all =
        letter(by, &wanted_by, MessageType::TASK_COMPLETE, Priority::Normal, &subject, body.clone());
    for other in orchestrator.iter().filter(|other| **other != wanted_by) {
        all.extend(letter(by, other, MessageType::TASK_COMPLETE, Priority::Low, &subject, body.clone()));
    }
    let free = |task: &&Task| {
        task.after.contains(&it.id) && task.is_pending() && task.waits_for(&after.tasks).is_empty()
    };
    for task in after.tasks.values().filter(free) {
        let subject = format!("T{} can begin: {}", task.id, task.title);
        let next = format!("cmw-work start T{}", task.id);
        let body = json!({"task": task.id, "title": task.title, "next": next});
        let to = Actor::Role(task.assignee.clone());
        all.extend(letter(&Actor::System, &to, MessageType::TASK_ASSIGNMENT, task.priority, &subject, body));
    }
    all
}

fn reassigned(it: &TaskReassigned, by: &Actor, after: &State) -> Vec<Notice> {
    let subject = format!("T{} is yours now: {} (before: {}; {})", it.id, it.title, it.former, it.reason);
    let next = format!("cmw-work show T{}", it.id);
    let body = json!({"original_assignee": it.former, "work": {"task": it.id, "title": it.title},
        "reason": it.reason, "next": next});
    let priority = after.tasks.get(&it.id).map_or(Priority::Normal, |task| task.priority);
    let (to, former) = (Actor::Role(it.assignee.clone()), Actor::Role(it.former.clone()));
    let mut all = letter(by, &to, MessageType::WORK_REASSIGNMENT, priority, &subject, body.clone());
    let subject = format!("T{} is {}'s now: {}", it.id, it.assignee, it.title);
    all.extend(letter(by, &former, MessageType::WORK_REASSIGNMENT, Priority::Normal, &subject, body));
    all
}

fn work_blocked(blocked: &WorkBlocked, after: &State) -> Vec<Notice> {
    let work: Vec<Value> = blocked
        .tasks
        .iter()
        .filter_map(|id| after.tasks.get(id))
        .map(|task| json!({"task": task.id, "title": task.title}))
        .collect();
    let subject =
        shortened(&format!("{} tasks of {} are blocked: {}", work.len(), blocked.role, blocked.why));
    let body = json!({"crashed_instance": blocked.role, "pending_work": work,
        "action_required": "Manual reassignment or instance restart",
        "next": [format!("cmw-health restart {}", blocked.role), "cmw-work reassign ID ROLE".to_owned()]});
    from_system(MessageType::WORK_BLOCKED, &[Actor::User], Priority::Critical, subject, body)
}
