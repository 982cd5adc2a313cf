//! Leases: their end, the work to be saved then, and the refusal while the lock is held.

use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::release::Release;
use crate::domain::lock::write_lock::{Lease, Recovery, UnsavedWork, WriteLock};
use crate::domain::policy::settings::LockSettings;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::domain::util::time::{BootTime, WallTime};

/// Returns the time at which the holder was last active since it got the lock, if it was.
fn last_active<'a>(held: &Lease, facts: &'a Facts) -> Option<&'a BootTime> {
    let active = held.holder.role().and_then(|role| facts.active.get(role));
    active.filter(|m| m.boot == held.granted.boot && m.ms > held.granted.ms)
}

/// Returns the actual end of a lease: as granted or renewed, or one lease time after the holder's last
/// activity; after a grant that no command saw, the end of an offer.
#[must_use]
pub fn expiry(held: &Lease, state: &State, facts: &Facts) -> BootTime {
    if grant_is_unseen(held, facts) {
        return unseen_until(held, &state.policy.lock);
    }
    // A paused role does not work under the lock.
    let paused = held.holder.role().is_some_and(|role| state.paused.contains_key(role));
    let Some(active) = last_active(held, facts).filter(|_| !paused) else { return held.expires.clone() };
    let by_activity = active.plus(state.policy.lock.lease_ms);
    if by_activity.ms > held.expires.ms { by_activity } else { held.expires.clone() }
}

/// Whether the command that waited for the lease is gone, so that it is unknown whether it saw the grant.
fn grant_is_unseen(held: &Lease, facts: &Facts) -> bool {
    let caller = held.unseen.as_deref().and_then(|waiter| waiter.caller.as_ref());
    caller.is_some_and(|c| facts.dead.contains(c)) && last_active(held, facts).is_none()
}

fn unseen_until(held: &Lease, lock: &LockSettings) -> BootTime {
    held.granted.plus(lock.offer_ms)
}

/// Returns the same in wall-clock time, by the clock that was recorded with the lease.
#[must_use]
pub fn expiry_at(held: &Lease, state: &State, facts: &Facts) -> WallTime {
    let (end, granted) = (expiry(held, state, facts).ms, held.granted.ms);
    WallTime(held.granted_at.0.saturating_add_unsigned(end.saturating_sub(granted)))
}

/// Returns why a lease is over although no actor ended it, if it is.
#[must_use]
pub fn expiry_reason(state: &State, facts: &Facts) -> Option<Release> {
    let held = state.held()?;
    if facts.dead.contains(&held.process) {
        let instance = held.holder.role().and_then(|role| state.instances.get(role));
        let crashed = instance.is_some_and(|i| facts.dead.contains(&i.process));
        return Some(if held.auto && !crashed { Release::CommandEnded } else { Release::HolderDied });
    }
    if grant_is_unseen(held, facts) {
        let over = unseen_until(held, &state.policy.lock).has_passed(&facts.now.boot);
        return over.then_some(Release::NotTakenUp);
    }
    let end = expiry(held, state, facts).plus(state.policy.lock.grace_ms);
    end.has_passed(&facts.now.boot).then_some(Release::Expired)
}

/// Returns the work that a lease leaves behind and that must be saved before the next grant
/// (docs/decisions.md D2).
#[must_use]
pub fn unsaved_work(held: &Lease, reason: &Release, at: WallTime) -> Option<UnsavedWork> {
    let work_may_lie_there = match reason {
        Release::Expired
        | Release::HolderDied
        | Release::Shutdown
        | Release::Forced(_)
        | Release::NotTakenUp
        | Release::Parked
        | Release::Freeze => true,
        Release::Done | Release::Handover | Release::CommandEnded => false,
    };
    work_may_lie_there.then(|| UnsavedWork {
        token: held.token,
        former: held.holder.clone(),
        files: held.request.files.clone(),
        work_tree: held.request.work_tree.clone(),
        reason: reason.clone(),
        ended_at: at,
        // A git that has taken the lock itself may still be committing: its index stays as it is.
        index_stays: held.auto || *reason == Release::Freeze,
    })
}

/// Returns the time at which the lock next changes by itself, as far as can be known now.
#[must_use]
pub fn next_change(state: &State, facts: &Facts) -> Option<BootTime> {
    match &state.lock {
        WriteLock::Free => None,
        WriteLock::Held(held) if grant_is_unseen(held, facts) => Some(unseen_until(held, &state.policy.lock)),
        WriteLock::Held(held) => Some(expiry(held, state, facts).plus(state.policy.lock.grace_ms)),
        WriteLock::Offered(offer) => Some(offer.until.clone()),
        WriteLock::Recovering(recovery) => Some(recovery.until.clone()),
    }
}

/// Whether a transition is pending that the next command performs: an expired lease, an offer that was not
/// taken up, a rescue without a command.
#[must_use]
pub fn is_overdue(state: &State, facts: &Facts) -> bool {
    match &state.lock {
        WriteLock::Free => crate::domain::lock::queue::next(state, facts).is_some(),
        WriteLock::Held(_) => expiry_reason(state, facts).is_some(),
        WriteLock::Offered(offer) => offer.until.has_passed(&facts.now.boot),
        WriteLock::Recovering(recovery) => is_abandoned(recovery, facts),
    }
}

/// Whether a rescue has no active command: its command is gone or too slow, or it failed a while ago.
#[must_use]
pub(crate) fn is_abandoned(recovery: &Recovery, facts: &Facts) -> bool {
    let gone = recovery.failure.is_none() && facts.dead.contains(&recovery.by);
    gone || recovery.until.has_passed(&facts.now.boot)
}

/// Returns the refusal for a caller to whom the lock is not available; `None` when it is free.
#[must_use]
pub fn held_refusal(state: &State, facts: &Facts, place: Option<usize>) -> Option<Refusal> {
    match &state.lock {
        WriteLock::Free => None,
        WriteLock::Held(held) => Some(match expiry_reason(state, facts) {
            Some(reason) if unsaved_work(held, &reason, facts.now.wall).is_some() => {
                unsaved(&held.holder, None, place)
            }
            Some(_) | None => Refusal::Held {
                holder: held.holder.clone(),
                purpose: held.request.purpose.clone(),
                since: held.granted_at,
                left_ms: expiry(held, state, facts).ms_until(&facts.now.boot),
                place,
            },
        }),
        WriteLock::Offered(offer) => Some(Refusal::Offered {
            to: offer.to.clone(),
            left_ms: offer.until.ms_until(&facts.now.boot),
            place,
        }),
        WriteLock::Recovering(recovery) => {
            Some(unsaved(&recovery.unsaved.former, recovery.failure.clone(), place))
        }
    }
}

fn unsaved(former: &Actor, failure: Option<String>, place: Option<usize>) -> Refusal {
    Refusal::Unsaved { former: former.clone(), failure, place }
}
