//! Restarts instances: after a crash on behalf of the monitor, by hand with `cmw-health restart`, and as a
//! whole session when tmux ended.
//!
//! Invariants, each with a test of the same name in `tests/live/health/monitor`:
//! * `it_comes_back_in_its_pane`
//! * `what_is_recorded_is_what_came_of_it`

use serde_json::json;

use crate::adapters::os::process::{self, Signal};
use crate::adapters::tmux::session::SessionSpec;
use crate::domain::command::Command;
use crate::domain::health::command::HealthCommand;
use crate::domain::health::incident::RestartState;
use crate::domain::identity::role::Role;
use crate::domain::session::instance::{InstancePhase, Session};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::sanitize;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::monitor::system;
use crate::app::session::context::SessionContext;
use crate::app::session::start::StartOptions;
use crate::app::session::start::{self, UpOptions};
use crate::app::session::stop;
use crate::app::workspace::Context;

/// How long a restart waits for the registration, in milliseconds (docs/rules.md R8.5).
const REGISTRATION_MS: u64 = 60_000;
/// How long an instance that did not register has to end, in milliseconds.
const END_MS: u64 = 2_000;

/// Restarts a crashed role, or the session (no role), when that is due; records the result in the state.
///
/// # Errors
/// [`Failure`] of the store.
pub fn restart_program(context: Context<'_>, role: Option<&str>) -> Result<Answer, Failure> {
    let (caller, program) = (system(), process::current());
    let role = match role {
        Some(name) => Some(context.state()?.policy.roster.resolve(name)?.role.clone()),
        None => None,
    };
    let begin = HealthCommand::Begin { role: role.clone(), program: program.clone() };
    let begun = context.transact(&caller, &Command::Care(begin))?;
    begun.outcome?;
    if !is_mine(&begun.state, role.as_ref(), &program) {
        return Ok(Answer::done(json!({"begun": false}), "no restart is due now"));
    }
    let failure = match &role {
        Some(role) => start(context, role),
        None => start_session(context),
    };
    let (context, failure) = failure;
    let end = HealthCommand::End { role: role.clone(), failure: failure.clone() };
    context.transact(&caller, &Command::Care(end))?.outcome?;
    let data = json!({"begun": true, "role": role, "failure": failure});
    Ok(match failure {
        None => Answer::done(data, "restarted"),
        Some(why) => Answer::done(data, "").noting(format!("error: {why}")).exiting(Exit::Busy),
    })
}

/// Returns whether this process is the one that restarts it.
fn is_mine(state: &State, role: Option<&Role>, me: &Process) -> bool {
    let restart = match role {
        Some(role) => state.instances.get(role).and_then(|i| i.restart.as_ref()),
        None => state.lost.as_ref().and_then(|lost| lost.restart.as_ref()),
    };
    restart.and_then(RestartState::program) == Some(me)
}

/// Starts a role in its pane, whose former process may live without having registered; returns why that
/// failed, if it did.
fn start<'a>(context: Context<'a>, role: &Role) -> (Context<'a>, Option<String>) {
    let state = match context.state() {
        Ok(state) => state,
        Err(failure) => return (context, Some(first_line(&failure.text()))),
    };
    end_what_is_left(&context, role, InstancePhase::Crashed);
    let session_context = SessionContext::of(context, state, system(), None, true);
    let started = start::start(
        &session_context,
        role.as_str(),
        StartOptions { agent: None, fresh: false },
        REGISTRATION_MS,
    );
    let failure = failure_of(started);
    if failure.is_some() {
        end_what_is_left(&session_context.context, role, InstancePhase::Starting);
    }
    (session_context.context, failure)
}

