//! Events of sessions and instances: their log, severity and the actors concerned.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::session::process::Process;
use crate::domain::util::tags::tags;

/// An event of the session, or of an instance in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SessionEvent {
    /// A tmux session was started.
    SessionUp {
        /// Its name.
        name: String,
        /// Its server's socket name, when not the default.
        socket: Option<String>,
        /// The tmux server.
        server: Process,
        /// The agents' program and arguments, if given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// The session is over.
    SessionDown,
    /// A pane runs for a role.
    InstanceLaunched {
        /// The role.
        role: Role,
        /// The pane's process.
        process: Process,
        /// The place in the session.
        pane: u32,
        /// The pane's id in tmux.
        pane_id: String,
    },
    /// An instance has registered as ready.
    InstanceRegistered {
        /// The role.
        role: Role,
        /// The agent's process.
        process: Process,
        /// The place in the session.
        pane: u32,
    },
    /// An instance was stopped on purpose.
    InstanceShutdown {
        /// The role.
        role: Role,
    },
    /// The Librarian verified the set-up (docs/rules.md R2.5).
    InitializationVerified {
        /// The problems found; empty: none.
        findings: Vec<String>,
    },
}

tags! { SessionEvent:
    SessionUp => "SESSION_UP",
    SessionDown => "SESSION_DOWN",
    InstanceLaunched => "INSTANCE_LAUNCHED",
    InstanceRegistered => "INSTANCE_REGISTERED",
    InstanceShutdown => "INSTANCE_SHUTDOWN",
    InitializationVerified => "INITIALIZATION_VERIFIED",
}

impl SessionEvent {
    /// Returns the file of `audit/` that holds its record, named as in the guide.
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::SessionUp { .. } | Self::SessionDown => "orchestrator-decisions.log",
            Self::InstanceLaunched { .. }
            | Self::InstanceRegistered { .. }
            | Self::InstanceShutdown { .. } => "instance-registrations.log",
            Self::InitializationVerified { .. } => "orchestrator-startup.log",
        }
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::InitializationVerified { findings } if !findings.is_empty() => Severity::Warning,
            Self::SessionUp { .. }
            | Self::SessionDown
            | Self::InstanceLaunched { .. }
            | Self::InstanceRegistered { .. }
            | Self::InstanceShutdown { .. }
            | Self::InitializationVerified { .. } => Severity::Info,
        }
    }

    /// Returns the actors concerned, other than the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::InstanceLaunched { role, .. }
            | Self::InstanceRegistered { role, .. }
            | Self::InstanceShutdown { role } => vec![Actor::Role(role.clone())],
            Self::SessionUp { .. } | Self::SessionDown | Self::InitializationVerified { .. } => Vec::new(),
        }
    }
}
