//! Stops a role: requests it by message, waits, releases its lock and its place in the queue, and closes its
//! pane.
//!
//! Invariants, each with a test of the same name in `tests/live/session/mod.rs`:
//! * `a_neighbour_is_never_hit`: a pane is closed by id, with process and role checked, and a
//!   signal goes to a process by descriptor; a process outside our panes gets none.
//! * `down_leaves_no_process_and_no_session`, and another repository's session stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;

use crate::adapters::os::clock;
use crate::adapters::os::process::{self, Signal};
use crate::adapters::tmux::server::{CloseOutcome, Tmux};
use crate::domain::command::Command;
use crate::domain::health::client::Activity;
use crate::domain::health::command::HealthCommand;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::session::instance::{InstancePhase, Session};
use crate::domain::session::process::Process;
use crate::domain::util::time::BootTime;
use crate::store::health::clients;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::mail::session;
use crate::app::programs;
use crate::app::session::context::SessionContext;
use crate::app::session::tmux::tmux_failure;

/// How long a shutdown request stays valid.
const REQUEST_TTL: &str = "60s";
/// How often a notified client is checked for being done, in milliseconds.
const LOOK_MS: u64 = 250;
/// How long it must have been idle: a turn that a message starts is known a moment later.
const SURE_MS: u64 = 1_500;
/// How long a process has after SIGTERM, after its pane was closed, and after SIGKILL, in milliseconds.
const LAST_MS: u64 = 2_000;

/// An instance that is to be stopped.
#[derive(Clone, Debug)]
struct StopTarget {
    role: Role,
    /// Its process, if it is alive and runs in a pane of ours: no other process is ever signalled.
    ours: Option<Process>,
}

/// Stops one role.
///
/// # Errors
/// [`Failure`]: 77 for a role that is not the Orchestrator and names another one.
pub fn stop(session_context: &SessionContext<'_>, role: &str, grace_ms: u64) -> Result<Answer, Failure> {
    let role = session_context.state.policy.roster.resolve(role)?.role.clone();
    session_context.may_stop(Some(&role))?;
    survive_our_pane()?;
    let tmux = session_context.tmux()?;
    let panes = session_context.panes(&tmux)?;
    let pane = panes.iter().find(|p| p.role.as_ref() == Some(&role));
    let instance = session_context.state.instances.get(&role).filter(|i| i.phase != InstancePhase::Shutdown);
    if instance.is_none() && pane.is_none() {
        return Ok(Answer::done(json!({"role": role, "stopped": false}), format!("{role} is not running")));
    }
    let target = StopTarget { role: role.clone(), ours: ours(session_context, &role) };
    session_context
        .context
        .transact(&session_context.caller, &Command::Care(HealthCommand::Stopping(vec![role.clone()])))?
        .outcome?;
    let forced = end(session_context, &[&target], grace_ms);
    session_context.context.transact(&session_context.caller, &Command::Shutdown(role.clone()))?.outcome?;
    let mut left = None;
    if let Some(pane) = pane.filter(|_| session_context.is_ours(&tmux).unwrap_or(false)) {
        let expected = instance.map_or(pane.pid, |i| i.process.pid);
        match tmux.kill_pane(pane.pane_id, expected, &role) {
            Ok(CloseOutcome::Killed | CloseOutcome::Gone)
            | Err(crate::adapters::tmux::error::TmuxError::NoServer) => {}
            Ok(CloseOutcome::Changed { pid, .. }) => left = Some((pane.pane_id, pid)),
            Err(error) => return Err(tmux_failure(error)),
        }
    }
    let survivors = kill(&[&target]);
    close_an_empty_session(session_context, &tmux)?;
    let how = if forced.is_empty() { "" } else { " (it had to be terminated)" };
    let mut text = format!("{role} stopped{how}");
    if let Some((id, pid)) = left {
        text = format!("{text}; pane {id} now shows another process ({pid}) and was not closed");
    }
    let data = json!({"role": role, "stopped": true, "forced": !forced.is_empty()});
    finish(Answer::done(data, text), &survivors)
}

/// Ends a role's process deliberately and leaves its pane to be read or reused.
///
/// # Errors
/// [`Failure`] of the store, or 75 when even SIGKILL did not end it.
pub fn stop_instance(
    session_context: &SessionContext<'_>,
    role: &Role,
    grace_ms: u64,
) -> Result<(), Failure> {
    let runs = |phase| !matches!(phase, InstancePhase::Shutdown);
    if !session_context.state.instances.get(role).is_some_and(|i| runs(i.phase)) {
        return Ok(());
    }
    let target = StopTarget { role: role.clone(), ours: ours(session_context, role) };
    session_context
        .context
        .transact(&session_context.caller, &Command::Care(HealthCommand::Stopping(vec![role.clone()])))?
        .outcome?;
    end(session_context, &[&target], grace_ms);
    let survivors = kill(&[&target]);
    session_context.context.transact(&session_context.caller, &Command::Shutdown(role.clone()))?.outcome?;
    if survivors.is_empty() {
        return Ok(());
    }
    Err(Failure::with_next_step(
        Exit::Busy,
        format!("{role} is still alive after SIGKILL"),
        "cmw-session status",
    ))
}

