//! Registers an instance, sends one heartbeat, or sends heartbeats for as long as the instance's process
//! lives.

use std::os::fd::AsFd;

use crate::adapters::os::{clock, process};
use crate::app::audit::periodic_check;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::beat::beat;
use crate::app::health::monitor;
use crate::app::health::supervisor;
use crate::app::lock::wait::ms_until_next_change;
use crate::app::mail::doorbell::RoleDoorbell;
use crate::app::mail::undelivered;
use crate::app::workspace::Context;
use crate::domain::command::{Caller, Command};
use crate::domain::identity::role::Role;
use crate::domain::lock::checks;
use crate::domain::lock::lease::is_overdue;
use crate::domain::session::instance::InstancePhase;
use crate::domain::state::State;
use crate::domain::util::time::{BootTime, human};
use crate::store::error::StoreError;
use crate::store::watch::Watch;

/// The shortest and the longest interval at which a beating process reads the state, in milliseconds.
const LOOK_MS: (u64, u64) = (250, 5_000);
/// After a failure of the store, the time until the next try, in milliseconds.
const RETRY_MS: u64 = 1_000;

/// Registers; tries again while another process holds the gate, until the timeout.
pub fn register(context: &Context<'_>, caller: &Caller, role: &Role, wait_ms: u64) -> Result<State, Failure> {
    let deadline = clock::now().boot.plus(wait_ms);
    let done = loop {
        match context.transact(caller, &Command::Register) {
            Err(Failure::Store(StoreError::Busy { .. })) if !deadline.has_passed(&clock::now().boot) => {}
            Err(Failure::Store(StoreError::Busy { .. })) => {
                let what = format!("no acknowledgement within {}", human(wait_ms));
                return Err(Failure::with_next_step(Exit::Busy, what, "cmw-doctor"));
            }
            other => break other?,
        }
    };
    done.outcome?;
    beat(context, caller, role, Some(None))?;
    context.refresh_views();
    Ok(done.state)
}

/// Performs pending transitions: an expired lease, an offer that was not taken. Commands that wait for the
/// result wake up.
fn apply_due_transitions(context: &Context<'_>, caller: &Caller, state: &State) -> Result<(), Failure> {
    if is_overdue(state, &context.facts(state)) && checks::running(state).is_ok() {
        context.transact(caller, &Command::Observe(Vec::new()))?;
    }
    Ok(())
}

/// Beats until the process has ended or the role is shut down; returns which. A store that is busy or damaged
/// is tried again: without its heartbeats a working agent would count as silent.
///
/// # Errors
/// [`Failure`]: 69 when the process cannot wait, 78 when cmw is not set up here any more.
pub fn run(
    context: &Context<'_>,
    caller: &Caller,
    role: &Role,
    every_ms: u64,
    mut bell: Option<RoleDoorbell>,
) -> Result<&'static str, Failure> {
    let unavailable = |e: std::io::Error| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor")
    };
    let watch = match &bell {
        Some(bell) => bell.watch(context)?,
        None => Watch::none(),
    };
    let mut next_beat = clock::now().boot;
    let mut reported = String::new();
    loop {
        let Some(life) = process::watch(&caller.process) else { return Ok("the process is gone") };
        let sleep_ms = match step(context, caller, role, &mut next_beat, every_ms, bell.as_mut()) {
            Ok(Step::Ended) => return Ok("the role is shut down"),
            Ok(Step::Wait { ms }) => ms,
            Err(failure) if monitor::is_gone(context) => return Err(failure),
            Err(failure) => {
                let text = failure.text();
                if text != reported {
                    context.env.report(&text);
                    reported = text;
                }
                RETRY_MS
            }
        };
        watch.wait(Some(life.as_fd()), sleep_ms.max(1)).map_err(unavailable)?;
    }
}

/// What a beating process does next.
enum Step {
    /// It ends: the role is shut down.
    Ended,
    /// It sleeps, unless something it watches changes.
    Wait { ms: u64 },
}

/// Reads the state, beats when it is time, and does what is due.
fn step(
    context: &Context<'_>,
    caller: &Caller,
    role: &Role,
    next_beat: &mut BootTime,
    every_ms: u64,
    bell: Option<&mut RoleDoorbell>,
) -> Result<Step, Failure> {
    let state = context.state()?;
    if state
        .instances
        .get(role)
        .is_some_and(|i| i.phase == InstancePhase::Shutdown || i.process != caller.process)
    {
        return Ok(Step::Ended);
    }
    let now = clock::now().boot;
    if next_beat.has_passed(&now) {
        beat(context, caller, role, None)?;
        context.refresh_views();
        *next_beat = now.plus(every_ms.max(100));
    }
    apply_due_transitions(context, caller, &state)?;
    // Findings are in the audit; the next beat repeats a check that failed.
    let _ = periodic_check::run_if_due(context, &state, caller);
    let _ = undelivered::run_if_due(context, &state, caller);
    let _ = supervisor::restart_monitor_if_due(context, &state);
    if let Some(bell) = bell {
        // A message that the bell cannot announce is reported to the person.
        let _ = bell.check(context, &state);
    }
    let change = ms_until_next_change(&state, &context.facts(&state)).clamp(LOOK_MS.0, LOOK_MS.1);
    Ok(Step::Wait { ms: next_beat.ms_until(&clock::now().boot).min(change) })
}
