//! A request for the write lock, and the ticket that represents it in the queue.

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Actor;
use crate::domain::lock::claim::Claim;
use crate::domain::mail::priority::Priority;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};

/// A request for the write lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockRequest {
    /// The files that will be changed.
    pub files: Claim,
    /// The purpose, at most [`PURPOSE_CHARS_MAX`] characters.
    pub purpose: String,
    /// The estimated duration, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_ms: Option<u64>,
    /// The estimated number of changed lines; only informative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loc: Option<u32>,
    /// Its priority in the queue.
    pub priority: Priority,
    /// The work tree in which the work is done, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_tree: Option<String>,
    /// Whether the files were not named by the caller but are merely what was staged; they say nothing about
    /// ownership.
    #[serde(default, skip_serializing_if = "is_false")]
    pub guessed: bool,
}

/// The largest length of a purpose, reason or task text, in characters.
pub const PURPOSE_CHARS_MAX: usize = 200;

/// A ticket in the queue. It belongs to a role and its process, not to a waiting command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiter {
    /// Its number in the order of arrival.
    pub ticket: u64,
    /// The waiter.
    pub actor: Actor,
    /// The agent's process; when it dies, the ticket is removed.
    pub process: Process,
    /// The command that is waiting at this moment, if any; only then can the lock be granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Process>,
    /// The process with which the lease shall end, when that is not the agent's: a command that runs another
    /// one under the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<Process>,
    /// The request.
    pub request: LockRequest,
    /// The wall-clock time of the request.
    pub requested_at: WallTime,
    /// The time of the role's last request.
    pub asked: BootTime,
    /// The number of offers that were not taken up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// Whether two actors are the same one. Unidentified processes cannot be told apart by name: for them the
/// process decides.
#[must_use]
pub fn is_same(one: &Actor, one_process: &Process, other: &Actor, other_process: &Process) -> bool {
    one == other && (*one != Actor::Unproven || one_process == other_process)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