/// Stops all roles, the Orchestrator last, and ends the session. Also works when tmux has died.
///
/// # Errors
/// [`Failure`]: 77 for a role that is not the Orchestrator.
pub fn down(session_context: &SessionContext<'_>, grace_ms: u64) -> Result<Answer, Failure> {
    session_context.may_stop(None)?;
    survive_our_pane()?;
    let is_up = session_context.state.session_is_up(&session_context.context.facts(&session_context.state));
    // Without tmux there is still something to do if its server is dead.
    let tmux = match session_context.tmux() {
        Ok(tmux) => Some(tmux),
        Err(failure) if is_up => return Err(failure),
        Err(_) => None,
    };
    let roles: Vec<Role> = (session_context.state.instances.iter())
        .filter(|(_, i)| i.phase != InstancePhase::Shutdown)
        .map(|(role, _)| role.clone())
        .collect();
    let targets: Vec<StopTarget> = roles
        .iter()
        .map(|role| StopTarget { role: role.clone(), ours: ours(session_context, role) })
        .collect();
    // Crash handling must know before any process ends.
    session_context
        .context
        .transact(&session_context.caller, &Command::Care(HealthCommand::Stopping(roles.clone())))?
        .outcome?;
    let leads =
        |role: &Role| session_context.state.policy.roster.kind(role).is_some_and(RoleKind::is_orchestrator);
    let mut forced = Vec::new();
    for last in [false, true] {
        let group: Vec<&StopTarget> = targets.iter().filter(|t| leads(&t.role) == last).collect();
        forced.extend(end(session_context, &group, grace_ms));
    }
    for role in &roles {
        session_context
            .context
            .transact(&session_context.caller, &Command::Shutdown(role.clone()))?
            .outcome?;
    }
    let ended = match &tmux {
        Some(tmux) => end_session(session_context, tmux)?,
        None => false,
    };
    let survivors = kill(&targets.iter().collect::<Vec<_>>());
    let was_up = session_context.state.session != Session::Down;
    session_context.context.transact(&session_context.caller, &Command::SessionDown)?.outcome?;
    let data = json!({"session": session_context.name, "stopped": roles, "forced": forced, "ended": ended});
    if !was_up && !ended && roles.is_empty() {
        return Ok(Answer::done(data, "no session is running"));
    }
    let mut text = format!("{} stopped, session {} is down", roles.len(), session_context.name);
    if !forced.is_empty() {
        let names: Vec<&str> = forced.iter().map(Role::as_str).collect();
        text = format!("{text}; had to be terminated: {}", names.join(", "));
    }
    finish(Answer::done(data, text), &survivors)
}

/// Keeps this process alive when the pane it runs in is closed.
fn survive_our_pane() -> Result<(), Failure> {
    let seen = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGHUP, seen)
        .map(drop)
        .map_err(|e| Failure::with_next_step(Exit::Unavailable, format!("cannot catch signals: {e}"), ""))
}

/// Returns the process of a role's instance, if it is alive and was started in a pane of ours.
fn ours(session_context: &SessionContext<'_>, role: &Role) -> Option<Process> {
    let instance = session_context.state.instances.get(role)?;
    let started = instance.phase != InstancePhase::Shutdown && instance.pane_id.is_some();
    (started && process::is_alive(&instance.process)).then(|| instance.process.clone())
}

/// Requests shutdown, waits, then sends SIGTERM. Returns the roles that did not end on request.
fn end(session_context: &SessionContext<'_>, targets: &[&StopTarget], grace_ms: u64) -> Vec<Role> {
    // A role that stops itself is an ancestor of this process, which cannot wait for it.
    let lineage: Vec<_> = process::lineage().collect();
    let mut untold = Vec::new();
    let mut waited = Vec::new();
    for target in targets {
        let Some(process) = &target.ours else { continue };
        if lineage.contains(process) {
            continue;
        }
        waited.push(process.clone());
        if !send_shutdown_request(session_context, &target.role) {
            untold.push(process.clone());
        }
    }
    for process in &untold {
        // It may have ended in the meantime.
        let _ = process::signal(process, Signal::TERM);
    }
    let left = wait(session_context, targets, &waited, grace_ms);
    for process in &left {
        let _ = process::signal(process, Signal::TERM);
    }
    let _ = process::wait_gone(&left, LAST_MS);
    let was_left = |t: &&&StopTarget| t.ours.as_ref().is_some_and(|p| left.contains(p));
    targets.iter().filter(was_left).map(|t| t.role.clone()).collect()
}

