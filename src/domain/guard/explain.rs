//! Owns what stands in the way of a commit at this moment: what the hooks would say, without trying.
//!
//! Invariant (a test of the same name): `what_is_foretold_is_what_the_rules_do`.

use crate::domain::command::{Asker, Command};
use crate::domain::decide::decide;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::facts::Facts;
use crate::domain::freeze::break_glass;
use crate::domain::guard::ref_rules::Verdict;
use crate::domain::lock::checks;
use crate::domain::lock::checks::Warnings;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::lease::expiry_at;
use crate::domain::lock::request::{Request, Waiter, is_same};
use crate::domain::lock::write_lock::Held;
use crate::domain::mail::priority::Priority;
use crate::domain::policy::checks::{Check, Level};
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::domain::util::time::Wall;

/// What the hooks call what they refuse.
const ACTION: &str = "committing";

/// How a commit would fare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It would be refused.
    Refused(Refusal),
    /// It would go through under a lease that is there.
    Held {
        /// The lease.
        held: Box<Held>,
        /// When it ends, for people.
        until: Wall,
    },
    /// Git takes the lock by itself.
    Free {
        /// Until when the lock is kept for who commits, when it is.
        kept_until: Option<Wall>,
    },
    /// The branch needs no lock.
    FreeBranch,
    /// No branch is checked out: none would move.
    NoBranch,
    /// The policy asks for no lock.
    NotAsked,
    /// The User has broken the glass.
    BreakGlass {
        /// Until when.
        until: Wall,
    },
}

/// Looks. `verdict` says what a commit on the branch is that is checked out, when one is. What is
/// staged is not looked at: see [`checks::only_own`] and [`checks::within`].
#[must_use]
pub fn look(
    state: &State,
    asker: &Asker,
    facts: &Facts,
    verdict: Option<Verdict>,
    warnings: &mut Warnings,
) -> Way {
    let Some(verdict) = verdict else { return Way::NoBranch };
    let policy = &state.policy;
    if verdict.stops_when_frozen()
        && let Err(refusal) =
            checks::apply(policy, Check::Freeze, checks::not_frozen(state, asker, facts), warnings)
    {
        return Way::Refused(refusal);
    }
    if !verdict.needs_lock() {
        return Way::FreeBranch;
    }
    // The freeze was looked at; it warns once.
    let mut more = Warnings::new();
    let way = match checks::lease(state, asker, facts, ACTION, &mut more) {
        Ok(Some(held)) => Way::Held { held: Box::new(held.clone()), until: expiry_at(held, state, facts) },
        Ok(None) => match break_glass::serves(state, &asker.actor, facts) {
            Some(glass) => Way::BreakGlass { until: glass.until_at },
            None => Way::NotAsked,
        },
        Err(refusal) => {
            let auto = policy.lock.auto && policy.checks.level(Check::Lock) == Level::Enforce;
            let may_help = auto && refusal.is_about_waiting();
            if may_help { taking(state, asker, facts) } else { Way::Refused(refusal) }
        }
    };
    warnings.extend(more.into_iter().filter(|(check, _)| *check != Check::Freeze));
    way
}

/// What comes of a git that asks for the lock, as it does by itself.
fn taking(state: &State, asker: &Asker, facts: &Facts) -> Way {
    let request = Request {
        files: Claim::All,
        purpose: String::new(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: None,
        guessed: true,
    };
    let git = asker.process.clone();
    let decision = decide(state, asker, &Command::Commit { request, git }, facts);
    let Err(refusal) = decision.outcome else {
        let kept = state.offer().filter(|offer| offer.to == asker.actor);
        return Way::Free { kept_until: kept.map(|offer| offer.until_at) };
    };
    // Asking would give it a place in the queue, which it has not got yet.
    let same = |w: &Waiter| is_same(&w.actor, &w.process, &asker.actor, &asker.process);
    let waits = state.queue.iter().any(same);
    let is_its_ticket = |event: &Event| matches!(event, Event::LockRequested { waiter } if same(waiter));
    let mut then = state.clone();
    for event in decision.events.iter().filter(|event| waits || !is_its_ticket(event)) {
        evolve(&mut then, event, facts.now.wall, &asker.actor);
    }
    match checks::lease(&then, asker, facts, ACTION, &mut Warnings::new()) {
        Err(seen) if !matches!(seen, Refusal::NotHeld { .. }) => Way::Refused(seen),
        Ok(_) | Err(_) => Way::Refused(refusal),
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
