//! The messages that a rescue causes.

use serde_json::json;

use crate::domain::identity::actor::Actor;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::notice::{Notice, from_system, overseers, watchers};
use crate::domain::mail::priority::Priority;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::state::State;

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &RescueEvent, before: &State, after: &State) -> Vec<Notice> {
    match event {
        RescueEvent::WorkRescued { former, reference: Some(reference), files, skipped, .. } => {
            rescued(former, reference, *files, skipped, after)
        }
        RescueEvent::RecoveryFailed { former, why, .. }
            if before.recovery().is_none_or(|r| r.failure.is_none()) =>
        {
            let to = watchers(after);
            let subject =
                format!("The uncommitted work of {former} could not be saved: the write lock is not granted");
            let body = json!({"former": former, "why": why, "next": "cmw-rescue abandon --reason '…'"});
            from_system(MessageType::SECURITY_ALERT, &to, Priority::Critical, subject, body)
        }
        RescueEvent::RecoveryStarted { .. }
        | RescueEvent::RecoveryFailed { .. }
        | RescueEvent::WorkRescued { .. }
        | RescueEvent::RescueAbandoned { .. } => Vec::new(),
    }
}

/// Returns the messages to the former holder and to the overseers.
fn rescued(former: &Actor, reference: &str, files: u64, skipped: &[String], state: &State) -> Vec<Notice> {
    let mut to = overseers(state);
    to.extend((!to.contains(former)).then(|| former.clone()));
    let short = reference.trim_start_matches("refs/cmw/rescue/");
    let missing = if skipped.is_empty() { "" } else { ", but not everything" };
    let subject = format!("The uncommitted work of {former} is saved{missing}: cmw-rescue show {short}");
    let body = json!({"ref": reference, "files": files, "not_saved": skipped});
    from_system(MessageType::WORK_RESCUED, &to, Priority::Normal, subject, body)
}
