//! Stops a role: requests it by message, waits, releases its lock and its place in the queue, and closes its
//! pane.
//!
//! Invariants, each with a test of the same name in `tests/session.rs`:
//! * `a_neighbour_is_never_hit`: a pane is closed by id, with process and role checked, and a
//!   signal goes to a process by descriptor; a process outside our panes gets none.
//! * `down_leaves_no_process_and_no_session`, and another repository's session stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;

use crate::adapters::os::clock;
use crate::adapters::os::process;
use crate::adapters::os::process::Signal;
use crate::adapters::tmux::server::{Closed, Tmux};
use crate::domain::command::Command;
use crate::domain::health::client::Activity;
use crate::domain::health::command::Care;
use crate::domain::identity::role::{Kind, Role};
use crate::domain::session::instance::{Phase, Session};
use crate::domain::session::process::Process;
use crate::domain::util::time::Moment;
use crate::store::health::clients;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::mail::session;
use crate::app::programs;
use crate::app::session::context::Stage;
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
struct Target {
    role: Role,
    /// Its process, if it is alive and runs in a pane of ours: no other process is ever signalled.
    ours: Option<Process>,
}

/// Stops one role.
///
/// # Errors
/// [`Failure`]: 77 for a role that is not the Orchestrator and names another one.
pub fn stop(stage: &Stage<'_>, role: &str, grace_ms: u64) -> Result<Answer, Failure> {
    let role = stage.state.policy.roster.resolve(role)?.role.clone();
    stage.may_stop(Some(&role))?;
    survive_our_pane()?;
    let tmux = stage.tmux()?;
    let panes = stage.panes(&tmux)?;
    let pane = panes.iter().find(|p| p.role.as_ref() == Some(&role));
    let instance = stage.state.instances.get(&role).filter(|i| i.phase != Phase::Shutdown);
    if instance.is_none() && pane.is_none() {
        return Ok(Answer::done(json!({"role": role, "stopped": false}), format!("{role} is not running")));
    }
    let target = Target { role: role.clone(), ours: ours(stage, &role) };
    stage.context.transact(&stage.asker, &Command::Care(Care::Stopping(vec![role.clone()])))?.outcome?;
    let forced = end(stage, &[&target], grace_ms);
    stage.context.transact(&stage.asker, &Command::Shutdown(role.clone()))?.outcome?;
    let mut left = None;
    if let Some(pane) = pane.filter(|_| stage.is_ours(&tmux).unwrap_or(false)) {
        let expected = instance.map_or(pane.pid, |i| i.process.pid);
        match tmux.kill_pane(pane.pane_id, expected, &role) {
            Ok(Closed::Killed | Closed::Gone) | Err(crate::adapters::tmux::error::TmuxError::NoServer) => {}
            Ok(Closed::Changed { pid, .. }) => left = Some((pane.pane_id, pid)),
            Err(error) => return Err(tmux_failure(error)),
        }
    }
    let survivors = kill(&[&target]);
    close_an_empty_session(stage, &tmux)?;
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
pub fn quit(stage: &Stage<'_>, role: &Role, grace_ms: u64) -> Result<(), Failure> {
    let runs = |phase| !matches!(phase, Phase::Shutdown);
    if !stage.state.instances.get(role).is_some_and(|i| runs(i.phase)) {
        return Ok(());
    }
    let target = Target { role: role.clone(), ours: ours(stage, role) };
    stage.context.transact(&stage.asker, &Command::Care(Care::Stopping(vec![role.clone()])))?.outcome?;
    end(stage, &[&target], grace_ms);
    let survivors = kill(&[&target]);
    stage.context.transact(&stage.asker, &Command::Shutdown(role.clone()))?.outcome?;
    if survivors.is_empty() {
        return Ok(());
    }
    Err(Failure::told(Exit::Busy, format!("{role} is still alive after SIGKILL"), "cmw-session status"))
}

/// Stops all roles, the Orchestrator last, and ends the session. Also works when tmux has died.
///
/// # Errors
/// [`Failure`]: 77 for a role that is not the Orchestrator.
pub fn down(stage: &Stage<'_>, grace_ms: u64) -> Result<Answer, Failure> {
    stage.may_stop(None)?;
    survive_our_pane()?;
    let is_up = stage.state.session_is_up(&stage.context.facts(&stage.state));
    // Without tmux there is still something to do if its server is dead.
    let tmux = match stage.tmux() {
        Ok(tmux) => Some(tmux),
        Err(failure) if is_up => return Err(failure),
        Err(_) => None,
    };
    let roles: Vec<Role> = (stage.state.instances.iter())
        .filter(|(_, i)| i.phase != Phase::Shutdown)
        .map(|(role, _)| role.clone())
        .collect();
    let targets: Vec<Target> =
        roles.iter().map(|role| Target { role: role.clone(), ours: ours(stage, role) }).collect();
    // Crash handling must know before any process ends.
    stage.context.transact(&stage.asker, &Command::Care(Care::Stopping(roles.clone())))?.outcome?;
    let leads = |role: &Role| stage.state.policy.roster.kind(role).is_some_and(Kind::is_orchestrator);
    let mut forced = Vec::new();
    for last in [false, true] {
        let group: Vec<&Target> = targets.iter().filter(|t| leads(&t.role) == last).collect();
        forced.extend(end(stage, &group, grace_ms));
    }
    for role in &roles {
        stage.context.transact(&stage.asker, &Command::Shutdown(role.clone()))?.outcome?;
    }
    let ended = match &tmux {
        Some(tmux) => end_session(stage, tmux)?,
        None => false,
    };
    let survivors = kill(&targets.iter().collect::<Vec<_>>());
    let was_up = stage.state.session != Session::Down;
    stage.context.transact(&stage.asker, &Command::SessionDown)?.outcome?;
    let data = json!({"session": stage.name, "stopped": roles, "forced": forced, "ended": ended});
    if !was_up && !ended && roles.is_empty() {
        return Ok(Answer::done(data, "no session is running"));
    }
    let mut text = format!("{} stopped, session {} is down", roles.len(), stage.name);
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
        .map_err(|e| Failure::told(Exit::Unavailable, format!("cannot catch signals: {e}"), ""))
}

/// The process of a role's instance, if it is alive and was started in a pane of ours.
fn ours(stage: &Stage<'_>, role: &Role) -> Option<Process> {
    let instance = stage.state.instances.get(role)?;
    let started = instance.phase != Phase::Shutdown && instance.pane_id.is_some();
    (started && process::is_alive(&instance.process)).then(|| instance.process.clone())
}

/// Requests shutdown, waits, then sends SIGTERM. Returns the roles that did not end on request.
fn end(stage: &Stage<'_>, targets: &[&Target], grace_ms: u64) -> Vec<Role> {
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
        if !tell(stage, &target.role) {
            untold.push(process.clone());
        }
    }
    for process in &untold {
        // It may have ended in the meantime.
        let _ = process::signal(process, Signal::TERM);
    }
    let left = wait(stage, targets, &waited, grace_ms);
    for process in &left {
        let _ = process::signal(process, Signal::TERM);
    }
    let _ = process::wait_gone(&left, LAST_MS);
    let was_left = |t: &&&Target| t.ours.as_ref().is_some_and(|p| left.contains(p));
    targets.iter().filter(was_left).map(|t| t.role.clone()).collect()
}

