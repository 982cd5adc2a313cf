//! Registers an instance, sends one heartbeat, or sends heartbeats for as long as the instance's process
//! lives.

use std::os::fd::AsFd;

use crate::adapters::os::{clock, process};
use crate::app::audit::periodic_check;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::beat::beat;
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
use crate::domain::util::time::human;
use crate::store::error::StoreError;
use crate::store::watch::Watch;

/// The shortest and the longest interval at which a beating process reads the state, in milliseconds.
const LOOK_MS: (u64, u64) = (250, 5_000);

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

/// Beats until the process has ended or the role is shut down; returns which.
///
/// # Errors
/// [`Failure`] when the store failed or the process cannot wait.
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
        None => Watch::none().map_err(unavailable)?,
    };
    let mut next_beat = clock::now().boot;
    loop {
        let Some(life) = process::watch(&caller.process) else { return Ok("the process is gone") };
        let state = context.state()?;
        if state
            .instances
            .get(role)
            .is_some_and(|i| i.phase == InstancePhase::Shutdown || i.process != caller.process)
        {
            return Ok("the role is shut down");
        }
        let now = clock::now().boot;
        if next_beat.has_passed(&now) {
            beat(context, caller, role, None)?;
            context.refresh_views();
            next_beat = now.plus(every_ms.max(100));
        }
        apply_due_transitions(context, caller, &state)?;
        // Findings are in the audit; the next beat repeats a check that failed.
        let _ = periodic_check::run_if_due(context, &state, caller);
        let _ = undelivered::run_if_due(context, &state, caller);
        let _ = supervisor::restart_monitor_if_due(context, &state);
        if let Some(bell) = &mut bell {
            // A message that the bell cannot announce is reported to the person.
            let _ = bell.check(context, &state);
        }
        let change = ms_until_next_change(&state, &context.facts(&state)).clamp(LOOK_MS.0, LOOK_MS.1);
        let sleep_ms = next_beat.ms_until(&clock::now().boot).min(change);
        watch.wait(Some(life.as_fd()), sleep_ms.max(1)).map_err(unavailable)?;
    }
}
