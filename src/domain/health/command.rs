//! What can be asked about instances: stopping, restarts, signs of life, usage limits.

use crate::domain::identity::role::Role;
use crate::domain::session::process::Process;
use crate::domain::util::time::WallTime;

/// What health asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCommand {
    /// These are about to be stopped on purpose.
    Stopping(Vec<Role>),
    /// The process of an instance outside our panes is gone.
    Gone(Role),
    /// A program is about to restart a role; none: the session.
    Begin {
        /// Whose.
        role: Option<Role>,
        /// Which program.
        program: Process,
    },
    /// What came of it.
    End {
        /// Whose.
        role: Option<Role>,
        /// Why it did not succeed, when it did not.
        failure: Option<String>,
    },
    /// Who gives no sign of life, with what is seen; and who does again.
    Seen {
        /// Who does not.
        stale: Vec<(Role, String)>,
        /// Who does.
        well: Vec<Role>,
    },
    /// A usage limit stops a role.
    Park {
        /// Whose.
        role: Role,
        /// Until when, when it was told.
        until: Option<WallTime>,
    },
    /// It goes on.
    Unpark(Role),
}
