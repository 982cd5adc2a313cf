//! The messages that crashes, restarts and usage limits cause.

use serde_json::json;

use crate::domain::facts::Facts;
use crate::domain::health::describe;
use crate::domain::health::event::HealthEvent;
use crate::domain::health::incident::{Crash, CrashResponse, RestartFailed};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::notice::{Notice, from_system, overseers, shortened};
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &HealthEvent, after: &State, facts: &Facts) -> Vec<Notice> {
    match event {
        HealthEvent::SessionLost(lost) => {
            let subject = format!("tmux ended, and with it {} instances", lost.roles.len());
            let body = json!({"session": lost.name, "instances": lost.roles, "next": "cmw-session up"});
            from_system(MessageType::SESSION_LOST, &[Actor::User], Priority::Critical, subject, body)
        }
        HealthEvent::InstanceCrashed(crash) => crashed(crash, after, facts),
        HealthEvent::InstanceRestarted(it) => {
            let subject = format!("{} runs again (attempt {})", it.role, it.attempt);
            let body = json!({"instance": it.role, "attempt": it.attempt});
            from_system(
                MessageType::INSTANCE_RESTARTED,
                &recipients(after, &it.role),
                Priority::Low,
                subject,
                body,
            )
        }
        HealthEvent::RestartFailed(failed) if failed.again.is_none() => restart_failed(failed, after),
        HealthEvent::InstanceStale(stale) => {
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
        HealthEvent::InstanceParked(parking) => {
            let until = parking.until_at;
            let subject = format!("{} is stopped by a usage limit until {}", parking.role, until.clock());
            let body = json!({"instance": parking.role, "until": until, "told": parking.told,
                "effect": "its uncommitted work is saved and its lock released; it goes on by itself"});
            let to = recipients(after, &parking.role);
            from_system(MessageType::INSTANCE_PARKED, &to, Priority::Low, subject, body)
        }
        HealthEvent::InstanceStopping(_)
        | HealthEvent::RestartBegun(_)
        | HealthEvent::RestartFailed(_)
        | HealthEvent::InstanceRecovered(_)
        | HealthEvent::InstanceUnparked(_) => Vec::new(),
    }
}

/// Returns the overseers without the role concerned; if there are none, the User.
fn instead_of(role: &Role, mut to: Vec<Actor>) -> Vec<Actor> {
    to.retain(|actor| actor.role() != Some(role));
    if to.is_empty() { vec![Actor::User] } else { to }
}

/// Returns the overseers and the User.
fn recipients(state: &State, role: &Role) -> Vec<Actor> {
    let mut to = instead_of(role, overseers(state));
    to.extend((!to.contains(&Actor::User)).then_some(Actor::User));
    to
}

fn crashed(crash: &Crash, state: &State, facts: &Facts) -> Vec<Notice> {
    // A lost session is reported once, not for each instance.
    if crash.plan == CrashResponse::WithTheSession {
        return Vec::new();
    }
    let subject = shortened(&format!("{} crashed; {}", crash.role, describe::crashed(crash)));
    let restarts = matches!(crash.plan, CrashResponse::Restart { .. });
    let mut options = vec![format!("cmw-health restart {}", crash.role)];
    options.extend(["cmw-freeze now --reason '…'".to_owned(), "cmw-session attach".to_owned()]);
    let body = json!({"instance": crash.role, "timestamp": facts.now.wall, "how": crash.how, "impact": crash.impact,
        "plan": crash.plan, "options": options});
    let priority = if restarts { Priority::High } else { Priority::Critical };
    from_system(MessageType::INSTANCE_CRASHED, &recipients(state, &crash.role), priority, subject, body)
}

fn restart_failed(failed: &RestartFailed, state: &State) -> Vec<Notice> {
    let (whose, to, next) = match &failed.role {
        Some(role) => (role.to_string(), recipients(state, role), format!("cmw-health restart {role}")),
        None => ("The session".to_owned(), vec![Actor::User], "cmw-session up".to_owned()),
    };
    let subject = shortened(&format!("{whose} could not be restarted: {}; now: {next}", failed.why));
    let body = json!({"instance": failed.role, "attempts": failed.attempt, "why": failed.why, "next": next});
    from_system(MessageType::INSTANCE_CRASHED, &to, Priority::Critical, subject, body)
}
