//! Owns waking an idle client: a process that the client starts beside each end of a turn, that sleeps until
//! mail comes, and whose exit with 2 begins a turn (DECISIONS 14).
//!
//! Invariants, each with a test of the same name in `tests/client_hooks`:
//! * `one_waiter_at_a_time`: a newer one takes the place of an older one, which ends.
//! * `it_ends_with_its_session`
//! * `it_sleeps`: it looks when something changed, and once a minute.

use std::io::Write;
use std::os::fd::AsFd;

use crate::adapters::os::{clock, process};
use crate::domain::freeze::freeze_state::System;
use crate::domain::health::client::{Activity, Client};
use crate::domain::identity::actor::Actor;
use crate::domain::lock::checks;
use crate::domain::util::time::Moment;
use crate::store::disk::Disk;
use crate::store::health::{clients, heartbeats};
use crate::store::layout;
use crate::store::watch::Watch;

use crate::app::client::Caller;
use crate::app::client::deliver::{When, tell};
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::beat;

/// The client's code for "begin a turn with these words".
const WAKE: u8 = 2;
/// How long a session may take to say that it begins: its first hook runs beside this one.
const BEGIN_MS: u64 = 10_000;
/// How often it looks without a sign, in milliseconds: also after what a dead sender left.
const LOOK_MS: u64 = 60_000;
/// When it looks again after a look that failed, in milliseconds.
const AGAIN_MS: u64 = 2_000;
/// How often it gives a sign of life for a role that waits for the write lock, which is kept only for who
/// is there (DECISIONS 5): it can be woken, so it is.
const QUEUED_MS: u64 = 30_000;
/// From when on mail is told to a client that seems to be at work, in milliseconds: its tools take long, or
/// the person broke its turn off.
const BUSY_MS: u64 = 120_000;
/// How long a limit without an end is respected, in milliseconds.
const LIMIT_MS: u64 = 600_000;
/// How long after a turn was stopped by a limit it is gone on with at the earliest, in milliseconds: the end
/// that was told may be in the past.
const GO_ON_MS: u64 = 30_000;
/// Errors of the service that pass by themselves.
const PASSES: [&str; 3] = ["overloaded", "server_error", "unknown"];

