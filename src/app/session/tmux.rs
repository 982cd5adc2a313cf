//! Finds tmux and translates its errors into failures with a next step.

use std::ffi::OsString;

use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::server::{Server, Tmux};
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;

/// Returns tmux on a server.
///
/// # Errors
/// [`Failure`] (69) when it is not installed.
pub fn tmux(env: &Env, socket: Option<&str>) -> Result<Tmux, Failure> {
    let server = socket.map_or(Server::Default, |name| Server::Named(name.to_owned()));
    let path = env.get("PATH").map(OsString::from);
    Tmux::find(path.as_deref(), &server).map_err(tmux_failure)
}

/// Converts a tmux error to a [`Failure`].
#[must_use]
pub fn tmux_failure(error: TmuxError) -> Failure {
    let text = error.to_string();
    let what = text.split_once("; ").map_or(text.as_str(), |(what, _)| what).to_owned();
    match error {
        TmuxError::Missing | TmuxError::TooOld { .. } => {
            Failure::with_next_step(Exit::Unavailable, what, "apt-get install tmux")
        }
        TmuxError::NoServer | TmuxError::NoSession { .. } => {
            Failure::with_next_step(Exit::Unavailable, what, "cmw-session up")
        }
        TmuxError::SessionExists { .. } => Failure::with_next_step(Exit::Refused, what, "cmw-session attach"),
        TmuxError::NoPane { .. } | TmuxError::NotTheirPane { .. } => {
            Failure::with_next_step(Exit::Refused, text, "cmw-session status")
        }
        TmuxError::NoSpace => {
            Failure::with_next_step(Exit::Unavailable, text, "cmw-session up --size 300x90")
        }
        TmuxError::BadSpec(_) => Failure::with_next_step(Exit::Config, text, "cmw-doctor"),
        TmuxError::TimedOut { .. } => Failure::with_next_step(Exit::Busy, text, "cmw-session status"),
        TmuxError::Failed { .. } => Failure::with_next_step(Exit::Unavailable, text, "cmw-doctor"),
    }
}
