//! State changes caused by violations, self-tests and a rebuilt state.

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::self_test::SelfTest;
use crate::domain::audit::violation::{TaintedRef, Violation};
use crate::domain::state::State;
use crate::domain::util::time::WallTime;

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &AuditEvent, at: WallTime) {
    match event {
        AuditEvent::StateRebuilt { token, policy_version, .. } => {
            state.last.token = state.last.token.max(*token);
            state.last.policy = state.last.policy.max(*policy_version);
        }
        AuditEvent::Checkpoint { state: whole, .. } => state.clone_from(whole),
        AuditEvent::ViolationFound { id, cause, refs, .. } => {
            state.last.violation = state.last.violation.max(*id);
            let refs = refs.iter().map(TaintedRef::of);
            match state.violations.iter_mut().find(|open| open.id == *id) {
                Some(open) => open.refs.extend(refs),
                None => {
                    let (cause, refs) = (cause.clone(), refs.collect());
                    state.violations.push(Violation { id: *id, found: at, cause, refs });
                }
            }
        }
        AuditEvent::ViolationsAdopted { ids, .. } => state.violations.retain(|v| !ids.contains(&v.id)),
        AuditEvent::SelfTested { held, .. } => state.self_test = Some(SelfTest { at, held: *held }),
        AuditEvent::RefsBaselined { .. } | AuditEvent::JournalLost { .. } => {}
    }
}
