//! Owns the shape of what runs: the session and the instances in it.

use serde::{Deserialize, Serialize};

use super::process::Process;
use super::time::Wall;

/// The tmux session of this repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum Session {
    /// There is none: roles are taken from the environment, a terminal is the person's.
    Down,
    /// Started by `cmw-session up`: a role is a registered pane.
    Up {
        /// Its name.
        name: String,
        /// The tmux server's socket name, when it is not the default one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        socket: Option<String>,
        /// The tmux server's process; when it dies, the session is gone.
        server: Process,
        /// Since when.
        since: Wall,
    },
}

/// What is known of a role's instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// How far it got.
    pub phase: Phase,
    /// The agent's process.
    pub process: Process,
    /// Its place in the session, from 0.
    pub pane: u32,
    /// tmux's name of its pane (`%7`), when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pane_id: Option<String>,
    /// Since when it is in this phase.
    pub since: Wall,
    /// How often it was started.
    pub starts: u32,
}

/// How far an instance got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Its pane runs; it has not registered yet.
    Starting,
    /// It said that it is ready.
    Ready,
    /// It was stopped on purpose.
    Shutdown,
}
