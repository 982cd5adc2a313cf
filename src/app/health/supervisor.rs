//! Owns that somebody watches over a session: tmux tells how its panes end, and a monitor runs in a window of
//! its own. Whichever instance beats looks whether there still is one.

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
use crate::app::session::tmux;
use crate::app::session::tmux::tmux_failure;
use crate::app::workspace::Context;

/// The name of the monitor's window.
pub const WINDOW: &str = "monitor";
/// Under which name the session keeps that it wants one.
const NOTE: &str = "monitor";
/// How often it is looked whether there is a monitor, in milliseconds.
const EVERY_MS: u64 = 15_000;

/// Has tmux tell of deaths, and starts a monitor. A session without them works; who started
/// it is told.
pub fn watch_over(context: &Context<'_>, tmux: &Tmux, session: &str, with_monitor: bool) {
    let told = words(context, &["pane-ended"])
        .and_then(|words| tmux.tell_of_deaths(session, &words).map_err(tmux_failure));
    if let Err(failure) = told {
        context.env.report(&format!("warning: tmux does not tell of crashes: {}", failure.text()));
    }
    if !with_monitor {
        return;
    }
    let started = tmux
        .keep_note(session, NOTE, WINDOW)
        .map_err(tmux_failure)
        .and_then(|()| start(context, tmux, session));
    if let Err(failure) = started {
        context.env.report(&format!("warning: there is no monitor: {}", failure.text()));
    }
}

/// Starts a monitor in its window, unless one runs there. Where another is at it, it waits to take over: of one
/// that brought the session back, or only looks once, nobody knows when it ends.
fn start(context: &Context<'_>, tmux: &Tmux, session: &str) -> Result<(), Failure> {
    let command = words(context, &["monitor"])?;
    let path = programs::search_path(context.env)?;
    let path =
        path.into_string().map_err(|_| Failure::told(Exit::Config, "PATH is not readable text", ""))?;
    let (name, env, cwd) = (WINDOW.to_owned(), vec![("PATH".to_owned(), path)], workspace(context)?);
    tmux.helper(session, &HelperSpec { name, command, env, cwd }).map(drop).map_err(tmux_failure)
}

/// Our program with this verb, as words that name everything.
fn words(context: &Context<'_>, verb: &[&str]) -> Result<Vec<String>, Failure> {
    let not_text = |what: &str| Failure::told(Exit::Config, format!("{what} is not readable text"), "");
    let tool = programs::directory()?.join("cmw-health");
    let tool = tool.to_str().ok_or_else(|| not_text("the name of our programs' directory"))?.to_owned();
    let place = workspace(context)?;
    let place = place.to_str().ok_or_else(|| not_text("the name of the work tree"))?.to_owned();
    let mut words = vec![tool, "--repo".to_owned(), place];
    words.extend(verb.iter().map(|word| (*word).to_owned()));
    Ok(words)
}

/// Starts a monitor when the session has none any more.
///
/// # Errors
/// [`Failure`] of the store or of tmux: it is tried again.
pub fn pass_by(context: &Context<'_>, state: &State) -> Result<(), Failure> {
    let Session::Up { name, socket, .. } = &state.session else { return Ok(()) };
    let (disk, now) = (context.store.disk(), clock::now().boot);
    if state.lost.is_some() || !last_run::is_due(disk, layout::MONITOR_PATROL, &now, EVERY_MS) {
        return Ok(());
    }
    if monitor::take_watch(disk)?.is_none() {
        return Ok(());
    }
    let tmux = tmux::tmux(context.env, socket.as_deref())?;
    match tmux.note(name, NOTE).map_err(tmux_failure)? {
        Some(_) => start(context, &tmux, name),
        None => Ok(()),
    }
}
