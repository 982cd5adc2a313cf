//! Registers an instance, sends one heartbeat, or sends heartbeats for as long as the instance's process
//! lives.

use std::os::fd::AsFd;

use crate::adapters::os::{clock, process};
use crate::app::audit::periodic_check;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::beat::beat;
use crate::app::health::supervisor;
use crate::app::lock::wait::until_something;
use crate::app::mail::doorbell::Ringer;
use crate::app::mail::undelivered;
use crate::app::workspace::Context;
use crate::domain::command::{Asker, Command};
use crate::domain::identity::role::Role;
use crate::domain::lock::checks;
use crate::domain::lock::lease::is_overdue;
use crate::domain::session::instance::Phase;
use crate::domain::state::State;
use crate::domain::util::time::human;
use crate::store::error::StoreError;
use crate::store::watch::Watch;

/// The shortest and the longest interval at which a beating process reads the state, in milliseconds.
const LOOK_MS: (u64, u64) = (250, 5_000);

/// Registers; tries again while another process holds the gate, until the timeout.
pub fn register(context: &Context<'_>, asker: &Asker, role: &Role, wait_ms: u64) -> Result<State, Failure> {
    let deadline = clock::now().boot.plus(wait_ms);
    let done = loop {
        match context.transact(asker, &Command::Register) {
            Err(Failure::Store(StoreError::Busy { .. })) if !deadline.has_passed(&clock::now().boot) => {}
            Err(Failure::Store(StoreError::Busy { .. })) => {
                let what = format!("no acknowledgement within {}", human(wait_ms));
                return Err(Failure::told(Exit::Busy, what, "cmw-doctor"));
            }
            other => break other?,
        }
    };
    done.outcome?;
    beat(context, asker, role, Some(None))?;
    context.refresh_views();
    Ok(done.state)
}

/// Performs pending transitions: an expired lease, an offer that was not taken. Commands that wait for the
/// result wake up.
fn bring_about(context: &Context<'_>, asker: &Asker, state: &State) -> Result<(), Failure> {
    if is_overdue(state, &context.facts(state)) && checks::running(state).is_ok() {
        context.transact(asker, &Command::Observe(Vec::new()))?;
    }
    Ok(())
}

/// Beats until the process has ended or the role is shut down; returns which.
///
/// # Errors
/// [`Failure`] when the store failed or the process cannot wait.
pub fn run(
    context: &Context<'_>,
    asker: &Asker,
    role: &Role,
    every_ms: u64,
    mut bell: Option<Ringer>,
) -> Result<&'static str, Failure> {
    let unavailable =
        |e: std::io::Error| Failure::told(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor");
    let watch = match &bell {
        Some(bell) => bell.watch(context)?,
        None => Watch::none().map_err(unavailable)?,
    };
    let mut next_beat = clock::now().boot;
    loop {
        let Some(life) = process::watch(&asker.process) else { return Ok("the process is gone") };
        let state = context.state()?;
        if state.instances.get(role).is_some_and(|i| i.phase == Phase::Shutdown || i.process != asker.process)
        {
            return Ok("the role is shut down");
        }
        let now = clock::now().boot;
        if next_beat.has_passed(&now) {
            beat(context, asker, role, None)?;
            context.refresh_views();
            next_beat = now.plus(every_ms.max(100));
        }
        bring_about(context, asker, &state)?;
        // Findings are in the audit; the next beat repeats a check that failed.
        let _ = periodic_check::pass_by(context, &state, asker);
        let _ = undelivered::pass_by(context, &state, asker);
        let _ = supervisor::pass_by(context, &state);
        if let Some(bell) = &mut bell {
            // A message that the bell cannot announce is reported to the person.
            let _ = bell.look(context, &state);
        }
        let change = until_something(&state, &context.facts(&state)).clamp(LOOK_MS.0, LOOK_MS.1);
        let sleep_ms = next_beat.ms_until(&clock::now().boot).min(change);
        watch.wait(Some(life.as_fd()), sleep_ms.max(1)).map_err(unavailable)?;
    }
}
