//! The cast of the tests of rules and store: three roles, the person, and their processes.

use std::collections::{BTreeMap, BTreeSet};

use cmw::domain::command::Caller;
use cmw::domain::facts::Facts;
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::role::Role;
use cmw::domain::identity::roster::Roster;
use cmw::domain::lock::claim::Claim;
use cmw::domain::lock::request::LockRequest;
use cmw::domain::mail::priority::Priority;
use cmw::domain::policy::compiled::Policy;
use cmw::domain::session::process::Process;
use cmw::domain::state::State;
use cmw::domain::util::time::{BootId, BootTime, Now, WallTime};

pub(crate) const ROLES: [&str; 3] = ["Orchestrator", "Dev-A", "Dev-B"];

pub(crate) fn boot() -> BootId {
    BootId("boot".to_owned())
}

pub(crate) fn process(pid: u32) -> Process {
    Process { pid, start_ticks: 1, boot: boot() }
}

/// The command that saves what a former holder left.
pub(crate) fn saver() -> Process {
    process(99)
}

/// What a decision knows of a world in which it is `ms` after the boot.
pub(crate) fn facts(ms: u64, wall: i64, dead: &BTreeSet<Process>) -> Facts {
    let now = Now { wall: WallTime(wall), boot: BootTime { boot: boot(), ms } };
    Facts { now, dead: dead.clone(), active: BTreeMap::new(), saver: Some(saver()), endings: BTreeMap::new() }
}

/// The three roles and the person with their agents' processes (10…), and the processes of their
/// waiting commands (20…).
pub(crate) fn askers() -> Vec<(Caller, Process)> {
    let mut all: Vec<(Caller, Process)> = (0_u32..)
        .zip(ROLES)
        .map(|(i, name)| {
            let actor = Actor::Role(Role::parse(name).unwrap());
            (Caller { actor, process: process(10 + i) }, process(20 + i))
        })
        .collect();
    all.push((Caller { actor: Actor::User, process: process(13) }, process(23)));
    all
}

pub(crate) fn request(priority: Priority) -> LockRequest {
    LockRequest {
        files: Claim::All,
        purpose: String::new(),
        estimate_ms: None,
        loc: None,
        priority,
        work_tree: None,
        guessed: false,
    }
}

/// The state of a new repository with the three roles.
pub(crate) fn new_state() -> State {
    let members =
        Roster::of_size(12).members().iter().filter(|m| ROLES.contains(&m.role.as_str())).cloned().collect();
    State::new("01".to_owned(), Policy::of(Roster::new(members).unwrap()))
}
