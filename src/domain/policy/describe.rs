//! One-sentence descriptions of the events of the policy.

use crate::domain::identity::actor::Actor;
use crate::domain::policy::compiled::Policy;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::util::phrase::{listed, other};
use crate::domain::util::sanitize;

/// Returns the sentence, which follows who caused the event and its tag.
pub(crate) fn describe(event: &PolicyEvent, by: &Actor) -> String {
    match event {
        PolicyEvent::PolicySet { policy, weakens, .. } => policy_set(policy, weakens),
        PolicyEvent::WeakeningRefused { who, weakens, why } => {
            format!("{}{}: {}", other("", who, by), listed(weakens, "; "), sanitize::line(why))
        }
        PolicyEvent::PolicyRestored { changed, .. } => {
            format!("it had been changed in the state by hand: {}", listed(changed, ", "))
        }
        PolicyEvent::HooksAdopted { former, adopted, .. } => {
            format!(
                "those in {} run after cmw's (before: {})",
                sanitize::line(adopted),
                sanitize::line(former)
            )
        }
        PolicyEvent::CheckWarned { who, action, check, why } => {
            let (action, why) = (sanitize::line(action), sanitize::line(why));
            format!("{}{action}: {why} ({} only warns)", other("", who, by), check.as_str())
        }
    }
}

fn policy_set(policy: &Policy, weakens: &[String]) -> String {
    let roles = policy.roster.members().len();
    let weaker =
        if weakens.is_empty() { String::new() } else { format!("; WEAKENED: {}", listed(weakens, "; ")) };
    format!("{}, {}, {roles} roles{weaker}", policy.mode, policy.preset)
}
