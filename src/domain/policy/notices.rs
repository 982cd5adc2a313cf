//! The messages that a change of the policy, or an attempt to weaken it, causes.

use serde_json::json;

use crate::domain::identity::actor::Actor;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::notice::{Notice, alarm, from_system, watchers};
use crate::domain::mail::priority::Priority;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &PolicyEvent, by: &Actor, after: &State) -> Vec<Notice> {
    match event {
        PolicyEvent::PolicySet { weakens, digest, .. } if !weakens.is_empty() => {
            let to = watchers(after);
            let subject = format!("{by} weakened the policy: {}", weakens.join("; "));
            let body = json!({"weakens": weakens, "digest": digest, "by": by});
            from_system(MessageType::POLICY_WEAKENED, &to, Priority::High, subject, body)
        }
        PolicyEvent::WeakeningRefused { who, weakens, .. } => {
            let subject = format!("{who} tried to weaken the policy: {}", weakens.join("; "));
            alarm(after, subject, json!({"by": who, "weakens": weakens}))
        }
        PolicyEvent::PolicyRestored { changed, digest, .. } => {
            let subject = format!("The policy had been changed by hand: {}", changed.join(", "));
            alarm(after, subject, json!({"changed": changed, "digest": digest}))
        }
        PolicyEvent::PolicySet { .. }
        | PolicyEvent::HooksAdopted { .. }
        | PolicyEvent::CheckWarned { .. } => Vec::new(),
    }
}
