//! Owns which messages crashes, restarts, limits and work items cause.

use serde_json::{Value, json};

use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::health::describe;
use crate::domain::health::incident::{Crash, Plan, RestartFailed};
use crate::domain::identity::actor::{Actor, Address};
use crate::domain::identity::role::{Kind, Role};
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::SUBJECT_CHARS_MAX;
use crate::domain::mail::priority::Priority;
use crate::domain::notices::{Notice, from_system, overseers};
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::work::task::{Task, TaskFinished, TaskReassigned, WorkBlocked};

/// The messages of an event of health or work; of another one none.
#[expect(clippy::wildcard_enum_match_arm, reason = "mail.rs sends only these here, and names each")]
pub(crate) fn notices(event: &Event, by: &Actor, after: &State, facts: &Facts) -> Vec<Notice> {
    match event {
        Event::SessionLost(lost) => {
            let subject = format!("tmux ended, and with it {} instances", lost.roles.len());
            let body = json!({"session": lost.name, "instances": lost.roles, "next": "cmw-session up"});
            from_system(MessageType::SESSION_LOST, &[Actor::User], Priority::Critical, subject, body)
        }
        Event::InstanceCrashed(crash) => crashed(crash, after, facts),
        Event::InstanceRestarted(it) => {
            let subject = format!("{} runs again (attempt {})", it.role, it.attempt);
            let body = json!({"instance": it.role, "attempt": it.attempt});
            from_system(MessageType::INSTANCE_RESTARTED, &told(after, &it.role), Priority::Low, subject, body)
        }
        Event::RestartFailed(failed) if failed.again.is_none() => restart_failed(failed, after),
        Event::InstanceStale(stale) => {
            let subject = format!("{} gives no sign of life: {}", stale.role, stale.why);
            let action = "Verify instance health";
            let next = format!("cmw-health check {}", stale.role);
            let body = json!({"instance": stale.role, "why": stale.why, "action": action, "next": next});
            let to = instead_of(&stale.role, overseers(after));
            from_system(
                MessageType::INSTANCE_HEALTH_WARNING,
                &to,
                Priority::Normal,
                shortened(&subject),
                body,
            )
        }
        Event::InstanceParked(parking) => {
            let until = parking.until_at;
            let subject = format!("{} is stopped by a usage limit until {}", parking.role, until.clock());
            let body = json!({"instance": parking.role, "until": until, "told": parking.told,
                "effect": "its uncommitted work is saved and its lock released; it goes on by itself"});
            let to = told(after, &parking.role);
            from_system(MessageType::INSTANCE_PARKED, &to, Priority::Low, subject, body)
        }
        Event::TaskAssigned(task) => assigned(task, by),
        Event::TaskDone(it) => done(it, by, after),
        Event::TaskCancelled(it) => {
            let subject = format!("T{} is cancelled: {}", it.id, it.title);
            let body = json!({"task": it.id, "title": it.title, "reason": it.note});
            let to = Actor::Role(it.assignee.clone());
            letter(by, &to, MessageType::TASK_CANCELLED, Priority::Normal, &subject, body)
        }
        Event::TaskReassigned(it) => reassigned(it, by, after),
        Event::WorkBlocked(blocked) => work_blocked(blocked, after),
        _ => Vec::new(),
    }
}

fn shortened(subject: &str) -> String {
    sanitize::shorten(subject, SUBJECT_CHARS_MAX)
}

/// Whoever watches, but never the one that it is about; the person instead.
fn instead_of(role: &Role, mut to: Vec<Actor>) -> Vec<Actor> {
    to.retain(|actor| actor.role() != Some(role));
    if to.is_empty() { vec![Actor::User] } else { to }
}

/// Whoever watches, and the person.
fn told(state: &State, role: &Role) -> Vec<Actor> {
    let mut to = instead_of(role, overseers(state));
    to.extend((!to.contains(&Actor::User)).then_some(Actor::User));
    to
}

fn crashed(crash: &Crash, state: &State, facts: &Facts) -> Vec<Notice> {
    // Of a session that is lost it is told once.
    if crash.plan == Plan::WithTheSession {
        return Vec::new();
    }
    let subject = shortened(&format!("{} crashed; {}", crash.role, describe::crashed(crash)));
    let restarts = matches!(crash.plan, Plan::Restart { .. });
    let mut options = vec![format!("cmw-health restart {}", crash.role)];
    options.extend(["cmw-freeze now --reason '…'".to_owned(), "cmw-session attach".to_owned()]);
    let body = json!({"instance": crash.role, "timestamp": facts.now.wall, "how": crash.how, "impact": crash.impact,
        "plan": crash.plan, "options": options});
    let priority = if restarts { Priority::High } else { Priority::Critical };
    from_system(MessageType::INSTANCE_CRASHED, &told(state, &crash.role), priority, subject, body)
}

fn restart_failed(failed: &RestartFailed, state: &State) -> Vec<Notice> {
    let (whose, to, next) = match &failed.role {
        Some(role) => (role.to_string(), told(state, role), format!("cmw-health restart {role}")),
        None => ("The session".to_owned(), vec![Actor::User], "cmw-session up".to_owned()),
    };
    let subject = shortened(&format!("{whose} could not be restarted: {}; now: {next}", failed.why));
    let body = json!({"instance": failed.role, "attempts": failed.attempt, "why": failed.why, "next": next});
    from_system(MessageType::INSTANCE_CRASHED, &to, Priority::Critical, subject, body)
}

/// One message on behalf of whoever did it; nobody writes to themselves.
fn letter(
    from: &Actor,
    to: &Actor,
    kind: MessageType,
    priority: Priority,
    subject: &str,
    body: Value,
) -> Vec<Notice> {
    if from == to {
        return Vec::new();
    }
    let to = match to {
        Actor::Role(role) => Address::Role(role.clone()),
        Actor::User | Actor::Unproven => Address::User,
        Actor::System => return Vec::new(),
    };
    vec![Notice { from: from.clone(), to, kind, priority, subject: shortened(subject), body }]
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

/// Whoever wanted it is told, and whoever waited for it.
fn done(it: &TaskFinished, by: &Actor, after: &State) -> Vec<Notice> {
    let wanted_by = after.tasks.get(&it.id).map_or(Actor::System, |task| task.wanted_by.clone());
    let orchestrator = after.policy.roster.first_of(Kind::is_orchestrator).cloned().map(Actor::Role);
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
