//! Owns the order of the queue (I3): the person first, then priority, then order of arrival.
//!
//! Only a waiter whose command waits at this moment can be given the lock; a ticket whose waiter
//! is away keeps its place and delays nobody (I7, DECISIONS 5).

use super::role::Actor;
use super::state::{Facts, State, Waiter};

/// What decides about a place in the queue: smaller goes first.
fn rank(waiter: &Waiter) -> (u8, super::priority::Priority, u64) {
    // Whoever is unproven never comes first (DECISIONS 3).
    let class = match waiter.actor {
        Actor::User => 0,
        Actor::Role(_) | Actor::System => 1,
        Actor::Unproven => 2,
    };
    (class, waiter.request.priority, waiter.ticket)
}

/// The queue in the order in which the lock will be given.
#[must_use]
pub fn in_order(state: &State) -> Vec<&Waiter> {
    let mut queue: Vec<&Waiter> = state.queue.iter().collect();
    queue.sort_by_key(|w| rank(w));
    queue
}

/// Whether a waiter's command waits at this moment.
#[must_use]
pub fn is_calling(waiter: &Waiter, facts: &Facts) -> bool {
    !facts.dead.contains(&waiter.process) && waiter.caller.as_ref().is_some_and(|c| !facts.dead.contains(c))
}

/// Who gets the lock next, if it were free now.
#[must_use]
pub fn next<'a>(state: &'a State, facts: &Facts) -> Option<&'a Waiter> {
    in_order(state).into_iter().find(|w| is_calling(w, facts))
}

/// The place of a ticket in the queue, from 1.
#[must_use]
pub fn place(state: &State, ticket: u64) -> Option<usize> {
    in_order(state).iter().position(|w| w.ticket == ticket).map(|i| i + 1)
}

/// How long the waiter at this place (from 1) will probably wait: what is left of the lease, and
/// the estimates of those before it.
#[must_use]
pub fn estimate_ms(state: &State, facts: &Facts, place: usize) -> u64 {
    let left =
        state.held().map_or(0, |held| super::decide::expiry(held, state, facts).ms_until(&facts.now.boot));
    let lease = |w: &&Waiter| w.request.estimate_ms.unwrap_or(state.policy.lock.lease_ms);
    let ahead = in_order(state).iter().take(place.saturating_sub(1)).map(lease).fold(0, u64::saturating_add);
    left.saturating_add(ahead)
}
