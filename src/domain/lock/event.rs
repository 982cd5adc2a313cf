//! The events of the write lock and its queue, with their log, severity and the actors they concern.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::lock::request::Waiter;
use crate::domain::lock::verification::Verification;
use crate::domain::lock::write_lock::{Lease, Offer};
use crate::domain::session::process::Process;
use crate::domain::util::tags::tags;
use crate::domain::util::time::{BootTime, WallTime};

/// An event of the write lock or its queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LockEvent {
    /// An actor asked for the lock and waits, or asked again.
    LockRequested {
        /// The ticket after the event.
        waiter: Waiter,
    },
    /// The lock was granted.
    LockGranted {
        /// The lock's id (docs/rules.md R4.4).
        lock_id: String,
        /// The new holder.
        holder: Actor,
        /// The files that the holder says it will change; its commits are compared with them.
        claimed_files: Claim,
        /// The estimated number of lines.
        claimed_loc: Option<u32>,
        /// The whole lease.
        lease: Lease,
    },
    /// The holder asked for more time or other files.
    LockRenewed {
        /// The lock's id (docs/rules.md R4.4).
        lock_id: String,
        /// The lease's token.
        token: u64,
        /// The new end.
        expires: BootTime,
        /// The same, in wall-clock time.
        expires_at: WallTime,
        /// The files now claimed.
        files: Claim,
        /// The process with which the lease now ends, when it has changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<Process>,
    },
    /// The lease ended.
    LockReleased {
        /// The lock's id (docs/rules.md R4.4).
        lock_id: String,
        /// The lease's token.
        token: u64,
        /// The former holder.
        holder: Actor,
        /// The reason for the end.
        reason: Release,
    },
    /// The free lock is reserved for a waiter whose command is away.
    LockOffered {
        /// The offer.
        offer: Offer,
    },
    /// An offer, or a grant that no command saw, was not taken up.
    OfferMissed {
        /// The ticket after the event.
        waiter: Waiter,
    },
    /// A waiter left the queue without the lock.
    WaiterRemoved {
        /// The ticket.
        ticket: u64,
        /// Its owner.
        waiter: Actor,
        /// The reason.
        reason: Removal,
    },
    /// A request about the lock was refused.
    LockRefused {
        /// The caller.
        who: Actor,
        /// The action that was asked for.
        action: String,
        /// The reason.
        why: String,
    },
    /// A commit under the lock was compared with what was claimed.
    CommitVerified {
        /// The lock's id (docs/rules.md R4.4).
        lock_id: String,
        /// The holder.
        holder: Actor,
        /// The branch's full name.
        branch: String,
        /// The new commit.
        commit: String,
        /// Whether all that changed was claimed.
        verification_status: Verification,
        /// The committed files, at most 100 names.
        files: Vec<String>,
        /// Those of them that were not claimed.
        outside: Vec<String>,
        /// Whether the lease ended while git was moving the ref.
        #[serde(default, skip_serializing_if = "is_false")]
        lease_was_over: bool,
    },
}

tags! { LockEvent:
    LockRequested => "LOCK_REQUESTED",
    LockGranted => "LOCK_GRANTED",
    LockRenewed => "LOCK_RENEWED",
    LockReleased => "LOCK_RELEASED",
    LockOffered => "LOCK_OFFERED",
    OfferMissed => "OFFER_MISSED",
    WaiterRemoved => "WAITER_REMOVED",
    LockRefused => "LOCK_REFUSED",
    CommitVerified => "COMMIT_VERIFIED",
}

impl LockEvent {
    /// Returns the file of `audit/` that holds its record (the guide's names).
    #[must_use]
    pub fn log(&self) -> &'static str {
        "write-lock-intents.json"
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::CommitVerified { verification_status: Verification::Failed, .. } => Severity::High,
            Self::LockReleased {
                reason: Release::Expired | Release::HolderDied | Release::Forced(_) | Release::NotTakenUp,
                ..
            }
            | Self::OfferMissed { .. }
            | Self::WaiterRemoved { reason: Removal::Died | Removal::Silent | Removal::Missed, .. } => {
                Severity::Warning
            }
            Self::LockRequested { .. }
            | Self::LockGranted { .. }
            | Self::LockRenewed { .. }
            | Self::LockReleased { .. }
            | Self::LockOffered { .. }
            | Self::WaiterRemoved { .. }
            | Self::LockRefused { .. }
            | Self::CommitVerified { .. } => Severity::Info,
        }
    }

    /// Returns the actors it concerns, without the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::LockRequested { waiter } | Self::OfferMissed { waiter } => vec![waiter.actor.clone()],
            Self::LockGranted { holder, .. }
            | Self::LockReleased { holder, .. }
            | Self::CommitVerified { holder, .. } => vec![holder.clone()],
            Self::LockOffered { offer } => vec![offer.to.clone()],
            Self::WaiterRemoved { waiter, .. } => vec![waiter.clone()],
            Self::LockRefused { who, .. } => vec![who.clone()],
            Self::LockRenewed { .. } => Vec::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