/// Sleeps until there is mail; gives the exit code.
///
/// # Errors
/// [`Failure`]: the client then goes on without it.
pub fn wait(caller: &mut Caller<'_>) -> Result<u8, Failure> {
    let Some(life) = process::watch(&caller.process) else { return Ok(0) };
    let watch = watch(caller)?;
    let began = clock::now().boot;
    let (mut mine, mut said) = (false, false);
    loop {
        let sleep_ms = match look(caller, &mut mine, &mut said, &began) {
            Ok(Look::End(code)) => return Ok(code),
            Ok(Look::Sleep(ms)) => ms,
            // What was said and could not be noted will be told again.
            Err(_) if said => return Ok(WAKE),
            // Nobody else would wake this client: a store that is busy or ill is looked at again.
            Err(_) => AGAIN_MS,
        };
        let cannot = |e: std::io::Error| {
            Failure::told(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-inbox list")
        };
        if watch.wait(Some(life.as_fd()), sleep_ms.max(1)).map_err(cannot)?
            == crate::store::watch::Woken::Other
        {
            return Ok(0);
        }
    }
}

/// What a look leads to.
enum Look {
    /// It ends with this code.
    End(u8),
    /// It sleeps for so long, unless something changes.
    Sleep(u64),
}

/// Looks whether there is mail to wake the client with: the words are what it gives its model.
fn look(caller: &mut Caller<'_>, mine: &mut bool, said: &mut bool, began: &Moment) -> Result<Look, Failure> {
    if !process::is_alive(&caller.process) {
        return Ok(Look::End(0));
    }
    let mut mute = false;
    let mut wake = |text: &str| {
        // Of a client that is gone nobody reads the words.
        *said = writeln!(std::io::stderr().lock(), "{}", text.trim_end()).is_ok();
        mute = !*said;
        *said
    };
    let me = process::me();
    let Some(client) = caller.known()? else {
        let is_over = *mine || began.plus(BEGIN_MS).has_passed(&clock::now().boot);
        return Ok(if is_over { Look::End(0) } else { Look::Sleep(500) });
    };
    if client.activity == Activity::Ended || *mine && client.waiter.as_ref() != Some(&me) {
        return Ok(Look::End(0));
    }
    if !*mine {
        take_over(caller, &me)?;
        *mine = true;
    }
    caller.state = caller.context.state()?;
    let held_off_ms = hold_off(caller, &client);
    if held_off_ms > 0 {
        return Ok(Look::Sleep(held_off_ms.min(until_next_look(caller))));
    }
    if tell(caller, When::Turn, "wakeup", &mut wake)? {
        return Ok(Look::End(WAKE));
    }
    let sleep_ms = match stopped(caller, &client) {
        Some((words, 0)) if wake(&words) => {
            // The next waiter begins before the turn is noted.
            caller.becomes(&Activity::Idle)?;
            return Ok(Look::End(WAKE));
        }
        Some((_, ms)) => ms.max(1).min(until_next_look(caller)),
        None => until_next_look(caller),
    };
    Ok(if mute { Look::End(0) } else { Look::Sleep(sleep_ms) })
}

/// A watch on the mailbox and on the record of this role's client.
fn watch(caller: &Caller<'_>) -> Result<Watch, Failure> {
    let disk = caller.context.store.disk();
    let cannot =
        |e: std::io::Error| Failure::told(Exit::Unavailable, format!("cannot watch: {e}"), "cmw-inbox list");
    let (new, record) = (format!("messages/{}/new", caller.role), layout::client_dir(&caller.role));
    for dir in [&new, &record] {
        disk.ensure_dir(dir).map_err(cannot)?;
    }
    let watch = Watch::on(&disk.path().join(&new)).map_err(cannot)?;
    watch.also(&disk.path().join(&record)).map_err(cannot)?;
    Ok(watch)
}

/// From now on this process is the one that waits.
fn take_over(caller: &Caller<'_>, me: &crate::domain::session::process::Process) -> Result<(), Failure> {
    let disk = caller.context.store.disk();
    let _lock = clients::lock(disk, &caller.role)?;
    if let Some(client) = caller.known()? {
        clients::write(disk, &caller.role, &Client { waiter: Some(me.clone()), ..client })?;
    }
    Ok(())
}

/// For how long nothing is to be told; 0 when it may be.
fn hold_off(caller: &Caller<'_>, client: &Client) -> u64 {
    let now = clock::now();
    if checks::not_paused(&caller.state, &caller.asker.actor).is_err() {
        return LOOK_MS;
    }
    let since = now.boot.ms_since(&client.since_boot);
    let quiet = || {
        let beat = heartbeats::read(caller.context.store.disk(), &caller.role).ok().flatten();
        beat.map_or(since, |beat| since.min(now.boot.ms_since(&beat.active)))
    };
    let parked = caller.state.instances.get(&caller.role).and_then(|i| i.parked.as_ref());
    match &client.activity {
        Activity::Idle | Activity::Failed { .. } | Activity::Ended => 0,
        Activity::Working | Activity::NeedsPermission | Activity::NeedsInput => {
            BUSY_MS.saturating_sub(quiet())
        }
        // Those who wait for the same limit are woken one after the other: the state knows when.
        Activity::LimitReached { .. } if parked.is_some() => {
            parked.map_or(0, |parked| parked.until.ms_until(&now.boot))
        }
        Activity::LimitReached { until: Some(until) } => until.ms_since(now.wall),
        Activity::LimitReached { until: None } => LIMIT_MS.saturating_sub(since),
    }
}

/// What to tell a client whose turn was stopped by what passes by itself, and when: nobody else would have
/// it go on, and what it was told in that turn counts as seen.
fn stopped(caller: &Caller<'_>, client: &Client) -> Option<(String, u64)> {
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
    if caller.state.system != System::Running {
        return None;
    }
    let words =
        format!("cmw: {what}. Go on with what you were doing; if nothing was left undone, end your turn.");
    Some((words, after.saturating_sub(since)))
}

/// How long to sleep without a sign; gives one of life for a role that waits for the lock.
fn until_next_look(caller: &Caller<'_>) -> u64 {
    let me = &caller.asker.actor;
    let waits = |actor: &Actor| caller.state.queue.iter().any(|waiter| waiter.actor == *actor);
    if !waits(me) || caller.state.is_holder(me, &caller.asker.process) {
        return LOOK_MS;
    }
    beat::sign_of_work(&caller.context, &caller.asker);
    QUEUED_MS
}
