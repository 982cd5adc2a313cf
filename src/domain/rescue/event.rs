//! What can happen to rescues: events, their log, severity and whom they are about.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::write_lock::Recovery;
use crate::domain::util::tags::tags;
use crate::domain::util::time::BootTime;

/// Something that happened to the uncommitted work of a former holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RescueEvent {
    /// The lock waits until what its former holder left is saved.
    RecoveryStarted {
        /// What is saved, and who does it.
        recovery: Recovery,
    },
    /// It could not be saved; after a while a command tries again.
    RecoveryFailed {
        /// The lease whose holder left it.
        token: u64,
        /// Who left it.
        former: Actor,
        /// Why not.
        why: String,
        /// Not before then.
        again: BootTime,
    },
    /// What a former holder left is saved.
    WorkRescued {
        /// The lease, as it is shown (docs/rules.md R4.4).
        lock_id: String,
        /// Its token.
        token: u64,
        /// Who left it.
        former: Actor,
        /// The ref of the snapshot; none when nothing was uncommitted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// How many files differ from the last commit.
        files: u64,
        /// What could not be saved, and why: the first of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<String>,
        /// What was taken out of the index again, so that nobody else commits it: the first of it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unstaged: Vec<String>,
    },
    /// Somebody with the right to do so gave up saving it.
    RescueAbandoned {
        /// The lease whose holder left it.
        token: u64,
        /// Who left it.
        former: Actor,
        /// Why.
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
    /// The file of `audit/` in which its record stands: the guide's names.
    #[must_use]
    pub fn log(&self) -> &'static str {
        "write-lock-intents.json"
    }

    /// How much attention it needs.
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

    /// Whom it is about, besides the one that caused it.
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
