//! How the write lock and its queue are shown, by every screen and program.

use serde_json::{Value, json};

use crate::domain::facts::Facts;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::lock::lease::expiry_reason;
use crate::domain::lock::queue;
use crate::domain::lock::release::Release;
use crate::domain::lock::request::Waiter;
use crate::domain::lock::write_lock::{WriteLock, lock_id};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;

/// Returns the queue, one line per waiter, in order.
#[must_use]
pub fn waiter_lines(state: &State, facts: &Facts) -> Vec<String> {
    let line = |(i, waiter): (usize, &Waiter)| {
        let away = match (queue::is_calling(waiter, facts), waiter.missed) {
            (true, _) => "waiting".to_owned(),
            (false, 0) => "away".to_owned(),
            (false, n) => format!("away, missed {n},"),
        };
        let purpose = quoted(&waiter.request.purpose);
        let since = human(facts.now.wall.ms_since(waiter.requested_at));
        let actor = waiter.actor.in_sentence();
        format!("{:>3}. {actor} {}{purpose}, {away} for {since}", i + 1, waiter.request.priority)
    };
    state.queue.iter().enumerate().map(line).collect()
}

fn quoted(purpose: &str) -> String {
    if purpose.is_empty() { String::new() } else { format!(" for {:?}", sanitize::line(purpose)) }
}

/// Returns the lock in one line, for every screen that shows it.
#[must_use]
pub fn lock_line(state: &State, facts: &Facts) -> String {
    let held = match &state.lock {
        WriteLock::Free => return "the write lock is free".to_owned(),
        // The lease of a finished git command is over, and nothing was left.
        WriteLock::Held(_) if expiry_reason(state, facts) == Some(Release::CommandEnded) => {
            return "the write lock is free".to_owned();
        }
        WriteLock::Held(held) => held,
        WriteLock::Offered(offer) => {
            let (to, left) = (offer.to.in_sentence(), human(offer.until.ms_until(&facts.now.boot)));
            return format!("the write lock is reserved for {to}, next in the queue ({left} left)");
        }
        WriteLock::Recovering(recovery) => {
            let former = recovery.unsaved.former.in_sentence();
            return recovery.failure.as_ref().map_or_else(
                || format!("the uncommitted work of {former} is being saved"),
                |why| format!("the uncommitted work of {former} could not be saved: {}", sanitize::line(why)),
            );
        }
    };
    let end = match expiry_reason(state, facts) {
        Some(Release::HolderDied) => "its process is gone: the next request gets the lock".to_owned(),
        Some(_) => "its lease has expired: the next request gets the lock".to_owned(),
        None => {
            let left = crate::domain::lock::lease::expiry(held, state, facts).ms_until(&facts.now.boot);
            format!("{} left", human(left))
        }
    };
    let files = sanitize::shorten(&sanitize::line(&held.request.files.to_string()), 60);
    let (holder, purpose) = (held.holder.in_sentence(), quoted(&held.request.purpose));
    format!("{holder} holds {}{purpose} for {files}, {end}", held.lock_id())
}

/// Returns the lock and its queue as JSON.
#[must_use]
pub fn lock_data(state: &State, facts: &Facts, mine: bool) -> Value {
    let process = |p: &Process| !facts.dead.contains(p);
    let is_over = expiry_reason(state, facts) == Some(Release::CommandEnded);
    let held = state.held().filter(|_| !is_over).map(|h| {
        json!({"lock_id": h.lock_id(), "token": h.token, "holder": h.holder, "purpose": h.request.purpose,
            "files": h.request.files, "granted_at": h.granted_at,
            "expires_at": crate::domain::lock::lease::expiry_at(h, state, facts),
            "left_s": crate::domain::lock::lease::expiry(h, state, facts).ms_until(&facts.now.boot) / 1_000,
            "alive": process(&h.process)})
    });
    let queue: Vec<Value> = state
        .queue
        .iter()
        .map(|w| {
            json!({"ticket": w.ticket, "role": w.actor, "priority": w.request.priority,
                "purpose": w.request.purpose, "waiting": queue::is_calling(w, facts), "since": w.requested_at})
        })
        .collect();
    let offered = state.offer().map(|o| json!({"ticket": o.ticket, "role": o.to, "until": o.until_at}));
    let saving = state.recovery().map(
        |r| json!({"former": r.unsaved.former, "lock_id": lock_id(r.unsaved.token), "failure": r.failure}),
    );
    json!({"mine": mine, "lock": held, "offered": offered, "saving": saving, "queue": queue,
        "frozen": state.system != FreezeState::Running})
}
