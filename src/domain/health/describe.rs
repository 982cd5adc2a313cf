//! One-sentence descriptions of crashes, restarts and usage limits.

use crate::domain::health::event::HealthEvent;
use crate::domain::health::incident::{Crash, CrashResponse};
use crate::domain::identity::role::Role;
use crate::domain::util::phrase::listed;
use crate::domain::util::sanitize;

/// Returns the sentence, which follows who caused the event and its tag.
pub(crate) fn describe(event: &HealthEvent) -> String {
    match event {
        HealthEvent::SessionLost(lost) => {
            format!("{} with {}", sanitize::line(&lost.name), listed(&lost.roles, ", "))
        }
        HealthEvent::InstanceStopping(it)
        | HealthEvent::InstanceRecovered(it)
        | HealthEvent::InstanceUnparked(it) => it.role.to_string(),
        HealthEvent::InstanceCrashed(crash) => crashed(crash),
        HealthEvent::RestartBegun(begun) => {
            let how = begun.how.map_or_else(String::new, |how| format!(" ({how})"));
            format!("{}, attempt {}{how}", whose(begun.role.as_ref()), begun.attempt)
        }
        HealthEvent::InstanceRestarted(it) => format!("{} runs again (attempt {})", it.role, it.attempt),
        HealthEvent::RestartFailed(failed) => {
            let then = if failed.again.is_some() { "it is tried again" } else { "it is not tried again" };
            let attempt = Some(failed.attempt).filter(|attempt| *attempt > 0);
            let attempt = attempt.map_or_else(String::new, |attempt| format!(", attempt {attempt}"));
            format!("{}{attempt}: {}; {then}", whose(failed.role.as_ref()), sanitize::line(&failed.why))
        }
        HealthEvent::InstanceStale(stale) => format!("{}: {}", stale.role, sanitize::line(&stale.why)),
        HealthEvent::InstanceParked(parking) => {
            let guess = if parking.told { "" } else { " (the limit's end is not known)" };
            format!("{} until {}{guess}", parking.role, parking.until_at.clock())
        }
    }
}

/// Describes a crash and the response to it.
#[must_use]
pub fn crashed(crash: &Crash) -> String {
    let how = crash.how.map_or_else(|| "its process is gone".to_owned(), |how| how.to_string());
    let impact = Some(crash.impact.describe()).filter(|told| !told.is_empty());
    let impact = impact.map_or_else(String::new, |told| format!("; {told}"));
    let plan = match &crash.plan {
        CrashResponse::Restart { attempt, .. } => format!("it is restarted (attempt {attempt})"),
        CrashResponse::WithTheSession => "it comes back with its session".to_owned(),
        CrashResponse::Nothing { why } => format!("it is not restarted: {}", sanitize::line(why)),
    };
    format!("{}: {how}{impact}; {plan}", crash.role)
}

fn whose(role: Option<&Role>) -> String {
    role.map_or_else(|| "the session".to_owned(), ToString::to_string)
}
