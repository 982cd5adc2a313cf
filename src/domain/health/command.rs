//! Commands about instances: stopping, restarts, signs of life, usage limits.

use crate::domain::identity::role::Role;
use crate::domain::session::process::Process;
use crate::domain::util::time::WallTime;

/// A command about the health of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCommand {
    /// These roles are about to be stopped on purpose.
    Stopping(Vec<Role>),
    /// The process of an instance outside cmw's panes is gone.
    Gone(Role),
    /// A program is about to restart a role, or the session.
    Begin {
        /// The role; none: the session.
        role: Option<Role>,
        /// The program's process.
        program: Process,
    },
    /// A restart has ended.
    End {
        /// The role; none: the session.
        role: Option<Role>,
        /// The reason for the failure, if it failed.
        failure: Option<String>,
    },
    /// Instances give no sign of life, or give one again.
    Seen {
        /// The stale roles, each with the evidence.
        stale: Vec<(Role, String)>,
        /// The roles that give signs of life.
        well: Vec<Role>,
    },
    /// A usage limit stops a role.
    Park {
        /// The role.
        role: Role,
        /// The end of the limit, if it was reported.
        until: Option<WallTime>,
    },
    /// A usage limit no longer stops a role.
    Unpark(Role),
}
