//! State changes of the policy.

use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &PolicyEvent) {
    match event {
        PolicyEvent::PolicySet { policy, digest, version, .. }
        | PolicyEvent::PolicyRestored { policy, digest, version, .. } => {
            state.last.policy = state.last.policy.max(*version);
            state.policy = (**policy).clone();
            state.policy_digest.clone_from(digest);
        }
        PolicyEvent::WeakeningRefused { .. }
        | PolicyEvent::HooksAdopted { .. }
        | PolicyEvent::CheckWarned { .. } => {}
    }
}
