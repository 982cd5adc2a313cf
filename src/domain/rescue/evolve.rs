//! What a rescue changes in the state: the lock is not granted until it is over.

use crate::domain::freeze::freeze_state::System;
use crate::domain::lock::write_lock::WriteLock;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::state::State;
use crate::domain::util::time::Moment;

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &RescueEvent) {
    match event {
        RescueEvent::RecoveryStarted { recovery } => state.lock = WriteLock::Recovering(recovery.clone()),
        RescueEvent::RecoveryFailed { token, why, again, .. } => recovery_failed(state, *token, why, again),
        RescueEvent::WorkRescued { token, .. } | RescueEvent::RescueAbandoned { token, .. } => {
            work_is_safe(state, *token);
        }
    }
}

fn recovery_failed(state: &mut State, token: u64, why: &str, again: &Moment) {
    if let WriteLock::Recovering(recovery) = &mut state.lock
        && recovery.unsaved.token == token
    {
        recovery.failure = Some(why.to_owned());
        recovery.until = again.clone();
    }
}

/// What the lease with this token left is saved, or given up.
fn work_is_safe(state: &mut State, token: u64) {
    if state.recovery().is_some_and(|r| r.unsaved.token == token) {
        state.lock = WriteLock::Free;
    }
    if let System::Frozen { unsaved, .. } = &mut state.system
        && unsaved.as_ref().is_some_and(|u| u.token == token)
    {
        *unsaved = None;
    }
}
