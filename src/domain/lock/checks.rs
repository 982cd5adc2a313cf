//! The single checks of a movement: freeze, pause, role, lease, claim, owners. `guard::permission` sets
//! their order.
//!
//! Each check counts as far as the policy says (docs/rules.md R5.2): it refuses, it warns, or it is off. Only
//! the compiled policy is read, never live configuration.

use std::collections::BTreeMap;

use crate::domain::command::Caller;
use crate::domain::facts::Facts;
use crate::domain::freeze::break_glass;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::lock::claim::Claim;
use crate::domain::lock::lease::{expiry_reason, held_refusal};
use crate::domain::lock::queue;
use crate::domain::lock::write_lock::Lease;
use crate::domain::policy::checks::{Check, Level};
use crate::domain::policy::compiled::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

/// The largest number of own files that a suggested command names.
const OWN_MAX: usize = 30;

/// The number of file names that a refusal shows.
const FILES_SHOWN: usize = 5;

/// The refusals of checks that only warn.
pub type Warnings = Vec<(Check, Refusal)>;

/// Applies a check's result as the policy says: a refusal, a warning, or nothing.
///
/// # Errors
/// The refusal, when the check is enforced.
pub fn apply(
    policy: &Policy,
    check: Check,
    result: Result<(), Refusal>,
    warnings: &mut Warnings,
) -> Result<(), Refusal> {
    let Err(refusal) = result else { return Ok(()) };
    match policy.checks.level(check) {
        Level::Enforce => Err(refusal),
        Level::Warn => {
            warnings.push((check, refusal));
            Ok(())
        }
        Level::Off => Ok(()),
    }
}

/// Refuses while the system is frozen.
///
/// # Errors
/// [`Refusal::Frozen`].
pub fn running(state: &State) -> Result<(), Refusal> {
    match &state.system {
        FreezeState::Running => Ok(()),
        FreezeState::Frozen { by, reason, since, .. } => {
            let (by, reason, pinned) = (by.clone(), reason.clone(), state.pinned());
            Err(Refusal::Frozen { by, reason, since: *since, pinned })
        }
    }
}

/// Refuses a movement of refs while the system is frozen, but not to the User while break-glass is active.
///
/// # Errors
/// [`Refusal::Frozen`].
pub fn not_frozen(state: &State, caller: &Caller, facts: &Facts) -> Result<(), Refusal> {
    running(state).or_else(|refusal| match break_glass::active_for(state, &caller.actor, facts) {
        Some(_) => Ok(()),
        None => Err(refusal),
    })
}

/// Refuses a role that is paused.
///
/// # Errors
/// [`Refusal::Paused`].
pub fn not_paused(state: &State, actor: &Actor) -> Result<(), Refusal> {
    match actor.role().and_then(|role| state.paused.get(role)) {
        None => Ok(()),
        Some(pause) => {
            let (by, reason) = (pause.by.clone(), pause.reason.clone());
            Err(Refusal::Paused { by, reason, since: pause.since })
        }
    }
}

