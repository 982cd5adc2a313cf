//! Owns how crashes, restarts, limits and work items are told.

use crate::domain::describe::{bracketed, listed};
use crate::domain::event::Event;
use crate::domain::health::incident::{Crash, Plan};
use crate::domain::identity::role::Role;
use crate::domain::util::sanitize;

/// The sentence of an event of health; of another one nothing.
#[expect(clippy::wildcard_enum_match_arm, reason = "story.rs sends only these here, and names each")]
pub(crate) fn health(event: &Event) -> String {
    match event {
        Event::SessionLost(lost) => {
            format!("{} with {}", sanitize::line(&lost.name), listed(&lost.roles, ", "))
        }
        Event::InstanceStopping(it) | Event::InstanceRecovered(it) | Event::InstanceUnparked(it) => {
            it.role.to_string()
        }
        Event::InstanceCrashed(crash) => crashed(crash),
        Event::RestartBegun(begun) => {
            let how = begun.how.map_or_else(String::new, |how| format!(" ({how})"));
            format!("{}, attempt {}{how}", whose(begun.role.as_ref()), begun.attempt)
        }
        Event::InstanceRestarted(it) => format!("{} runs again (attempt {})", it.role, it.attempt),
        Event::RestartFailed(failed) => {
            let then = if failed.again.is_some() { "it is tried again" } else { "nobody tries it again" };
            let attempt = Some(failed.attempt).filter(|attempt| *attempt > 0);
            let attempt = attempt.map_or_else(String::new, |attempt| format!(", attempt {attempt}"));
            format!("{}{attempt}: {}; {then}", whose(failed.role.as_ref()), sanitize::line(&failed.why))
        }
        Event::InstanceStale(stale) => format!("{}: {}", stale.role, sanitize::line(&stale.why)),
        Event::InstanceParked(parking) => {
            let guess = if parking.told { "" } else { " (until when is not known)" };
            format!("{} until {}{guess}", parking.role, parking.until_at.clock())
        }
        _ => String::new(),
    }
}

/// A crash with what is done about it.
#[must_use]
pub fn crashed(crash: &Crash) -> String {
    let how = crash.how.map_or_else(|| "its process is gone".to_owned(), |how| how.to_string());
    let impact = Some(crash.impact.told()).filter(|told| !told.is_empty());
    let impact = impact.map_or_else(String::new, |told| format!("; {told}"));
    let plan = match &crash.plan {
        Plan::Restart { attempt, .. } => format!("it is restarted (attempt {attempt})"),
        Plan::WithTheSession => "it comes back with its session".to_owned(),
        Plan::Nothing { why } => format!("it is not restarted: {}", sanitize::line(why)),
    };
    format!("{}: {how}{impact}; {plan}", crash.role)
}

fn whose(role: Option<&Role>) -> String {
    role.map_or_else(|| "the session".to_owned(), ToString::to_string)
}

/// The sentence of an event of work items; of another one nothing.
#[expect(clippy::wildcard_enum_match_arm, reason = "story.rs sends only these here, and names each")]
pub(crate) fn work(event: &Event) -> String {
    match event {
        Event::TaskAssigned(task) => {
            format!("T{} to {}: {}", task.id, task.assignee, sanitize::line(&task.title))
        }
        Event::TaskStarted(it) => format!("T{} by {}: {}", it.id, it.assignee, sanitize::line(&it.title)),
        Event::TaskDone(it) | Event::TaskCancelled(it) => {
            format!("T{} of {}: {}{}", it.id, it.assignee, sanitize::line(&it.title), bracketed(&it.note))
        }
        Event::TaskReassigned(it) => {
            let (id, to, from) = (it.id, &it.assignee, &it.former);
            format!("T{id} from {from} to {to}: {}{}", sanitize::line(&it.title), bracketed(&it.reason))
        }
        Event::WorkBlocked(blocked) => {
            let ids: Vec<String> = blocked.tasks.iter().map(|id| format!("T{id}")).collect();
            format!("{} of {}: {}", listed(&ids, ", "), blocked.role, sanitize::line(&blocked.why))
        }
        _ => String::new(),
    }
}
