//! The write lock as the state stores it: free, held, offered to a waiter, or waiting for a rescue.

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Actor;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::release::Release;
use crate::domain::lock::request::{LockRequest, Waiter};
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};

/// The state of the one right to move protected refs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lock", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WriteLock {
    /// No lease, offer or recovery.
    Free,
    /// Held under this lease.
    Held(Lease),
    /// Reserved for a moment for a waiter whose command is away (docs/decisions.md D5).
    Offered(Offer),
    /// Not granted until the uncommitted work of the last holder is saved (docs/decisions.md D2).
    Recovering(Recovery),
}

/// The free lock, reserved for one waiter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The ticket of the waiter.
    pub ticket: u64,
    /// The waiter.
    pub to: Actor,
    /// The end of the offer.
    pub until: BootTime,
    /// The same, in wall-clock time.
    pub until_at: WallTime,
}

/// The uncommitted work of a former holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsavedWork {
    /// The token of the lease that ended.
    pub token: u64,
    /// The former holder.
    pub former: Actor,
    /// Its claim.
    pub files: Claim,
    /// The work tree it worked in, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_tree: Option<String>,
    /// The reason for which the lease ended.
    pub reason: Release,
    /// The wall-clock time of the end, which names the snapshot.
    pub ended_at: WallTime,
    /// Whether the index is kept as it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub index_stays: bool,
}

/// A rescue in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// The work to save.
    pub unsaved: UnsavedWork,
    /// The command that saves it.
    pub by: Process,
    /// The end of its time; after that the next command takes over.
    pub until: BootTime,
    /// The reason for which the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A lease of the write lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The number of the lease, which is also its fencing token.
    pub token: u64,
    /// The holder.
    pub holder: Actor,
    /// The agent's process (never the short-lived command): when it dies, the lease ends.
    pub process: Process,
    /// The request that was granted.
    pub request: LockRequest,
    /// The time of the grant.
    pub granted: BootTime,
    /// The same, in wall-clock time.
    pub granted_at: WallTime,
    /// The end, unless it is renewed.
    pub expires: BootTime,
    /// The same, in wall-clock time.
    pub expires_at: WallTime,
    /// Whether `git commit` took it itself: `process` is that git, and its end is no crash.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto: bool,
    /// The ticket, while it is not certain that its waiting command has seen the grant: when that command is
    /// dead and the role shows no activity, the lease counts as a mere offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Box<Waiter>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Lease {
    /// Returns the lock's id as it is shown: `WL-0001` (docs/rules.md R4.4).
    #[must_use]
    pub fn lock_id(&self) -> String {
        lock_id(self.token)
    }
}

/// Returns the id of the lease with this token: `WL-0001`.
#[must_use]
pub fn lock_id(token: u64) -> String {
    format!("WL-{token:04}")
}
