//! Events of the audit trail and the ref journal: their log, severity and the actors concerned.

use serde::{Deserialize, Serialize};

use crate::domain::audit::journal_entry::{UnauthorizedUpdate, ViolationCause};
use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::state::State;
use crate::domain::util::tags::tags;

/// An event of the audit trail, of the ref journal, or about a violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuditEvent {
    /// Refs moved without being allowed by a check.
    ViolationFound {
        /// Its number, assigned when it is published.
        id: u64,
        /// The cause, as far as it is known.
        cause: ViolationCause,
        /// The refs.
        refs: Vec<UnauthorizedUpdate>,
        /// Whether an open violation of this number grows; then all were told of it before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        grows: bool,
    },
    /// The User adopted violations.
    ViolationsAdopted {
        /// Their numbers.
        ids: Vec<u64>,
        /// The reason.
        reason: String,
    },
    /// From now on refs are compared with their present values.
    RefsBaselined {
        /// The number of refs.
        refs: u64,
        /// The reason.
        why: String,
    },
    /// A self-test tried a movement that the hooks must refuse.
    SelfTested {
        /// Whether the hooks refused it.
        held: bool,
        /// The result in words.
        what: String,
    },
    /// The ref journal was changed, or is not in the format that hooks write.
    JournalLost {
        /// The position of the fault, in bytes.
        byte: u64,
        /// The fault.
        why: String,
    },
    /// The state was lost and rebuilt from the audit trail.
    StateRebuilt {
        /// The number of records.
        records: u64,
        /// Tokens up to this one may have been given, and are never given again (docs/rules.md I2).
        token: u64,
        /// The path of the damaged file, which was moved away; none if there was no file.
        damaged_file: Option<String>,
        /// Policies up to this version may have been set; the next one gets the version after it.
        #[serde(default, skip_serializing_if = "crate::domain::util::is_zero")]
        policy_version: u64,
    },
    /// The whole state as a later version of cmw writes it; what follows from the records before it is not
    /// computed again.
    Checkpoint {
        /// The state.
        state: Box<State>,
        /// The records that are lost for good, the first and the last of each gap: then the state is taken as it
        /// was in the document.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lost: Vec<(u64, u64)>,
    },
}

tags! { AuditEvent:
    ViolationFound => "VIOLATION_FOUND",
    ViolationsAdopted => "VIOLATIONS_ADOPTED",
    RefsBaselined => "REFS_BASELINED",
    SelfTested => "SELF_TESTED",
    JournalLost => "JOURNAL_LOST",
    StateRebuilt => "STATE_REBUILT",
    Checkpoint => "CHECKPOINT",
}

impl AuditEvent {
    /// Returns the file of `audit/` that holds its record, named as in the guide.
    #[must_use]
    pub fn log(&self) -> &'static str {
        "security-events.log"
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::ViolationFound { .. }
            | Self::SelfTested { held: false, .. }
            | Self::JournalLost { .. }
            | Self::StateRebuilt { .. } => Severity::High,
            Self::ViolationsAdopted { .. } => Severity::Warning,
            Self::RefsBaselined { .. } | Self::SelfTested { held: true, .. } | Self::Checkpoint { .. } => {
                Severity::Info
            }
        }
    }

    /// Returns the actors concerned, other than the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::ViolationFound { .. }
            | Self::ViolationsAdopted { .. }
            | Self::RefsBaselined { .. }
            | Self::SelfTested { .. }
            | Self::JournalLost { .. }
            | Self::StateRebuilt { .. }
            | Self::Checkpoint { .. } => Vec::new(),
        }
    }
}