/// Refuses a role that never writes: a librarian, and one that is not, or no longer, in the roster.
///
/// # Errors
/// [`Refusal::ReadOnly`].
pub(crate) fn may_write(state: &State, actor: &Actor) -> Result<(), Refusal> {
    match actor.role() {
        Some(role) if state.policy.roster.kind(role).is_none_or(RoleKind::is_librarian) => {
            Err(Refusal::ReadOnly { role: role.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the caller's own lease.
///
/// # Errors
/// The refusal, with the place in the queue when there is one.
pub(crate) fn own_lease<'a>(
    state: &'a State,
    caller: &Caller,
    facts: &Facts,
    action: &str,
) -> Result<&'a Lease, Refusal> {
    let live = state.held().filter(|_| expiry_reason(state, facts).is_none());
    if let Some(held) = live.filter(|_| state.is_holder(&caller.actor, &caller.process)) {
        return Ok(held);
    }
    let mine = state.queue.iter().find(|w| {
        crate::domain::lock::request::is_same(&w.actor, &w.process, &caller.actor, &caller.process)
    });
    let place = mine.and_then(|w| queue::place(state, w.ticket));
    let kept_for_me = state.offer().is_some_and(|offer| mine.is_some_and(|w| w.ticket == offer.ticket));
    let not_held = || Refusal::NotHeld { action: action.to_owned() };
    // An expired lease that left nothing to be saved blocks no caller.
    let in_the_way = |r: &Refusal| !matches!(r, Refusal::Held { .. }) || live.is_some();
    let refusal = held_refusal(state, facts, place).filter(|r| in_the_way(r) && !kept_for_me);
    Err(refusal.unwrap_or_else(not_held))
}

/// Returns the claim that a movement is to be compared with, when the policy asks for it.
#[must_use]
pub fn claim<'a>(policy: &Policy, held: &'a Lease) -> Option<&'a Claim> {
    match &held.request.files {
        Claim::All => None,
        Claim::Paths(_) if policy.checks.level(Check::Claims) != Level::Off => Some(&held.request.files),
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
    let files = outside
        .iter()
        .take(FILES_SHOWN)
        .map(|p| crate::domain::util::path_encoding::to_text(p).to_string())
        .collect();
    Err(Refusal::OutsideClaim { files, count: outside.len(), claim: claim.to_string() })
}

/// The owner of each path, as far as known: the role that edited it last, or that claims it by name.
pub type Owners = BTreeMap<Vec<u8>, Role>;

/// Returns the claims of roles, for their leases and in the queue.
pub fn claims(state: &State) -> impl Iterator<Item = (&Role, &Claim)> {
    let holder = state.held().map(|h| (&h.holder, &h.request));
    let all = holder.into_iter().chain(state.queue.iter().map(|w| (&w.actor, &w.request)));
    let named = all.filter(|(_, request)| !request.guessed && request.files != Claim::All);
    named.filter_map(|(actor, request)| Some((actor.role()?, &request.files)))
}

/// Returns the roles that claim any of these paths (see [`Claim`]): for each path, its role. Claims of others count only for the very name of a path, since a
/// pattern only says where they will work; a path that the caller claims in any way is its own.
#[must_use]
pub fn roles_claiming(state: &State, me: &Actor, paths: &[Vec<u8>]) -> Owners {
    let (mine, others): (Vec<_>, Vec<_>) = claims(state).partition(|(role, _)| me.role() == Some(role));
    let of_mine = |path: &Vec<u8>| mine.iter().find(|(_, claim)| claim.covers(path));
    let of_others = |path: &Vec<u8>| others.iter().find(|(_, claim)| claim.names(path));
    let owner = |path: &Vec<u8>| of_mine(path).or_else(|| of_others(path)).map(|(role, _)| (*role).clone());
    paths.iter().filter_map(|path| Some((path.clone(), owner(path)?))).collect()
}

/// Refuses a commit that contains the work of others together with one's own (docs/rules.md R4.20, shared
/// mode: twelve agents share one index).
///
/// # Errors
/// [`Refusal::OthersFiles`] with the first few of them.
pub fn only_own_files(owners: &Owners, me: &Actor, paths: &[Vec<u8>]) -> Result<(), Refusal> {
    let theirs: Vec<(&Vec<u8>, &Role)> = paths
        .iter()
        .filter_map(|path| Some((path, owners.get(path)?)))
        .filter(|(_, role)| me.role() != Some(role))
        .collect();
    if theirs.is_empty() {
        return Ok(());
    }
    let shown = theirs.iter().take(FILES_SHOWN);
    let files = shown
        .map(|(path, role)| (crate::domain::util::path_encoding::to_text(path).to_string(), (*role).clone()))
        .collect();
    let own = paths.iter().filter(|path| !theirs.iter().any(|(other, _)| other == path));
    let own: Vec<String> =
        own.map(|path| crate::domain::util::path_encoding::to_text(path).to_string()).collect();
    let own = if own.len() > OWN_MAX { Vec::new() } else { own };
    Err(Refusal::OthersFiles { files, count: theirs.len(), own })
}
