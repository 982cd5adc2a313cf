//! Waiting until started instances have registered, and why one did not.

use std::time::Duration;

use crate::adapters::os::process;
use crate::adapters::tmux::pane::{PaneId, PaneInfo};
use crate::adapters::tmux::server::Tmux;
use crate::domain::identity::role::Role;
use crate::domain::session::instance::InstancePhase;
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::store::watch::Watch;

use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::session::context::SessionContext;

/// How long a process's death may go unnoticed while registrations are awaited.
const LOOK_AGAIN_MS: u64 = 500;
/// More lines than a pane has: tmux writes "Pane is dead" in the last one; the program's output is above it.
const PANE_LINES: usize = 1_000;
/// How often, and with which pause, tmux is asked whether it has noticed that a process ended.
const NOTICE_TRIES: u32 = 40;
const NOTICE_PAUSE: Duration = Duration::from_millis(25);

/// A pane whose process is to become a role's instance.
#[derive(Clone, Debug)]
pub(super) struct StartingPane {
    pub(super) role: Role,
    pub(super) id: PaneId,
    pub(super) process: Process,
}

/// The outcome of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartOutcome {
    /// It registered.
    Ready,
    /// Its process ended.
    Ended,
    /// It was stopped while being awaited.
    Stopped,
    /// It runs, but did not register in time.
    Silent,
}

/// Waits until each has registered or ended, or the time is over.
pub(super) fn await_ready(
    session_context: &SessionContext<'_>,
    mut waiting: Vec<StartingPane>,
    wait_ms: u64,
) -> Result<Vec<(Role, StartOutcome)>, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot watch the state: {e}"), "cmw-doctor")
    };
    let watch = Watch::on(&session_context.context.repo.common_dir.join("cmw")).map_err(cannot)?;
    let deadline = crate::adapters::os::clock::now().boot.plus(wait_ms);
    let mut fates = Vec::new();
    loop {
        let state = session_context.context.state()?;
        waiting.retain(|pane| match start_outcome(&state, pane) {
            StartOutcome::Silent => true,
            known @ (StartOutcome::Ready | StartOutcome::Ended | StartOutcome::Stopped) => {
                if !session_context.quiet && known == StartOutcome::Ready {
                    session_context.context.env.report(&format!("{} is ready", pane.role));
                }
                fates.push((pane.role.clone(), known));
                false
            }
        });
        let left_ms = deadline.ms_until(&crate::adapters::os::clock::now().boot);
        if waiting.is_empty() || left_ms == 0 {
            fates.extend(waiting.into_iter().map(|pane| (pane.role, StartOutcome::Silent)));
            return Ok(fates);
        }
        watch.wait(None, left_ms.min(LOOK_AGAIN_MS)).map_err(cannot)?;
    }
}

pub(super) fn start_outcome(state: &State, pane: &StartingPane) -> StartOutcome {
    let instance = state.instances.get(&pane.role).filter(|i| i.process == pane.process);
    match instance.map(|i| i.phase) {
        None | Some(InstancePhase::Shutdown) => StartOutcome::Stopped,
        Some(_) if !process::is_alive(&pane.process) => StartOutcome::Ended,
        Some(InstancePhase::Ready) => StartOutcome::Ready,
        // A crash also notifies others.
        Some(InstancePhase::Starting | InstancePhase::Stopping | InstancePhase::Crashed) => {
            StartOutcome::Silent
        }
    }
}

/// Returns the panes, once tmux has noticed that these have ended: only then does it report their exit
/// status.
pub(super) fn panes_after_the_end_of(
    session_context: &SessionContext<'_>,
    tmux: &Tmux,
    ended: &dyn Fn(&PaneInfo) -> bool,
) -> Result<Vec<PaneInfo>, Failure> {
    for _ in 0..NOTICE_TRIES {
        let panes = session_context.panes(tmux)?;
        // A pane is dead once its terminal is closed; its exit status follows a moment later.
        let told = |pane: &PaneInfo| pane.dead && pane.dead_status.or(pane.dead_signal).is_some();
        if panes.iter().all(|pane| told(pane) || !ended(pane)) {
            return Ok(panes);
        }
        std::thread::sleep(NOTICE_PAUSE);
    }
    session_context.panes(tmux)
}

/// Returns why a role is missing, with the last line its pane shows.
pub(super) fn why(tmux: &Tmux, pane: Option<&PaneInfo>, fate: StartOutcome) -> String {
    let last = pane.and_then(|pane| tmux.capture(pane.pane_id, PANE_LINES).ok());
    // The last line is tmux's own "Pane is dead"; the program's output is above it.
    let said = last.as_deref().and_then(|text| {
        text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("Pane is dead"))
    });
    let said =
        said.map_or_else(String::new, |line| format!(": {}", sanitize::shorten(&sanitize::line(line), 120)));
    match fate {
        StartOutcome::Ready => "it is ready".to_owned(),
        StartOutcome::Stopped => "it was stopped in the meantime".to_owned(),
        StartOutcome::Silent => format!("it is running, but has not registered{said}"),
        StartOutcome::Ended => {
            let status = pane.and_then(|pane| pane.dead_status);
            let status = status.map_or_else(String::new, |status| format!(" with {status}"));
            format!("it ended{status}{said}")
        }
    }
}
