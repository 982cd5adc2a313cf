//! Waits for the write lock: sleeps until something may have changed, never polls.

use std::os::fd::AsFd;

use crate::adapters::os::{clock, process};
use crate::domain::command::{Caller, Command, Reply};
use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::checks;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::lease::{held_refusal, is_overdue, next_change};
use crate::domain::lock::queue;
use crate::domain::lock::request::LockRequest;
use crate::domain::lock::write_lock::Lease;
use crate::domain::refusal::Refusal;
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::time::{BootTime, human};
use crate::store::watch::Watch;

use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::beat;
use crate::app::workspace::Context;

/// How long a waiting command sleeps at most before it reads the state again, in milliseconds.
const LOOK_AGAIN_MS: u64 = 30_000;

/// Acquires the lock or waits for it. The ticket stays after a timeout. `stand_in`: the process whose end
/// ends the lease, when that is not the caller's.
///
/// # Errors
/// [`Failure`]: refusals too.
pub fn wait_for(
    context: &Context<'_>,
    caller: &Caller,
    request: &LockRequest,
    wait_ms: u64,
    stand_in: Option<&Process>,
    quiet: bool,
) -> Result<(Reply, State), Failure> {
    let ask = |waiting: Option<Process>| {
        let command =
            Command::Acquire { request: request.clone(), caller: waiting, stand_in: stand_in.cloned() };
        let done = context.transact(caller, &command)?;
        Ok::<_, Failure>((done.outcome?, done.state))
    };
    let me = process::current();
    let watch = Watch::on(&context.repo.common_dir.join("cmw")).map_err(|e| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot watch the state: {e}"), "cmw-doctor")
    })?;
    let deadline = clock::now().boot.plus(wait_ms);
    let (mut told, mut waited) = (quiet, false);
    let mut asked = ask(Some(me.clone()))?;
    loop {
        let (reply, state) = asked;
        let ticket = match &reply {
            // Another command of the same role holds it, and releases it when it ends.
            Reply::Renewed(held) if is_held_by_sibling(held, caller, stand_in) => None,
            Reply::Queued { ticket, .. } => Some(*ticket),
            Reply::Granted(_) | Reply::Renewed(_) | Reply::Released { .. } | Reply::Done => {
                beat::record_activity(context, caller);
                return Ok((if waited { reply_after_wait(reply) } else { reply }, state));
            }
        };
        waited = true;
        if !told {
            told = true;
            let place = ticket.and_then(|ticket| queue::place(&state, ticket));
            let refusal = held_refusal(&state, &context.facts(&state), place);
            let why =
                refusal.map_or_else(|| "the lock is not available at this moment".to_owned(), |r| r.why());
            context.env.report(&format!("waiting up to {}: {why}", waiting_time(wait_ms)));
        }
        let over = match sleep_until_turn(context, caller, &watch, ticket, stand_in, &deadline)? {
            // Granted with the files that another command of this role requested last: these are added.
            Turn::Given(given) if !has_all_of(&given.0, request) => false,
            Turn::Given(given) => {
                beat::record_activity(context, caller);
                return Ok((Reply::Granted(given.0), given.1));
            }
            Turn::AskAgain => false,
            Turn::Over => true,
        };
        // Only an answer under the gate is certain: a lock that was granted to this command a moment ago is
        // its own, and no lock is granted to it after it has ended.
        asked = ask((!over).then(|| me.clone()))?;
        if over {
            let (reply, state) = asked;
            return match reply {
                Reply::Renewed(held) if is_held_by_sibling(&held, caller, stand_in) => {
                    Err(held_refusal(&state, &context.facts(&state), None).map_or_else(
                        || Failure::with_next_step(Exit::Busy, "the lock could not be acquired", "cmw"),
                        Failure::from,
                    ))
                }
                Reply::Granted(_) | Reply::Renewed(_) => {
                    beat::record_activity(context, caller);
                    Ok((reply_after_wait(reply), state))
                }
                Reply::Queued { .. } | Reply::Released { .. } | Reply::Done => Ok((reply, state)),
            };
        }
    }
}

