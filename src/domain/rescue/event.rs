//! Events of rescues: their log, severity and the actors concerned.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::write_lock::Recovery;
use crate::domain::util::tags::tags;
use crate::domain::util::time::BootTime;

/// An event about the uncommitted work of a former holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RescueEvent {
    /// The lock is not granted until the uncommitted work of its former holder is saved.
    RecoveryStarted {
        /// The recovery that begins.
        recovery: Recovery,
    },
    /// The work could not be saved; a command tries again later.
    RecoveryFailed {
        /// The token of the former holder's lease.
        token: u64,
        /// The former holder.
        former: Actor,
        /// The reason.
        why: String,
        /// The earliest time of the next attempt.
        again: BootTime,
    },
    /// The work of a former holder is saved.
    WorkRescued {
        /// The id of the lease, as it is shown (docs/rules.md R4.4).
        lock_id: String,
        /// Its token.
        token: u64,
        /// The former holder.
        former: Actor,
        /// The ref of the snapshot; none when nothing was uncommitted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// The number of files that differ from the last commit.
        files: u64,
        /// The first paths that could not be saved, with the reasons.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<String>,
        /// The first paths that were unstaged, so that no other role commits them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unstaged: Vec<String>,
    },
    /// Saving the work was abandoned by an actor with the right to do so.
    RescueAbandoned {
        /// The token of the former holder's lease.
        token: u64,
        /// The former holder.
        former: Actor,
        /// The reason.
        reason: String,
    },
}

tags! { RescueEvent:
    RecoveryStarted => "RECOVERY_STARTED",
    RecoveryFailed => "RECOVERY_FAILED",
    WorkRescued => "WORK_RESCUED",
    RescueAbandoned => "RESCUE_ABANDONED",
}

impl RescueEvent {
    /// Returns the file of `audit/` that holds its record, named as in the guide.
    #[must_use]
    pub fn log(&self) -> &'static str {
        "write-lock-intents.json"
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::RecoveryFailed { .. } | Self::RescueAbandoned { .. } => Severity::High,
            Self::WorkRescued { reference, skipped, .. } if reference.is_some() || !skipped.is_empty() => {
                Severity::Warning
            }
            Self::RecoveryStarted { .. } | Self::WorkRescued { .. } => Severity::Info,
        }
    }

    /// Returns the actors concerned, other than the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::RecoveryStarted { recovery } => vec![recovery.unsaved.former.clone()],
            Self::RecoveryFailed { former, .. }
            | Self::WorkRescued { former, .. }
            | Self::RescueAbandoned { former, .. } => vec![former.clone()],
        }
    }
}
