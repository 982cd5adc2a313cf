//! What can happen to the audit trail and the ref journal: events, their log, severity and whom they are about.

use serde::{Deserialize, Serialize};

use crate::domain::audit::journal_entry::{UnauthorizedUpdate, ViolationCause};
use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::util::tags::tags;

/// Something that the checks of the record found or settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuditEvent {
    /// Refs have moved, and no check allowed it.
    ViolationFound {
        /// Its number, settled when it is published.
        id: u64,
        /// How it came about, as far as that is known.
        cause: ViolationCause,
        /// The refs.
        refs: Vec<UnauthorizedUpdate>,
    },
    /// The person has looked at violations and lets them stand.
    ViolationsAdopted {
        /// Which.
        ids: Vec<u64>,
        /// Why.
        reason: String,
    },
    /// From here on refs are compared with how they stand now.
    RefsBaselined {
        /// How many.
        refs: u64,
        /// Why.
        why: String,
    },
    /// Somebody tried to get past the hooks, to see whether they hold.
    SelfTested {
        /// Whether they did.
        held: bool,
        /// What was seen.
        what: String,
    },
    /// The hooks' journal is not what it was, or not what hooks write.
    JournalLost {
        /// At which byte.
        byte: u64,
        /// What is wrong.
        why: String,
    },
    /// The state was lost and made again from the audit trail.
    StateRebuilt {
        /// From how many records.
        records: u64,
        /// Tokens up to this one may have been given, and are never given again (docs/rules.md I2).
        token: u64,
        /// Where the damaged file was put; none when there was no file.
        damaged_file: Option<String>,
    },
}

tags! { AuditEvent:
    ViolationFound => "VIOLATION_FOUND",
    ViolationsAdopted => "VIOLATIONS_ADOPTED",
    RefsBaselined => "REFS_BASELINED",
    SelfTested => "SELF_TESTED",
    JournalLost => "JOURNAL_LOST",
    StateRebuilt => "STATE_REBUILT",
}

impl AuditEvent {
    /// The file of `audit/` in which its record stands: the guide's names.
    #[must_use]
    pub fn log(&self) -> &'static str {
        "security-events.log"
    }

    /// How much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::ViolationFound { .. }
            | Self::SelfTested { held: false, .. }
            | Self::JournalLost { .. }
            | Self::StateRebuilt { .. } => Severity::High,
            Self::ViolationsAdopted { .. } => Severity::Warning,
            Self::RefsBaselined { .. } | Self::SelfTested { held: true, .. } => Severity::Info,
        }
    }

    /// Whom it is about, besides the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::ViolationFound { .. }
            | Self::ViolationsAdopted { .. }
            | Self::RefsBaselined { .. }
            | Self::SelfTested { .. }
            | Self::JournalLost { .. }
            | Self::StateRebuilt { .. } => Vec::new(),
        }
    }
}
