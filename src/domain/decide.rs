//! The one function that decides: every command goes through `decide`.
//!
//! Invariants (each has a test of the same name in `tests/fast/rules/`, run over all reachable states):
//! * `one_holder`: a lease is given only while there is none (docs/rules.md I1).
//! * `tokens_only_grow`: each lease has a larger token than every one before (docs/rules.md I2).
//! * `grants_follow_the_queue`: the person, then priority, then order of arrival (docs/rules.md I3).
//! * `a_caller_gets_the_free_lock`: no live holder and a waiting command means a grant now
//!   (docs/rules.md I4).
//! * `only_the_holder_releases`: and a stale token has no effect (docs/rules.md I6).
//! * `a_dead_waiter_delays_no_grant` (docs/rules.md I7).
//! * `frozen_holds_no_lock` (docs/rules.md I9).
//! * `the_wall_clock_decides_nothing` (docs/rules.md I11).
//! * `no_ghost_keeps_the_lock_longer_than_its_offer` (docs/decisions.md D5).
//! * `no_grant_comes_before_the_work_is_saved` (docs/decisions.md D2).

use crate::domain::command::{Caller, Command, Decision, Reply};
use crate::domain::decision::DecisionBuilder;
use crate::domain::facts::Facts;
use crate::domain::refusal::Refusal;
use crate::domain::session::event::SessionEvent;
use crate::domain::state::State;

/// Decides a command. Pure: the same state, command and facts give the same decision.
#[must_use]
pub fn decide(state: &State, caller: &Caller, command: &Command, facts: &Facts) -> Decision {
    let mut draft = DecisionBuilder { state: state.clone(), caller, facts, events: Vec::new() };
    draft.detect_crashes();
    draft.expire_overdue(command);
    let outcome = draft.run(command);
    if outcome.is_err() {
        // After a refusal the caller does not go on with an expired lease.
        draft.expire_overdue(&Command::Observe(Vec::new()));
    }
    draft.grant_next();
    let outcome = match outcome {
        Ok(Reply::Released { lock_id, .. }) => {
            Ok(Reply::Released { lock_id, next: draft.state.held().map(|h| h.holder.clone()) })
        }
        other => other,
    };
    Decision { events: draft.events, outcome }
}

impl DecisionBuilder<'_> {
    fn run(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::SetPolicy(policy) => self.set_policy(policy),
            Command::RestorePolicy(policy) => self.restore_policy(policy),
            Command::AdoptHooks { former, adopted, hooks } => self.adopt_hooks(former, adopted, hooks),
            Command::SessionUp { name, socket, server, agent } => {
                self.session_up(name, socket.as_ref(), server, agent.as_ref())
            }
            Command::SessionDown => self.session_down(),
            Command::Launch(panes) => self.launch(panes),
            Command::Register => self.register(),
            Command::Shutdown(role) => self.shutdown(role),
            Command::VerifyInitialization(findings) => {
                self.emit(SessionEvent::InitializationVerified { findings: findings.clone() });
                Ok(Reply::Done)
            }
            Command::Acquire { request, caller, stand_in } => {
                self.acquire(request, caller.as_ref(), stand_in.as_ref())
            }
            Command::Commit { request, git } => self.commit(request, git),
            Command::Release { token } => self.release(*token),
            Command::Renew => self.renew(None),
            Command::Cancel => self.cancel(),
            Command::Handover(to) => self.handover(to),
            Command::ForceRelease { reason } => self.force_release(reason),
            Command::Freeze { reason, pins } => self.freeze(reason, pins.as_ref()),
            Command::Thaw { reason } => self.thaw(reason),
            Command::Adopt { ids, reason } => self.adopt(ids, reason),
            Command::SelfTest { held, what } => self.self_test(*held, what),
            Command::Pinned(found) => Ok(self.pinned(found)),
            Command::BreakGlass { reason, for_ms } => self.break_glass(reason, *for_ms),
            Command::EndGlass => self.end_break_glass(),
            Command::Rescued { token, outcome } => self.rescued(*token, outcome),
            Command::AbandonRescue { reason } => self.abandon_rescue(reason),
            Command::Pause { roles, reason } => self.pause(roles, reason),
            Command::Resume { roles } => self.resume(roles),
            Command::Care(care) => self.decide_health(care),
            Command::Work(work) => self.work(work),
            Command::Observe(events) => {
                for event in events {
                    self.emit(event.clone());
                }
                Ok(Reply::Done)
            }
        }
    }
}
