//! What can happen to the write lock and its queue: events, their log, severity and whom they are about.

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

/// Something that happened to the write lock or its queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LockEvent {
    /// Somebody asked for the lock and waits, or asked again.
    LockRequested {
        /// The ticket as it now is.
        waiter: Waiter,
    },
    /// Somebody got the lock.
    LockGranted {
        /// As it is shown (docs/rules.md R4.4).
        lock_id: String,
        /// Who has it now.
        holder: Actor,
        /// What the holder says will change; its commits are compared with that.
        claimed_files: Claim,
        /// About how many lines.
        claimed_loc: Option<u32>,
        /// The lease as a whole.
        lease: Lease,
    },
    /// The holder asked for more time or other files.
    LockRenewed {
        /// As it is shown (docs/rules.md R4.4).
        lock_id: String,
        /// The lease's token.
        token: u64,
        /// When it now ends.
        expires: BootTime,
        /// The same, for people.
        expires_at: WallTime,
        /// The files now claimed.
        files: Claim,
        /// With whose end it now ends, when that is another process than before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<Process>,
    },
    /// The lease ended.
    LockReleased {
        /// As it is shown (docs/rules.md R4.4).
        lock_id: String,
        /// The lease's token.
        token: u64,
        /// Who held it.
        holder: Actor,
        /// Why it ended.
        reason: Release,
    },
    /// The free lock is kept for a waiter whose command is away.
    LockOffered {
        /// For whom, until when.
        offer: Offer,
    },
    /// An offer, or a grant that nobody saw, was not taken up.
    OfferMissed {
        /// The ticket as it now is.
        waiter: Waiter,
    },
    /// Somebody left the queue without the lock.
    WaiterRemoved {
        /// The ticket.
        ticket: u64,
        /// Whose it was.
        waiter: Actor,
        /// Why.
        reason: Removal,
    },
    /// Somebody asked for something of the lock and was refused.
    LockRefused {
        /// Who was refused.
        who: Actor,
        /// What was asked.
        action: String,
        /// Why not.
        why: String,
    },
    /// A commit under the lock was compared with what was claimed.
    CommitVerified {
        /// As it is shown (docs/rules.md R4.4).
        lock_id: String,
        /// Who held the lock.
        holder: Actor,
        /// The branch's full name.
        branch: String,
        /// The new commit.
        commit: String,
        /// Whether all that changed was claimed.
        verification_status: Verification,
        /// What was committed, at most 100 names.
        files: Vec<String>,
        /// What of it was not claimed.
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
    /// The file of `audit/` in which its record stands: the guide's names.
    #[must_use]
    pub fn log(&self) -> &'static str {
        "write-lock-intents.json"
    }

    /// How much attention it needs.
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

    /// Whom it is about, besides the one that caused it.
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
