//! State changes of a rescue: the lock is not granted until it is over.

use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::lock::write_lock::WriteLock;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::state::State;
use crate::domain::util::time::BootTime;

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &RescueEvent) {
    match event {
        RescueEvent::RecoveryStarted { recovery } => state.lock = WriteLock::Recovering(recovery.clone()),
        RescueEvent::RecoveryFailed { token, why, again, .. } => recovery_failed(state, *token, why, again),
        RescueEvent::WorkRescued { token, .. } | RescueEvent::RescueAbandoned { token, .. } => {
            clear_unsaved_work(state, *token);
        }
    }
}

fn recovery_failed(state: &mut State, token: u64, why: &str, again: &BootTime) {
    if let WriteLock::Recovering(recovery) = &mut state.lock
        && recovery.unsaved.token == token
    {
        recovery.failure = Some(why.to_owned());
        recovery.until = again.clone();
    }
}

/// Clears the unsaved work of the lease with this token: it is saved, or abandoned.
fn clear_unsaved_work(state: &mut State, token: u64) {
    if state.recovery().is_some_and(|r| r.unsaved.token == token) {
        state.lock = WriteLock::Free;
    }
    if let FreezeState::Frozen { unsaved, .. } = &mut state.system
        && unsaved.as_ref().is_some_and(|u| u.token == token)
    {
        *unsaved = None;
    }
}
