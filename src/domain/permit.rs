//! Owns whether somebody may move protected refs at this moment: the hooks' whole opinion.

use super::claim::Claim;
use super::decide::{Asker, held_refusal, lapsed};
use super::policy::Policy;
use super::queue;
use super::refusal::Refusal;
use super::role::{Actor, Kind};
use super::state::{Facts, Held, State, System};

/// How many file names a refusal shows.
const FILES_SHOWN: usize = 5;

/// Refuses while the system is frozen.
///
/// # Errors
/// [`Refusal::Frozen`].
pub fn running(state: &State) -> Result<(), Refusal> {
    match &state.system {
        System::Running => Ok(()),
        System::Frozen { by, reason, since } => {
            Err(Refusal::Frozen { by: by.clone(), reason: reason.clone(), since: *since })
        }
    }
}

/// Whether the asker holds the write lock, and may: the lease under which it moves refs.
///
/// # Errors
/// The refusal, with the place in the queue when there is one.
pub fn lease<'a>(state: &'a State, asker: &Asker, facts: &Facts, action: &str) -> Result<&'a Held, Refusal> {
    running(state)?;
    if let Actor::Role(role) = &asker.actor
        && state.policy.roster.kind(role).is_none_or(Kind::is_librarian)
    {
        return Err(Refusal::ReadOnly { role: role.clone() });
    }
    let nobody = || Refusal::NotHeld { action: action.to_owned() };
    let Some(held) = state.held().filter(|_| lapsed(state, facts).is_none()) else { return Err(nobody()) };
    if state.is_holder(&asker.actor, &asker.process) {
        return Ok(held);
    }
    let mine = state
        .queue
        .iter()
        .find(|w| super::state::is_same(&w.actor, &w.process, &asker.actor, &asker.process));
    let place = mine.and_then(|w| queue::place(state, w.ticket));
    Err(held_refusal(state, facts, place).unwrap_or_else(nobody))
}

/// The claim that a movement is to be compared with, when the policy asks for it.
#[must_use]
pub fn claim<'a>(policy: &Policy, held: &'a Held) -> Option<&'a Claim> {
    match &held.request.files {
        Claim::All => None,
        Claim::Paths(_) if policy.preset.checks_claims() => Some(&held.request.files),
        Claim::Paths(_) => None,
    }
}

/// Refuses paths that are not claimed.
///
/// # Errors
/// [`Refusal::OutsideClaim`] with the first few of them.
pub fn within(claim: &Claim, paths: &[Vec<u8>]) -> Result<(), Refusal> {
    let outside = claim.uncovered(paths);
    if outside.is_empty() {
        return Ok(());
    }
    let files = outside.iter().take(FILES_SHOWN).map(|p| super::bytes::to_text(p).to_string()).collect();
    Err(Refusal::OutsideClaim { files, count: outside.len(), claim: claim.to_string() })
}
