//! The session, and the instances that run in it.

use serde::{Deserialize, Serialize};

use crate::domain::health::incident::RestartState;
use crate::domain::identity::actor::Actor;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};

/// The tmux session of this repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum Session {
    /// There is none: roles are taken from the environment, and a terminal is assumed to be the person's.
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
        /// The agents' program and arguments, if given at its start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// The time of its start.
        since: WallTime,
    },
}

/// The state of a role's instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its phase.
    pub phase: InstancePhase,
    /// The agent's process.
    pub process: Process,
    /// Its place in the session, from 0.
    pub pane: u32,
    /// Its pane's id in tmux (`%7`), if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pane_id: Option<String>,
    /// The start of this phase.
    pub since: WallTime,
    /// The number of its starts.
    pub starts: u32,
    /// The time since which it is stale, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<WallTime>,
    /// The usage limit that stops it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parked>,
    /// The state of its restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartState>,
    /// The times of its recent restarts: those within the window, and maybe some before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarted: Vec<BootTime>,
}

/// A usage limit that stops an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parked {
    /// The time at which it is woken.
    pub until: BootTime,
    /// The same time, for display.
    pub until_at: WallTime,
    /// The time at which it was parked.
    pub since: WallTime,
}

/// The pause of a role (docs/rules.md R7.6: not a freeze).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolePause {
    /// The actor that paused it.
    pub by: Actor,
    /// The reason; may be empty.
    pub reason: String,
    /// The start of the pause.
    pub since: WallTime,
}

/// The phase of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstancePhase {
    /// Its pane runs; it has not registered yet.
    Starting,
    /// It has registered as ready.
    Ready,
    /// It is being stopped; its end is not a crash.
    Stopping,
    /// Its process ended without having been stopped on purpose, and that is recorded.
    Crashed,
    /// It was stopped on purpose.
    Shutdown,
}