/// Waits until the processes have ended, at most the grace time; returns those that have not. A client that
/// waits for its user does not end by itself: once notified and idle it gets SIGTERM, and counts as ended.
fn wait(stage: &Stage<'_>, targets: &[&Target], processes: &[Process], grace_ms: u64) -> Vec<Process> {
    let said = session::registry(&stage.context).last_seq().unwrap_or(u64::MAX);
    let deadline = clock::now().boot.plus(grace_ms);
    let mut done: BTreeMap<&Role, Moment> = BTreeMap::new();
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
            if !has_nothing_to_do(stage, &target.role, said) {
                done.remove(&target.role);
            } else if now.ms_since(done.entry(&target.role).or_insert_with(|| now.clone())) >= SURE_MS {
                let _ = process::signal(process, Signal::TERM);
            }
        }
    }
}

/// Whether a role's client has received every message up to this one, and no turn of it is running.
fn has_nothing_to_do(stage: &Stage<'_>, role: &Role, said: u64) -> bool {
    let client = clients::read(stage.context.store.disk(), role).ok().flatten();
    let client = client.filter(|client| process::is_alive(&client.process));
    client.is_some_and(|client| match client.activity {
        Activity::Idle | Activity::Failed { .. } => client.told >= said,
        Activity::LimitReached { .. } | Activity::Ended => true,
        Activity::Working | Activity::NeedsPermission | Activity::NeedsInput => false,
    })
}