/// Recreates the session, on the server's socket and with the agents that it had.
fn start_session(context: Context<'_>) -> (Context<'_>, Option<String>) {
    let state = match context.state() {
        Ok(state) => state,
        Err(failure) => return (context, Some(first_line(&failure.text()))),
    };
    let (Session::Up { socket, agent, .. }, Some(lost)) = (state.session.clone(), state.lost.clone()) else {
        return (context, Some("a session is running, or none was lost".to_owned()));
    };
    let old: Vec<Process> =
        lost.roles.iter().filter_map(|role| state.instances.get(role)).map(|i| i.process.clone()).collect();
    if let Err(failure) = end_old(&context, &old) {
        return (context, Some(first_line(&failure.text())));
    }
    let roles: Vec<&str> = lost.roles.iter().map(Role::as_str).collect();
    let roles = roles.join(",");
    let session_context = SessionContext::of(context, state, system(), socket.as_deref(), true);
    let (no_start, fresh, no_monitor) = (false, false, false);
    let (size, wait_ms) = (SessionSpec::SIZE, REGISTRATION_MS);
    let up = UpOptions { agent, roles, no_start, fresh, no_monitor, size, wait_ms };
    let failure = failure_of(start::up(&session_context, &up));
    end_the_silent(&session_context.context, &lost.roles);
    (session_context.context, failure)
}

/// Processes without their terminal may take a moment to end; what they held is released before they are
/// restarted.
fn end_old(context: &Context<'_>, old: &[Process]) -> Result<(), Failure> {
    let mut left = process::wait_gone(old, END_MS);
    for signal in [Signal::TERM, Signal::KILL] {
        for process in &left {
            let _ = process::signal(process, signal);
        }
        left = process::wait_gone(&left, END_MS);
    }
    context.transact(&system(), &Command::Observe(Vec::new()))?.outcome?;
    Ok(())
}

fn failure_of(started: Result<Answer, Failure>) -> Option<String> {
    match started {
        Ok(answer) if answer.exit == Exit::Done => None,
        Ok(answer) => Some(first_line(&answer.note)),
        Err(failure) => Some(first_line(&failure.text())),
    }
}

/// Returns the first line of a message, without the lines for a person at a terminal.
fn first_line(said: &str) -> String {
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it did not start");
    let line = line.trim().trim_start_matches("error: ").trim_start_matches("refused: ");
    sanitize::shorten(&sanitize::line(line), 200)
}

/// Ends the instances that were to return with their session, and live, but did not register in time.
fn end_the_silent(context: &Context<'_>, roles: &[Role]) {
    let Ok(state) = context.state() else { return };
    let restart = |role: &Role| state.instances.get(role).and_then(|i| i.restart.as_ref());
    for role in roles
        .iter()
        .filter(|role| restart(role).is_some_and(|it| it.is_session_restart_by(&process::current())))
    {
        end_what_is_left(context, role, InstancePhase::Starting);
    }
}

/// Ends an instance that lives and did not register: it would block the next attempt.
fn end_what_is_left(context: &Context<'_>, role: &Role, phase: InstancePhase) {
    let Ok(state) = context.state() else { return };
    let Some(instance) = state.instances.get(role).filter(|i| i.phase == phase) else { return };
    for signal in [Signal::TERM, Signal::KILL] {
        if process::signal(&instance.process, signal) {
            let _ = process::wait_gone(std::slice::from_ref(&instance.process), END_MS);
        }
    }
}

/// Restarts a role by hand: a running instance is stopped first; the pane stays.
///
/// # Errors
/// [`Failure`]: 77 without permission, 69 without a session, 75 when it did not register.
pub fn restart(
    session_context: &mut SessionContext<'_>,
    role: &str,
    grace_ms: u64,
    fresh: bool,
) -> Result<Answer, Failure> {
    let role = session_context.state.policy.roster.resolve(role)?.role.clone();
    session_context.may_stop(Some(&role))?;
    session_context.may_start(role.as_str(), None)?;
    session_context.running()?;
    stop::stop_instance(session_context, &role, grace_ms)?;
    session_context.state = session_context.context.state()?;
    start::start(session_context, role.as_str(), StartOptions { agent: None, fresh }, REGISTRATION_MS)
}
