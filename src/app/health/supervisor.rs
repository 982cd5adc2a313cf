//! Keeps a session supervised: tmux reports how panes end, and a monitor runs in a window of its own. Each
//! beating instance checks whether the monitor still runs.

use crate::adapters::os::clock;
use crate::adapters::tmux::helper_window::HelperSpec;
use crate::adapters::tmux::server::Tmux;
use crate::domain::session::instance::Session;
use crate::domain::state::State;
use crate::store::health::monitor;
use crate::store::{last_run, layout};

use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::programs;
use crate::app::session::launch::workspace;
use crate::app::session::tmux::{self, tmux_failure};
use crate::app::workspace::Context;

/// The name of the monitor's window.
pub const WINDOW: &str = "monitor";
/// The key under which the session records that it wants a monitor.
const NOTE: &str = "monitor";
/// How often instances check for a monitor, in milliseconds.
const EVERY_MS: u64 = 15_000;

/// Makes tmux report the ends of panes, and starts a monitor. A session works without them; failures are
/// reported as warnings.
pub fn start_monitoring(context: &Context<'_>, tmux: &Tmux, session: &str, with_monitor: bool) {
    let told = words(context, &["pane-ended"])
        .and_then(|words| tmux.set_pane_died_hook(session, &words).map_err(tmux_failure));
    if let Err(failure) = told {
        context.env.report(&format!("warning: tmux does not report crashes: {}", failure.text()));
    }
    if !with_monitor {
        return;
    }
    let started = tmux
        .set_note(session, NOTE, WINDOW)
        .map_err(tmux_failure)
        .and_then(|()| start(context, tmux, session));
    if let Err(failure) = started {
        context.env.report(&format!("warning: no monitor was started: {}", failure.text()));
    }
}

/// Starts a monitor in its window, unless one runs there. While another monitor runs, it waits to take over:
/// one that restored the session, or makes a single pass, may end at any time.
fn start(context: &Context<'_>, tmux: &Tmux, session: &str) -> Result<(), Failure> {
    let command = words(context, &["monitor"])?;
    let path = programs::search_path(context.env)?;
    let path = path
        .into_string()
        .map_err(|_| Failure::with_next_step(Exit::Config, "PATH is not valid UTF-8", ""))?;
    let (name, env, cwd) = (WINDOW.to_owned(), vec![("PATH".to_owned(), path)], workspace(context)?);
    tmux.helper(session, &HelperSpec { name, command, env, cwd }).map(drop).map_err(tmux_failure)
}

/// Returns the command line of our program with this verb, with all paths explicit.
fn words(context: &Context<'_>, verb: &[&str]) -> Result<Vec<String>, Failure> {
    let not_text =
        |what: &str| Failure::with_next_step(Exit::Config, format!("{what} is not valid UTF-8"), "");
    let tool = programs::directory()?.join("cmw-health");
    let tool = tool.to_str().ok_or_else(|| not_text("the name of our programs' directory"))?.to_owned();
    let place = workspace(context)?;
    let place = place.to_str().ok_or_else(|| not_text("the name of the work tree"))?.to_owned();
    let mut words = vec![tool, "--repo".to_owned(), place];
    words.extend(verb.iter().map(|word| (*word).to_owned()));
    Ok(words)
}

/// Starts a monitor when the session has none.
///
/// # Errors
/// [`Failure`] of the store or of tmux: the next beat tries again.
pub fn restart_monitor_if_due(context: &Context<'_>, state: &State) -> Result<(), Failure> {
    let Session::Up { name, socket, .. } = &state.session else { return Ok(()) };
    let (disk, now) = (context.store.disk(), clock::now().boot);
    if state.lost.is_some() || !last_run::is_due(disk, layout::MONITOR_PATROL, &now, EVERY_MS) {
        return Ok(());
    }
    if monitor::acquire_monitor_lock(disk)?.is_none() {
        return Ok(());
    }
    let tmux = tmux::tmux(context.env, socket.as_deref())?;
    match tmux.note(name, NOTE).map_err(tmux_failure)? {
        Some(_) => start(context, &tmux, name),
        None => Ok(()),
    }
}
