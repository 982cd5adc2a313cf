//! The write lock as the state stores it: free, held, kept for a waiter, or waiting for a rescue.

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Actor;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::release::Release;
use crate::domain::lock::request::{LockRequest, Waiter};
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};

/// Who has the one right to move protected refs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lock", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WriteLock {
    /// Nobody.
    Free,
    /// This one.
    Held(Lease),
    /// Kept for a moment for a waiter whose command is away (docs/decisions.md D5).
    Offered(Offer),
    /// Nobody, until the uncommitted work of who had it last is saved (docs/decisions.md D2).
    Recovering(Recovery),
}

/// The free lock, kept for one waiter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Whose ticket.
    pub ticket: u64,
    /// The same, by name.
    pub to: Actor,
    /// Until when.
    pub until: BootTime,
    /// The same, for people.
    pub until_at: WallTime,
}

/// Uncommitted work that somebody left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsavedWork {
    /// The lease that ended.
    pub token: u64,
    /// Whose it was.
    pub former: Actor,
    /// What it had claimed.
    pub files: Claim,
    /// In which work tree, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_tree: Option<String>,
    /// Why the lease ended.
    pub reason: Release,
    /// When, for people; it names the snapshot.
    pub ended_at: WallTime,
    /// Whether what is staged stays staged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub index_stays: bool,
}

/// Work that is being saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// What is to be saved.
    pub unsaved: UnsavedWork,
    /// The command that does it.
    pub by: Process,
    /// Until when it is left alone; later the next command does it.
    pub until: BootTime,
    /// What the last attempt failed of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A lease of the write lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Its number, which is also its fencing token.
    pub token: u64,
    /// Who holds it.
    pub holder: Actor,
    /// The agent's process (never the short-lived command): when it dies, the lease ends.
    pub process: Process,
    /// What was asked for.
    pub request: LockRequest,
    /// When it was granted.
    pub granted: BootTime,
    /// The same, for people.
    pub granted_at: WallTime,
    /// When it ends, unless it is renewed.
    pub expires: BootTime,
    /// The same, for people.
    pub expires_at: WallTime,
    /// Taken by `git commit` itself: `process` is that git, and its end is no crash.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto: bool,
    /// The ticket, while it is not sure that its waiting command has seen the grant: when that is
    /// dead and nothing is heard of the role, the lease is no more than an offer was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Box<Waiter>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Lease {
    /// The lock's id as it is shown: `WL-0001` (docs/rules.md R4.4).
    #[must_use]
    pub fn lock_id(&self) -> String {
        lock_id(self.token)
    }
}

/// The id of the lease with this token: `WL-0001`.
#[must_use]
pub fn lock_id(token: u64) -> String {
    format!("WL-{token:04}")
}