/// Waits until the processes have ended, at most the grace time; returns those that have not. A client that
/// waits for its user does not end by itself: once notified and idle it gets SIGTERM, and counts as ended.
fn wait(
    session_context: &SessionContext<'_>,
    targets: &[&StopTarget],
    processes: &[Process],
    grace_ms: u64,
) -> Vec<Process> {
    let said = session::registry(&session_context.context).last_seq().unwrap_or(u64::MAX);
    let deadline = clock::now().boot.plus(grace_ms);
    let mut done: BTreeMap<&Role, BootTime> = BTreeMap::new();
    loop {
        let now = clock::now().boot;
        let slice_ms = deadline.ms_until(&now).min(LOOK_MS);
        let left = process::wait_gone(processes, slice_ms);
        if left.is_empty() || slice_ms == 0 {
            return left;
        }
        for target in targets {
            let Some(process) = target.ours.as_ref().filter(|process| left.contains(process)) else {
                continue;
            };
            if !has_nothing_to_do(session_context, &target.role, said) {
                done.remove(&target.role);
            } else if now.ms_since(done.entry(&target.role).or_insert_with(|| now.clone())) >= SURE_MS {
                let _ = process::signal(process, Signal::TERM);
            }
        }
    }
}

/// Returns whether a role's client has received every message up to this one, and no turn of it is running.
fn has_nothing_to_do(session_context: &SessionContext<'_>, role: &Role, said: u64) -> bool {
    let client = clients::read(session_context.context.store.disk(), role).ok().flatten();
    let client = client.filter(|client| process::is_alive(&client.process));
    client.is_some_and(|client| match client.activity {
        Activity::Idle | Activity::Failed { .. } => client.told >= said,
        Activity::LimitReached { .. } | Activity::Ended => true,
        Activity::Working | Activity::NeedsPermission | Activity::NeedsInput => false,
    })
}

/// Sends SHUTDOWN_REQUEST; returns whether it was accepted.
fn send_shutdown_request(session_context: &SessionContext<'_>, role: &Role) -> bool {
    let Ok(directory) = programs::directory() else { return false };
    let sent = std::process::Command::new(directory.join("cmw-send"))
        .args([role.as_str(), "--type", "SHUTDOWN_REQUEST", "--priority", "high", "--subject", "Please stop"])
        // A request that is not read now must not stop the role's next instance.
        .args(["--ttl", REQUEST_TTL])
        .arg("Save your work, release the write lock, then end. Your pane will be closed.")
        .arg("--repo")
        .arg(&session_context.context.repo.common_dir)
        .stdin(std::process::Stdio::null())
        .output();
    match sent {
        Ok(out) if out.status.success() => true,
        Ok(_) | Err(_) => {
            if !session_context.quiet {
                session_context
                    .context
                    .env
                    .report(&format!("{role} could not be sent a shutdown request; sending SIGTERM"));
            }
            false
        }
    }
}

/// Kills the remaining processes; returns the roles that survived.
fn kill(targets: &[&StopTarget]) -> Vec<Role> {
    let processes: Vec<Process> = targets.iter().filter_map(|t| t.ours.clone()).collect();
    for process in process::wait_gone(&processes, LAST_MS) {
        let _ = process::signal(&process, Signal::KILL);
    }
    let left = process::wait_gone(&processes, LAST_MS);
    let lives = |t: &&&StopTarget| t.ours.as_ref().is_some_and(|p| left.contains(p));
    targets.iter().filter(lives).map(|t| t.role.clone()).collect()
}

/// Ends the tmux session if it exists and is ours; returns whether it did.
fn end_session(session_context: &SessionContext<'_>, tmux: &Tmux) -> Result<bool, Failure> {
    if !tmux.has_session(&session_context.name).map_err(tmux_failure)? {
        return Ok(false);
    }
    if !session_context.is_ours(tmux)? {
        if !session_context.quiet {
            session_context.context.env.report(&format!(
                "tmux session {} belongs to another repository and was not ended",
                session_context.name
            ));
        }
        return Ok(false);
    }
    match tmux.kill_session(&session_context.name) {
        Ok(()) => Ok(true),
        Err(
            crate::adapters::tmux::error::TmuxError::NoServer
            | crate::adapters::tmux::error::TmuxError::NoSession { .. },
        ) => Ok(false),
        Err(other) => Err(tmux_failure(other)),
    }
}

/// Ends the session and records it as down once its last pane is closed; helper windows do not keep it.
fn close_an_empty_session(session_context: &SessionContext<'_>, tmux: &Tmux) -> Result<(), Failure> {
    if !session_context.panes(tmux)?.is_empty() {
        return Ok(());
    }
    end_session(session_context, tmux)?;
    if session_context.state.session != Session::Down
        && !tmux.has_session(&session_context.name).map_err(tmux_failure)?
    {
        session_context.context.transact(&session_context.caller, &Command::SessionDown)?.outcome?;
    }
    Ok(())
}

fn finish(answer: Answer, survivors: &[Role]) -> Result<Answer, Failure> {
    if survivors.is_empty() {
        return Ok(answer);
    }
    let names: Vec<&str> = survivors.iter().map(Role::as_str).collect();
    let note = format!("error: still alive after SIGKILL: {}\nnext: cmw-session status", names.join(", "));
    Ok(answer.noting(note).exiting(Exit::Busy))
}
