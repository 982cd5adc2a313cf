//! What is asked of the write lock, and the ticket that stands for it in the queue.

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Actor;
use crate::domain::lock::claim::Claim;
use crate::domain::mail::priority::Priority;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};

/// What somebody wants the lock for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockRequest {
    /// The files that will be changed.
    pub files: Claim,
    /// What for, at most [`PURPOSE_CHARS_MAX`] characters.
    pub purpose: String,
    /// How long it will take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_ms: Option<u64>,
    /// About how many lines will change; only informative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loc: Option<u32>,
    /// Before whom.
    pub priority: Priority,
    /// In which work tree the work is done, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_tree: Option<String>,
    /// The files were not named by whoever asks: they are what happened to be staged, and tell nothing
    /// about whose they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub guessed: bool,
}

/// Longest purpose, reason or task text, in characters.
pub const PURPOSE_CHARS_MAX: usize = 200;

/// A ticket in the queue. It belongs to a role and its process, not to a waiting command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiter {
    /// The place in the order of arrival.
    pub ticket: u64,
    /// Who waits.
    pub actor: Actor,
    /// The agent's process; when it dies, the ticket goes.
    pub process: Process,
    /// The command that waits at this moment, if any: only then can the lock be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Process>,
    /// The process that the lease shall end with, when that is not the agent's: a command that runs
    /// another one under the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<Process>,
    /// What for.
    pub request: LockRequest,
    /// Since when, for people.
    pub requested_at: WallTime,
    /// When the role last asked.
    pub asked: BootTime,
    /// How many offers were not taken up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// Whether two actors are the same one: nobody knows whether two unproven ones are, so for them
/// the process decides.
#[must_use]
pub fn is_same(one: &Actor, one_process: &Process, other: &Actor, other_process: &Process) -> bool {
    one == other && (*one != Actor::Unproven || one_process == other_process)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
