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
        /// The agents' program and arguments, when they were given at its start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// Since when.
        since: WallTime,
    },
}

/// What is known of a role's instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// How far it got.
    pub phase: InstancePhase,
    /// The agent's process.
    pub process: Process,
    /// Its place in the session, from 0.
    pub pane: u32,
    /// tmux's name of its pane (`%7`), when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pane_id: Option<String>,
    /// Since when it is in this phase.
    pub since: WallTime,
    /// How often it was started.
    pub starts: u32,
    /// Since when it is known that it lives and gives no sign of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<WallTime>,
    /// Until when a usage limit stops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Parked>,
    /// How far its restart is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartState>,
    /// When restarts were begun: those within the last minutes, and maybe some before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarted: Vec<BootTime>,
}

/// A usage limit stops an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parked {
    /// Until when it is left alone.
    pub until: BootTime,
    /// The same, for people.
    pub until_at: WallTime,
    /// Since when.
    pub since: WallTime,
}

/// A role that shall keep still for a while (docs/rules.md R7.6: not a freeze).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolePause {
    /// Who wants it.
    pub by: Actor,
    /// Why; may be empty.
    pub reason: String,
    /// Since when.
    pub since: WallTime,
}

/// How far an instance got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstancePhase {
    /// Its pane runs; it has not registered yet.
    Starting,
    /// It said that it is ready.
    Ready,
    /// It is being stopped: that it ends is no crash.
    Stopping,
    /// Its process is gone, nobody stopped it, and that is recorded.
    Crashed,
    /// It was stopped on purpose.
    Shutdown,
}
