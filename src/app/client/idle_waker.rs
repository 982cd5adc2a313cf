//! Wakes an idle client: a process that the client starts at the end of a turn, that sleeps until mail
//! comes, and whose exit code 2 begins a turn (docs/decisions.md D14).
//!
//! Invariants, each with a test of the same name in `tests/live/client/hooks/waiter.rs`:
//! * `one_waiter_at_a_time`: a newer one replaces an older one, which ends.
//! * `it_ends_with_its_session`
//! * `it_sleeps`: it checks when something has changed, and once a minute.

use std::io::Write;
use std::os::fd::AsFd;

use crate::adapters::os::{clock, process};
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::health::client::{Activity, Client};
use crate::domain::identity::actor::Actor;
use crate::domain::lock::checks;
use crate::domain::util::sanitize::printed;
use crate::domain::util::time::BootTime;
use crate::store::disk::Disk;
use crate::store::health::{clients, heartbeats};
use crate::store::layout;
use crate::store::watch::Watch;

use crate::app::client::ClientHook;
use crate::app::client::deliver::{DeliveryPoint, deliver_mail};
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::beat;

/// The client's exit code for "begin a turn with this text".
const WAKE: u8 = 2;
/// How long a session may take to report its start, in milliseconds: its first hook runs at the same time.
const BEGIN_MS: u64 = 10_000;
/// How often it checks without a change, in milliseconds: this also finds what a dead sender left.
const LOOK_MS: u64 = 60_000;
/// How long it waits after a failed check, in milliseconds.
const AGAIN_MS: u64 = 2_000;
/// How often it gives a sign of life for a role that waits for the write lock, in milliseconds. The lock is
/// reserved only for a role that gives signs of life (docs/decisions.md D5); an idle one can be woken.
const QUEUED_MS: u64 = 30_000;
/// How long a client seems to work before mail is delivered to it all the same, in milliseconds: its tools
/// may take long, or the person may have interrupted its turn.
const BUSY_MS: u64 = 120_000;
/// How long a limit without an end is respected, in milliseconds.
const LIMIT_MS: u64 = 600_000;
/// The shortest time from a turn's stop by a limit to its continuation, in milliseconds: the reported end of
/// the limit may be in the past.
const GO_ON_MS: u64 = 30_000;
/// Errors of the service that pass by themselves.
const PASSES: [&str; 3] = ["overloaded", "server_error", "unknown"];

/// Sleeps until there is mail; returns the exit code.
///
/// # Errors
/// [`Failure`]: the client then continues without it.
pub fn wait(client_hook: &mut ClientHook<'_>) -> Result<u8, Failure> {
    let Some(life) = process::watch(&client_hook.process) else { return Ok(0) };
    let watch = watch(client_hook)?;
    let began = clock::now().boot;
    let (mut mine, mut payload) = (false, false);
    loop {
        let sleep_ms = match check_once(client_hook, &mut mine, &mut payload, &began) {
            Ok(WaitOutcome::End(code)) => return Ok(code),
            Ok(WaitOutcome::Sleep(ms)) => ms,
            // A text that was printed and could not be recorded will be told again.
            Err(_) if payload => return Ok(WAKE),
            // No other process would wake this client: a busy or failing store is tried again.
            Err(_) => AGAIN_MS,
        };
        let cannot = |e: std::io::Error| {
            Failure::with_next_step(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-inbox list")
        };
        if watch.wait(Some(life.as_fd()), sleep_ms.max(1)).map_err(cannot)?
            == crate::store::watch::WakeReason::Other
        {
            return Ok(0);
        }
    }
}

/// The outcome of a check.
enum WaitOutcome {
    /// The process ends with this code.
    End(u8),
    /// The process sleeps for this long, in milliseconds, unless something changes.
    Sleep(u64),
}

/// Checks whether there is mail to wake the client with, and prints it for the client's model.
fn check_once(
    client_hook: &mut ClientHook<'_>,
    mine: &mut bool,
    payload: &mut bool,
    began: &BootTime,
) -> Result<WaitOutcome, Failure> {
    if !process::is_alive(&client_hook.process) {
        return Ok(WaitOutcome::End(0));
    }
    let me = process::current();
    let Some(client) = client_hook.record()? else {
        let is_over = *mine || began.plus(BEGIN_MS).has_passed(&clock::now().boot);
        return Ok(if is_over { WaitOutcome::End(0) } else { WaitOutcome::Sleep(500) });
    };
    if client.activity == Activity::Ended || *mine && client.waiter.as_ref() != Some(&me) {
        return Ok(WaitOutcome::End(0));
    }
    if !*mine {
        take_over(client_hook, &me)?;
        *mine = true;
    }
    client_hook.state = client_hook.context.state()?;
    let held_off_ms = hold_off(client_hook, &client);
    if held_off_ms > 0 {
        return Ok(WaitOutcome::Sleep(held_off_ms.min(ms_until_next_check(client_hook))));
    }
    let mut mute = false;
    let mut wake = |text: &str| {
        // Read after the messages: the pause that one of them announces is obeyed.
        if is_paused(client_hook) {
            return false;
        }
        // A client that has ended does not read the text.
        *payload = writeln!(std::io::stderr().lock(), "{}", printed(text.trim_end())).is_ok();
        mute = !*payload;
        *payload
    };
    if deliver_mail(client_hook, DeliveryPoint::Turn, "wakeup", &mut wake)? {
        return Ok(WaitOutcome::End(WAKE));
    }
    let sleep_ms = match stopped(client_hook, &client) {
        Some((words, 0)) if wake(&words) => {
            // The next waiter begins before the turn is recorded.
            client_hook.set_activity(&Activity::Idle)?;
            return Ok(WaitOutcome::End(WAKE));
        }
        Some((_, ms)) => ms.max(1).min(ms_until_next_check(client_hook)),
        None => ms_until_next_check(client_hook),
    };
    Ok(if mute { WaitOutcome::End(0) } else { WaitOutcome::Sleep(sleep_ms) })
}

/// Watches the mailbox and the record of this role's client.
fn watch(client_hook: &ClientHook<'_>) -> Result<Watch, Failure> {
    let disk = client_hook.context.store.disk();
    let cannot = |e: std::io::Error| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot watch: {e}"), "cmw-inbox list")
    };
    let (new, record) = (format!("messages/{}/new", client_hook.role), layout::client_dir(&client_hook.role));
    for dir in [&new, &record] {
        disk.ensure_dir(dir).map_err(cannot)?;
    }
    let mut watch = Watch::on(&disk.path().join(&new)).map_err(cannot)?;
    watch.add(&disk.path().join(&record)).map_err(cannot)?;
    Ok(watch)
}

