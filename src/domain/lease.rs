//! Owns when a lease ends, and how a held lock is told.

use super::event::Release;
use super::refusal::Refusal;
use super::state::{Facts, Held, State};
use super::time::{Moment, Wall};

/// When a lease really ends: as granted or renewed, or a lease after the holder's last activity.
#[must_use]
pub fn expiry(held: &Held, state: &State, facts: &Facts) -> Moment {
    let active = held.holder.role().and_then(|role| facts.active.get(role));
    let Some(active) = active.filter(|m| m.boot == held.granted.boot && m.ms > held.granted.ms) else {
        return held.expires.clone();
    };
    let by_activity = active.plus(state.policy.lock.lease_ms);
    if by_activity.ms > held.expires.ms { by_activity } else { held.expires.clone() }
}

/// The same for people, by the clock that stood beside the lease when it was given.
#[must_use]
pub fn expiry_at(held: &Held, state: &State, facts: &Facts) -> Wall {
    let later_ms = expiry(held, state, facts).ms.saturating_sub(held.expires.ms);
    Wall(held.expires_at.0.saturating_add_unsigned(later_ms))
}

/// Why a lease is over although nobody ended it, if it is.
#[must_use]
pub fn lapsed(state: &State, facts: &Facts) -> Option<Release> {
    let held = state.held()?;
    if facts.dead.contains(&held.process) {
        return Some(Release::HolderDied);
    }
    let end = expiry(held, state, facts).plus(state.policy.lock.grace_ms);
    end.has_passed(&facts.now.boot).then_some(Release::Expired)
}

/// The refusal for somebody who meets a held lock; `None` when it is free.
#[must_use]
pub fn held_refusal(state: &State, facts: &Facts, place: Option<usize>) -> Option<Refusal> {
    let held = state.held()?;
    Some(Refusal::Held {
        holder: held.holder.clone(),
        purpose: held.request.purpose.clone(),
        since: held.granted_at,
        left_ms: expiry(held, state, facts).ms_until(&facts.now.boot),
        place,
    })
}
