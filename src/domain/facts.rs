//! What a decision may know of the world besides the state.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::health::incident::ProcessEnd;
use crate::domain::identity::role::Role;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, Now};

/// What a decision may know of the world besides the state.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Both clocks.
    pub now: Now,
    /// Which of the processes that the state names are dead.
    pub dead: BTreeSet<Process>,
    /// When holder and waiters were last active (their beats and their commits): it renews a lease,
    /// and an offer is made only to who is there.
    pub active: BTreeMap<Role, BootTime>,
    /// The command that asks, since it can save what a former holder left; a hook cannot.
    pub saver: Option<Process>,
    /// How processes ended that are dead, as far as tmux told.
    pub endings: BTreeMap<Process, ProcessEnd>,
}