/// Makes this process the role's waiter.
fn take_over(
    client_hook: &ClientHook<'_>,
    me: &crate::domain::session::process::Process,
) -> Result<(), Failure> {
    let disk = client_hook.context.store.disk();
    let _lock = clients::lock(disk, &client_hook.role)?;
    if let Some(client) = client_hook.record()? {
        clients::write(disk, &client_hook.role, &Client { waiter: Some(me.clone()), ..client })?;
    }
    Ok(())
}

/// Returns whether the role is paused at this moment; a state that cannot be read pauses it.
fn is_paused(client_hook: &ClientHook<'_>) -> bool {
    let state = client_hook.context.state();
    state.is_err() || state.is_ok_and(|state| checks::not_paused(&state, &client_hook.caller.actor).is_err())
}

/// Returns how long nothing is to be told, in milliseconds; 0 when it may be.
fn hold_off(client_hook: &ClientHook<'_>, client: &Client) -> u64 {
    let now = clock::now();
    if checks::not_paused(&client_hook.state, &client_hook.caller.actor).is_err() {
        return LOOK_MS;
    }
    let since = now.boot.ms_since(&client.since_boot);
    let quiet = || {
        let beat = heartbeats::read(client_hook.context.store.disk(), &client_hook.role).ok().flatten();
        beat.map_or(since, |beat| since.min(now.boot.ms_since(&beat.active)))
    };
    let parked = client_hook.state.instances.get(&client_hook.role).and_then(|i| i.parked.as_ref());
    match &client.activity {
        Activity::Idle | Activity::Failed { .. } | Activity::Ended => 0,
        Activity::Working | Activity::NeedsPermission | Activity::NeedsInput => {
            BUSY_MS.saturating_sub(quiet())
        }
        // Roles that wait for the same limit are woken one after the other: the state has the times.
        Activity::LimitReached { .. } if parked.is_some() => {
            parked.map_or(0, |parked| parked.until.ms_until(&now.boot))
        }
        Activity::LimitReached { until: Some(until) } => until.ms_since(now.wall),
        Activity::LimitReached { until: None } => LIMIT_MS.saturating_sub(since),
    }
}

/// Returns the text for a client whose turn was stopped by a temporary error, and the delay in milliseconds:
/// no other process would continue it, and what it was told in that turn counts as seen.
fn stopped(client_hook: &ClientHook<'_>, client: &Client) -> Option<(String, u64)> {
    let since = clock::now().boot.ms_since(&client.since_boot);
    let (what, after) = match &client.activity {
        Activity::LimitReached { .. } => {
            ("the limit that stopped your turn should be over".to_owned(), GO_ON_MS)
        }
        Activity::Failed { error } if PASSES.iter().any(|kind| error.contains(kind)) => {
            (format!("your turn was stopped by a fault of the service ({error})"), LIMIT_MS)
        }
        Activity::Failed { .. }
        | Activity::Idle
        | Activity::Ended
        | Activity::Working
        | Activity::NeedsPermission
        | Activity::NeedsInput => return None,
    };
    if client_hook.state.system != FreezeState::Running {
        return None;
    }
    let words =
        format!("cmw: {what}. Go on with what you were doing; if nothing was left undone, end your turn.");
    Some((words, after.saturating_sub(since)))
}

/// Returns how long to sleep without a change, in milliseconds; gives a sign of life for a role that waits
/// for the lock.
fn ms_until_next_check(client_hook: &ClientHook<'_>) -> u64 {
    let me = &client_hook.caller.actor;
    let waits = |actor: &Actor| client_hook.state.queue.iter().any(|waiter| waiter.actor == *actor);
    if !waits(me) || client_hook.state.is_holder(me, &client_hook.caller.process) {
        return LOOK_MS;
    }
    beat::record_activity(&client_hook.context, &client_hook.caller);
    QUEUED_MS
}
