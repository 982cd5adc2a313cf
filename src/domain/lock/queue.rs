//! The write lock's queue: who is next, and why (docs/rules.md I3). The User first, then priority, then
//! order of arrival, less one place for each missed offer.
//!
//! Invariants (each has a test of the same name in `tests/rules/`):
//! * `grants_follow_the_queue`
//! * `a_missed_offer_costs_a_place_and_the_third_the_ticket`
//! * `a_dead_waiter_delays_nobody` (docs/rules.md I7): the lock is given to a command that waits at this
//!   moment, or kept for a moment for a role that did something in the last minute; whoever is neither keeps
//!   its place and delays nobody (docs/decisions.md D5).

use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::request::Waiter;
use crate::domain::session::process::Process;
use crate::domain::state::State;

/// An offer is made only to who did something within this time, in milliseconds (docs/decisions.md D5).
pub const THERE_MS: u64 = 60_000;

/// So many offers that were not taken up cost the ticket (docs/decisions.md D5).
pub const MISSED_MAX: u8 = 3;

/// What decides about a place in the queue when a ticket enters it: smaller goes first.
fn rank(waiter: &Waiter) -> (u8, crate::domain::mail::priority::Priority, u64) {
    // Whoever is unproven never comes first (docs/decisions.md D3).
    let class = match waiter.actor {
        Actor::User => 0,
        Actor::Role(_) | Actor::System => 1,
        Actor::Unproven => 2,
    };
    (class, waiter.request.priority, waiter.ticket)
}

/// Puts a ticket in its place: where it was, unless its priority is another one now.
pub fn enter(queue: &mut Vec<Waiter>, waiter: Waiter) {
    if let Some(old) = queue.iter_mut().find(|w| w.ticket == waiter.ticket) {
        if rank(old) == rank(&waiter) {
            *old = waiter;
            return;
        }
        queue.retain(|w| w.ticket != waiter.ticket);
    }
    // Whoever lost places by missed offers does not keep others behind who come before it.
    let behind = queue.iter().position(|w| rank(w) > rank(&waiter));
    queue.insert(behind.unwrap_or(queue.len()), waiter);
}

/// Puts a ticket that missed an offer one place back, or out when it was one too many.
pub fn put_back(queue: &mut Vec<Waiter>, waiter: Waiter) {
    // Whoever was given the lock and did not see it had been the first.
    let at = queue.iter().position(|w| w.ticket == waiter.ticket);
    queue.retain(|w| w.ticket != waiter.ticket);
    if waiter.missed < MISSED_MAX {
        queue.insert((at.unwrap_or(0) + 1).min(queue.len()), waiter);
    }
}

/// Whether a waiter's command waits at this moment.
#[must_use]
pub fn is_calling(waiter: &Waiter, facts: &Facts) -> bool {
    let lives = |process: &Process| !facts.dead.contains(process);
    lives(&waiter.process) && waiter.caller.as_ref().is_some_and(lives)
}

/// How long ago a waiter last asked or did anything, in milliseconds; what was frozen does not count.
#[must_use]
pub fn idle_ms(waiter: &Waiter, state: &State, facts: &Facts) -> u64 {
    let ago = |moment| state.awake_ms_since(moment, &facts.now.boot);
    let active = waiter.actor.role().and_then(|role| facts.active.get(role)).map(ago);
    ago(&waiter.asked).min(active.unwrap_or(u64::MAX))
}

/// Whether the lock would be kept for a waiter whose command is away: it lives, it may work, and it
/// did something a moment ago.
#[must_use]
pub fn is_available(waiter: &Waiter, state: &State, facts: &Facts) -> bool {
    let lives = !facts.dead.contains(&waiter.process);
    lives && waiter.actor != Actor::Unproven && idle_ms(waiter, state, facts) < THERE_MS
}

/// Who gets the lock next, or has it kept for a moment, if it were free now.
#[must_use]
pub fn next<'a>(state: &'a State, facts: &Facts) -> Option<&'a Waiter> {
    let still = |w: &Waiter| w.actor.role().is_some_and(|role| state.is_paused_or_parked(role));
    let can = |w: &Waiter| !still(w) && (is_calling(w, facts) || is_available(w, state, facts));
    state.queue.iter().find(|w| can(w))
}

/// The place of a ticket in the queue, from 1.
#[must_use]
pub fn place(state: &State, ticket: u64) -> Option<usize> {
    state.queue.iter().position(|w| w.ticket == ticket).map(|i| i + 1)
}

/// How long the waiter at this place (from 1) will probably wait: what is left of the lease, and
/// the estimates of those before it.
#[must_use]
pub fn estimate_ms(state: &State, facts: &Facts, place: usize) -> u64 {
    let left = state
        .held()
        .map_or(0, |held| crate::domain::lock::lease::expiry(held, state, facts).ms_until(&facts.now.boot));
    let lease = |w: &Waiter| w.request.estimate_ms.unwrap_or(state.policy.lock.lease_ms);
    let ahead = state.queue.iter().take(place.saturating_sub(1)).map(lease).fold(0, u64::saturating_add);
    left.saturating_add(ahead)
}
