//! The facts about the world on which a decision may depend, in addition to the state.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::health::incident::ProcessEnd;
use crate::domain::identity::role::Role;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, Now};

/// The facts about the world on which a decision may depend, in addition to the state.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Both clocks.
    pub now: Now,
    /// The dead ones of the processes that the state names.
    pub dead: BTreeSet<Process>,
    /// The last activity of holder and waiters (their beats and their commits): it renews a lease,
    /// and an offer is made only to an active role.
    pub active: BTreeMap<Role, BootTime>,
    /// The calling command, since it can save a former holder's work; a hook cannot.
    pub saver: Option<Process>,
    /// The ends of dead processes, as far as tmux reported them.
    pub endings: BTreeMap<Process, ProcessEnd>,
}