/// Returns whether a lease of the caller's own role ends with another command than this one: a command that
/// needs its own (`stand_in`) must not rely on it, unless that other command is an ancestor of this one.
fn is_held_by_sibling(held: &Lease, caller: &Caller, stand_in: Option<&Process>) -> bool {
    let anothers = stand_in.is_some_and(|me| held.process != *me && held.process != caller.process);
    anothers && !process::lineage().any(|above| above == held.process)
}

/// Returns whether a lease claims what a request names.
fn has_all_of(held: &Lease, request: &LockRequest) -> bool {
    request.files == Claim::All || held.request.files.with(&request.files) == held.request.files
}

/// Converts a renewal into a grant: a command that waited was granted the lock in the meantime.
fn reply_after_wait(reply: Reply) -> Reply {
    match reply {
        Reply::Renewed(held) => Reply::Granted(held),
        Reply::Granted(_) | Reply::Queued { .. } | Reply::Released { .. } | Reply::Done => reply,
    }
}

/// Formats a wait; times shorter than a second are shown in milliseconds, and not as zero.
fn waiting_time(ms: u64) -> String {
    if ms < 1_000 { format!("{ms}ms") } else { human(ms) }
}

/// The reason for which a waiting command woke up.
enum Turn {
    /// The lock is the caller's.
    Given(Box<(Lease, State)>),
    /// The same request may get another answer now.
    AskAgain,
    /// The timeout has passed.
    Over,
}

/// Sleeps until the lock is the caller's, the timeout has passed, or it is worth requesting the lock again.
fn sleep_until_turn(
    context: &Context<'_>,
    caller: &Caller,
    watch: &Watch,
    ticket: Option<u64>,
    stand_in: Option<&Process>,
    deadline: &BootTime,
) -> Result<Turn, Failure> {
    loop {
        let state = context.state()?;
        let mine = state.held().filter(|_| state.is_holder(&caller.actor, &caller.process));
        let waits = ticket.is_some_and(|ticket| state.queue.iter().any(|w| w.ticket == ticket));
        let kept = state.offer().is_some_and(|offer| Some(offer.ticket) == ticket);
        let facts = context.facts(&state);
        match mine {
            Some(held) if is_held_by_sibling(held, caller, stand_in) => {}
            Some(held) => return Ok(Turn::Given(Box::new((held.clone(), state)))),
            None if ticket.is_none() || kept => return Ok(Turn::AskAgain),
            None if waits => {}
            // Another command of the same role was granted the lock with this ticket, and has released it.
            None if Some(state.last.left) != ticket => return Ok(Turn::AskAgain),
            None => return Err(Refusal::NotQueued { who: caller.actor.clone() }.into()),
        }
        if deadline.has_passed(&facts.now.boot) {
            return Ok(Turn::Over);
        }
        if should_retry(&state, &facts, &caller.actor) {
            return Ok(Turn::AskAgain);
        }
        let at_it = state.held().map(|held| &held.process).or(state.recovery().map(|r| &r.by));
        let holder = at_it.filter(|p| !facts.dead.contains(p)).map(process::watch);
        if holder.as_ref().is_some_and(Option::is_none) {
            return Ok(Turn::AskAgain);
        }
        let sleep_ms = ms_until_next_change(&state, &facts).min(deadline.ms_until(&facts.now.boot));
        let fd = holder.flatten();
        watch.wait(fd.as_ref().map(AsFd::as_fd), sleep_ms.max(1)).map_err(|e| {
            Failure::with_next_step(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor")
        })?;
    }
}

/// Returns whether a request would get another answer now, although nothing was published.
fn should_retry(state: &State, facts: &Facts, me: &Actor) -> bool {
    checks::running(state).and_then(|()| checks::not_paused(state, me)).is_ok() && is_overdue(state, facts)
}

/// Returns how long nothing can happen without a publish, in milliseconds: until a lease or an offer expires.
#[must_use]
pub fn ms_until_next_change(state: &State, facts: &Facts) -> u64 {
    let change = next_change(state, facts);
    change.map_or(LOOK_AGAIN_MS, |at| at.ms_until(&facts.now.boot).saturating_add(1).min(LOOK_AGAIN_MS))
}
