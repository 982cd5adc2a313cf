//! `cmw-lock run`: runs a command under the write lock, which is released however the command ends.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

use crate::adapters::os::process;
use crate::domain::command::{Caller, Command, Reply};
use crate::domain::lock::lease::held_refusal;
use crate::domain::lock::request::LockRequest;
use crate::domain::session::process::Process;
use crate::domain::state::State;

use crate::adapters::os::stdio::write_err;
use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::lock::wait::wait_for;
use crate::app::workspace::Context;

/// Acquires the lock, runs the command, releases the lock. A lock that was held before stays held. The exit
/// code is the command's. If this program is killed, its lease ends with it.
///
/// # Errors
/// [`Failure`] when the lock could not be acquired in time, or the command could not be started.
pub fn run(
    context: &Context<'_>,
    caller: &Caller,
    request: &LockRequest,
    wait_ms: u64,
    command: &[OsString],
    quiet: bool,
) -> Result<Answer, Failure> {
    // The lease is bound to this process: its death ends the lease.
    let me = process::current();
    let (reply, state) = wait_for(context, caller, request, wait_ms, Some(&me), quiet)?;
    let held = match reply {
        Reply::Granted(held) | Reply::Renewed(held) => held,
        Reply::Queued { place, .. } => {
            return Err(wait_timed_out(context, &state, place));
        }
        Reply::Done | Reply::Released { .. } => {
            return Err(Failure::with_next_step(Exit::Bug, "an unexpected answer", "cmw-doctor"));
        }
    };
    let taken = held.process == me;
    let (token, holder) = (held.token, Caller { actor: held.holder, process: held.process });
    let lease_ms = state.policy.lock.lease_for(request.estimate_ms);
    let (program, args) = command.split_first().expect("clap requires a command");
    let mut child = std::process::Command::new(program);
    child.args(args);
    let ended = run_child(context, &holder, &mut child, lease_ms / 3);
    // The agent may have acquired it explicitly in the meantime.
    if taken && lease_belongs_to(context, &me) {
        // A lease that was ended in the meantime is no longer ours to release. The command has run, so its
        // result counts; the lease ends with this process in any case.
        if let Err(failure) = context.transact(&holder, &Command::Release { token: Some(token) }) {
            write_err(&failure.text());
        }
    }
    let status = ended?;
    Ok(Answer::done(json!({"token": token}), "").exiting(Exit::Child(code(status))))
}

/// Returns whether the lease is still bound to this command.
#[must_use]
pub fn lease_belongs_to(context: &Context<'_>, me: &Process) -> bool {
    context.state().is_ok_and(|state| state.held().is_none_or(|held| held.process == *me))
}

/// Returns the refusal for a wait that has timed out.
#[must_use]
pub fn wait_timed_out(context: &Context<'_>, state: &State, place: usize) -> Failure {
    let refusal = held_refusal(state, &context.facts(state), Some(place));
    refusal.map_or_else(
        || Failure::with_next_step(Exit::Busy, "the lock could not be acquired in time", "cmw"),
        Failure::from,
    )
}

/// Returns the command's exit code as a shell reports it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(1)
}

/// Runs the command, renews the lease while it runs, and forwards signals.
///
/// # Errors
/// [`Failure`] when it could not be started or waited for.
pub fn run_child(
    context: &Context<'_>,
    holder: &Caller,
    command: &mut std::process::Command,
    renew_every_ms: u64,
) -> Result<ExitStatus, Failure> {
    // From here on an interrupt ends the command, and this program after it.
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP])
        .map_err(|e| Failure::with_next_step(Exit::Unavailable, format!("cannot catch signals: {e}"), ""))?;
    let mut child = command.spawn().map_err(|e| {
        let program = command.get_program().to_string_lossy().into_owned();
        Failure::with_next_step(Exit::Child(127), format!("cannot run {program}: {e}"), "")
    })?;
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let handle = signals.handle();
    let forward = std::thread::spawn(move || {
        for origin in &mut signals {
            // The terminal signals its whole foreground process group, which includes the command.
            if matches!(origin.cause, Cause::Kernel) {
                continue;
            }
            let signal = rustix::process::Signal::from_named_raw(origin.signal);
            if let Some((pid, signal)) = pid.zip(signal) {
                // It may have ended in the meantime.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    });
    let (done, ended) = channel();
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        let _ = done.send(());
        status
    });
    while ended.recv_timeout(Duration::from_millis(renew_every_ms.max(50))) == Err(RecvTimeoutError::Timeout)
    {
        // A lease that was taken away is not renewed: the hooks refuse further updates.
        let _ = context.transact(holder, &Command::Renew);
    }
    handle.close();
    let _ = forward.join();
    let status =
        waiter.join().map_err(|_| Failure::with_next_step(Exit::Bug, "the waiting thread died", ""))?;
    status.map_err(|e| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot wait for the command: {e}"), "")
    })
}
