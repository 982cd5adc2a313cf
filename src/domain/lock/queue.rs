//! The write lock's queue: who is next, and why (docs/rules.md I3). The User comes first, then priority, then
//! order of arrival; each missed offer costs one place.
//!
//! Invariants (each has a test of the same name in `tests/fast/rules/`):
//! * `grants_follow_the_queue`
//! * `a_missed_offer_costs_a_place_and_the_third_the_ticket`
//! * `a_dead_waiter_delays_no_grant` (docs/rules.md I7): the lock is granted to a command that waits at this
//!   moment, or reserved for a moment for a role that was active in the last minute; any other waiter keeps
//!   its place and is passed over (docs/decisions.md D5).

use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::request::Waiter;
use crate::domain::session::process::Process;
use crate::domain::state::State;

/// The time in milliseconds within which a role must have been active to be made an offer (docs/decisions.md
/// D5).
pub const PRESENT_WITHIN_MS: u64 = 60_000;

/// The number of missed offers that costs the ticket (docs/decisions.md D5).
pub const MISSED_MAX: u8 = 3;

/// Returns what decides about a ticket's place when it enters the queue: smaller goes first.
fn rank(waiter: &Waiter) -> (u8, crate::domain::mail::priority::Priority, u64) {
    // An unidentified process never comes first (docs/decisions.md D3).
    let class = match waiter.actor {
        Actor::User => 0,
        Actor::Role(_) | Actor::System => 1,
        Actor::Unproven => 2,
    };
    (class, waiter.request.priority, waiter.ticket)
}

/// Puts a ticket in its place: where it was, unless its priority has changed.
pub fn enter(queue: &mut Vec<Waiter>, waiter: Waiter) {
    if let Some(old) = queue.iter_mut().find(|w| w.ticket == waiter.ticket) {
        if rank(old) == rank(&waiter) {
            *old = waiter;
            return;
        }
        queue.retain(|w| w.ticket != waiter.ticket);
    }
    // A waiter that lost places by missed offers does not hold back others that rank before it.
    let behind = queue.iter().position(|w| rank(w) > rank(&waiter));
    queue.insert(behind.unwrap_or(queue.len()), waiter);
}

/// Puts a ticket that missed an offer one place back, or out when it was the last permitted one.
pub fn put_back(queue: &mut Vec<Waiter>, waiter: Waiter) {
    // A waiter that was granted the lock without seeing it had been the first.
    let at = queue.iter().position(|w| w.ticket == waiter.ticket);
    queue.retain(|w| w.ticket != waiter.ticket);
    if waiter.missed < MISSED_MAX {
        queue.insert((at.unwrap_or(0) + 1).min(queue.len()), waiter);
    }
}

/// Whether a waiter's command is waiting at this moment.
#[must_use]
pub fn is_calling(waiter: &Waiter, facts: &Facts) -> bool {
    let lives = |process: &Process| !facts.dead.contains(process);
    lives(&waiter.process) && waiter.caller.as_ref().is_some_and(lives)
}

/// Returns the time since a waiter last asked or did anything, in milliseconds; time frozen does not count.
#[must_use]
pub fn idle_ms(waiter: &Waiter, state: &State, facts: &Facts) -> u64 {
    let ago = |moment| state.awake_ms_since(moment, &facts.now.boot);
    let active = waiter.actor.role().and_then(|role| facts.active.get(role)).map(ago);
    ago(&waiter.asked).min(active.unwrap_or(u64::MAX))
}

/// Whether an offer can be made to a waiter whose command is away: it lives, may work, and was active a
/// moment ago.
#[must_use]
pub fn is_available(waiter: &Waiter, state: &State, facts: &Facts) -> bool {
    let lives = !facts.dead.contains(&waiter.process);
    lives && waiter.actor != Actor::Unproven && idle_ms(waiter, state, facts) < PRESENT_WITHIN_MS
}

/// Returns the waiter that would be granted or offered the lock if it were free now.
#[must_use]
pub fn next<'a>(state: &'a State, facts: &Facts) -> Option<&'a Waiter> {
    let still = |w: &Waiter| w.actor.role().is_some_and(|role| state.is_paused_or_parked(role));
    let can = |w: &Waiter| !still(w) && (is_calling(w, facts) || is_available(w, state, facts));
    state.queue.iter().find(|w| can(w))
}

/// Returns the place of a ticket in the queue, from 1.
#[must_use]
pub fn place(state: &State, ticket: u64) -> Option<usize> {
    state.queue.iter().position(|w| w.ticket == ticket).map(|i| i + 1)
}

/// Returns the estimated waiting time at this place (from 1), in milliseconds: the rest of the lease, and the
/// estimates of the waiters before it.
#[must_use]
pub fn estimate_ms(state: &State, facts: &Facts, place: usize) -> u64 {
    let left = state
        .held()
        .map_or(0, |held| crate::domain::lock::lease::expiry(held, state, facts).ms_until(&facts.now.boot));
    let lease = |w: &Waiter| w.request.estimate_ms.unwrap_or(state.policy.lock.lease_ms);
    let ahead = state.queue.iter().take(place.saturating_sub(1)).map(lease).fold(0, u64::saturating_add);
    left.saturating_add(ahead)
}