/// Sends SHUTDOWN_REQUEST; returns whether it was accepted.
fn tell(stage: &Stage<'_>, role: &Role) -> bool {
    let Ok(directory) = programs::directory() else { return false };
    let sent = std::process::Command::new(directory.join("cmw-send"))
        .args([role.as_str(), "--type", "SHUTDOWN_REQUEST", "--priority", "high", "--subject", "Please stop"])
        // A request that is not read now must not stop the role's next instance.
        .args(["--ttl", REQUEST_TTL])
        .arg("Save your work, release the write lock, then end. Your pane will be closed.")
        .arg("--repo")
        .arg(&stage.context.repo.common_dir)
        .stdin(std::process::Stdio::null())
        .output();
    match sent {
        Ok(out) if out.status.success() => true,
        Ok(_) | Err(_) => {
            if !stage.quiet {
                stage
                    .context
                    .env
                    .report(&format!("{role} could not be sent a shutdown request; sending SIGTERM"));
            }
            false
        }
    }
}

/// Kills the remaining processes; returns the roles that survived.
fn kill(targets: &[&Target]) -> Vec<Role> {
    let processes: Vec<Process> = targets.iter().filter_map(|t| t.ours.clone()).collect();
    for process in process::wait_gone(&processes, LAST_MS) {
        let _ = process::signal(&process, Signal::KILL);
    }
    let left = process::wait_gone(&processes, LAST_MS);
    let lives = |t: &&&Target| t.ours.as_ref().is_some_and(|p| left.contains(p));
    targets.iter().filter(lives).map(|t| t.role.clone()).collect()
}

/// Ends the tmux session if it exists and is ours; returns whether it did.
fn end_session(stage: &Stage<'_>, tmux: &Tmux) -> Result<bool, Failure> {
    if !tmux.has_session(&stage.name).map_err(tmux_failure)? {
        return Ok(false);
    }
    if !stage.is_ours(tmux)? {
        if !stage.quiet {
            stage.context.env.report(&format!(
                "tmux session {} belongs to another repository and was not ended",
                stage.name
            ));
        }
        return Ok(false);
    }
    match tmux.kill_session(&stage.name) {
        Ok(()) => Ok(true),
        Err(
            crate::adapters::tmux::error::TmuxError::NoServer
            | crate::adapters::tmux::error::TmuxError::NoSession { .. },
        ) => Ok(false),
        Err(other) => Err(tmux_failure(other)),
    }
}

/// Ends the session and records it as down once its last pane is closed; helper windows do not keep it.
fn close_an_empty_session(stage: &Stage<'_>, tmux: &Tmux) -> Result<(), Failure> {
    if !stage.panes(tmux)?.is_empty() {
        return Ok(());
    }
    end_session(stage, tmux)?;
    if stage.state.session != Session::Down && !tmux.has_session(&stage.name).map_err(tmux_failure)? {
        stage.context.transact(&stage.asker, &Command::SessionDown)?.outcome?;
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
