//! The checks that would refuse a commit at this moment: the hooks' answer, without a commit.
//!
//! Invariant (a test of the same name): `what_is_foretold_is_what_the_rules_do`.

use crate::domain::command::{Caller, Command};
use crate::domain::decide::decide;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::facts::Facts;
use crate::domain::freeze::break_glass;
use crate::domain::guard::permission::{
    Judgement, Known, Movement, Need, Stop, add_warnings, judge, lock_helps,
};
use crate::domain::guard::ref_rules::{Guarded, RefVerdict};
use crate::domain::lock::checks::Warnings;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::lease::expiry_at;
use crate::domain::lock::request::{LockRequest, Waiter, is_same};
use crate::domain::lock::write_lock::Lease;
use crate::domain::mail::priority::Priority;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::domain::util::time::WallTime;

/// The hooks' name for the action that they refuse.
const ACTION: &str = "committing";

/// The predicted outcome of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutlook {
    /// It would be refused.
    Refused(Refusal),
    /// It would be permitted under an existing lease.
    Held {
        /// The lease.
        held: Box<Lease>,
        /// The end of the lease, in wall-clock time.
        until: WallTime,
    },
    /// Git would acquire the lock by itself.
    Free {
        /// The end of the offer to the committer, when there is one.
        kept_until: Option<WallTime>,
    },
    /// The branch needs no lock.
    FreeBranch,
    /// No branch is checked out, so that none would move.
    NoBranch,
    /// The policy asks for no lock.
    NotAsked,
    /// Break-glass is active.
    BreakGlass {
        /// The end of break-glass.
        until: WallTime,
    },
}

/// The result of an explanation.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The predicted outcome of the commit; or the fact that must be looked up first.
    pub way: Result<CommitOutlook, Need>,
    /// The refusals of checks that only warn.
    pub warnings: Warnings,
}

/// Runs the sequence of checks as the hooks do. `verdict` classifies a commit on the branch that is checked
/// out, when there is one.
#[must_use]
pub fn predict(
    state: &State,
    caller: &Caller,
    facts: &Facts,
    verdict: Option<RefVerdict>,
    known: &Known,
) -> Explained {
    let explained = |way, warnings| Explained { way, warnings };
    let Some(verdict) = verdict else { return explained(Ok(CommitOutlook::NoBranch), Warnings::new()) };
    let movement = Movement::new(verdict, ACTION);
    let Judgement { permit, mut warnings } = judge(state, caller, facts, &movement, known);
    let way = match permit {
        Err(Stop::Needs(need)) => Err(need),
        Err(Stop::Refused(refusal)) if lock_helps(state, &refusal) => {
            match predict_auto_lock(state, caller, facts) {
                CommitOutlook::Free { kept_until } => {
                    // A commit that would be refused in any case acquires no lock.
                    let then = judge(state, caller, facts, &movement.taking_the_lock(), known);
                    add_warnings(&mut warnings, then.warnings);
                    match then.permit {
                        Ok(_) => Ok(CommitOutlook::Free { kept_until }),
                        Err(Stop::Refused(refusal)) => Ok(CommitOutlook::Refused(refusal)),
                        Err(Stop::Needs(need)) => Err(need),
                    }
                }
                outlook @ (CommitOutlook::Refused(_)
                | CommitOutlook::Held { .. }
                | CommitOutlook::FreeBranch
                | CommitOutlook::NoBranch
                | CommitOutlook::NotAsked
                | CommitOutlook::BreakGlass { .. }) => Ok(outlook),
            }
        }
        Err(Stop::Refused(refusal)) => Ok(CommitOutlook::Refused(refusal)),
        Ok(_) if !verdict.needs_lock() => Ok(CommitOutlook::FreeBranch),
        Ok(Some(held)) => {
            Ok(CommitOutlook::Held { held: Box::new(held.clone()), until: expiry_at(held, state, facts) })
        }
        Ok(None) => Ok(match break_glass::active_for(state, &caller.actor, facts) {
            Some(glass) => CommitOutlook::BreakGlass { until: glass.until_at },
            None => CommitOutlook::NotAsked,
        }),
    };
    explained(way, warnings)
}

/// Predicts the outcome for a git that requests the lock by itself.
fn predict_auto_lock(state: &State, caller: &Caller, facts: &Facts) -> CommitOutlook {
    let request = LockRequest {
        files: Claim::All,
        purpose: String::new(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: None,
        guessed: true,
    };
    let git = caller.process.clone();
    let decision = decide(state, caller, &Command::Commit { request, git }, facts);
    let Err(refusal) = decision.outcome else {
        let kept = state.offer().filter(|offer| offer.to == caller.actor);
        return CommitOutlook::Free { kept_until: kept.map(|offer| offer.until_at) };
    };
    // The request would create a ticket, which does not exist yet.
    let same = |w: &Waiter| is_same(&w.actor, &w.process, &caller.actor, &caller.process);
    let waits = state.queue.iter().any(same);
    let is_its_ticket =
        |event: &Event| matches!(event, Event::Lock(LockEvent::LockRequested { waiter }) if same(waiter));
    let mut then = state.clone();
    for event in decision.events.iter().filter(|event| waits || !is_its_ticket(event)) {
        evolve(&mut then, event, facts.now.wall, &caller.actor);
    }
    let movement = Movement::new(RefVerdict::Protected(Guarded::Branch), ACTION);
    match judge(&then, caller, facts, &movement, &Known::default()).permit {
        Err(Stop::Refused(seen)) if !matches!(seen, Refusal::NotHeld { .. }) => CommitOutlook::Refused(seen),
        Ok(_) | Err(_) => CommitOutlook::Refused(refusal),
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
