//! Events of the policy: their log, severity and the actors concerned.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::checks::Check;
use crate::domain::policy::compiled::Policy;
use crate::domain::util::tags::tags;

/// An event of the policy, or of a check that only warns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PolicyEvent {
    /// The policy was compiled for the first time or changed.
    PolicySet {
        /// The permanent id of the repository.
        repo_id: String,
        /// The policy as a whole.
        policy: Box<Policy>,
        /// Its digest.
        digest: String,
        /// The descriptions of what is less guarded than before; empty: nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weakens: Vec<String>,
        /// Its version: the next number.
        #[serde(default, skip_serializing_if = "crate::domain::util::is_zero")]
        version: u64,
    },
    /// An attempt to weaken the policy was refused.
    WeakeningRefused {
        /// The actor that tried.
        who: Actor,
        /// The descriptions of what would have been less guarded.
        weakens: Vec<String>,
        /// The reason for the refusal.
        why: String,
    },
    /// The policy in the state was not the one that was last set, and was restored.
    PolicyRestored {
        /// The policy that was last set.
        policy: Box<Policy>,
        /// Its digest.
        digest: String,
        /// The configuration keys that had been changed.
        changed: Vec<String>,
        /// Its version: the next number.
        #[serde(default, skip_serializing_if = "crate::domain::util::is_zero")]
        version: u64,
    },
    /// Hooks that another tool, or a person, had put in place of cmw's or next to them now run after cmw's.
    HooksAdopted {
        /// The directory whose hooks ran after cmw's before.
        former: String,
        /// The directory whose hooks run after cmw's now.
        adopted: String,
        /// Hooks that git calls now, and did not call before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hooks: Vec<String>,
    },
    /// A check failed, but only warns under the policy.
    CheckWarned {
        /// The actor that was warned.
        who: Actor,
        /// The action.
        action: String,
        /// The check.
        check: Check,
        /// The text of the warning.
        why: String,
    },
}

tags! { PolicyEvent:
    PolicySet => "POLICY_SET",
    WeakeningRefused => "WEAKENING_REFUSED",
    PolicyRestored => "POLICY_RESTORED",
    HooksAdopted => "HOOKS_ADOPTED",
    CheckWarned => "CHECK_WARNED",
}

impl PolicyEvent {
    /// Returns the file of `audit/` that holds its record, named as in the guide.
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::PolicySet { .. } | Self::HooksAdopted { .. } => "orchestrator-startup.log",
            Self::WeakeningRefused { .. } | Self::PolicyRestored { .. } | Self::CheckWarned { .. } => {
                "security-events.log"
            }
        }
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::PolicySet { weakens, .. } if weakens.is_empty() => Severity::Info,
            Self::PolicySet { .. } | Self::WeakeningRefused { .. } | Self::PolicyRestored { .. } => {
                Severity::High
            }
            Self::HooksAdopted { .. } | Self::CheckWarned { .. } => Severity::Warning,
        }
    }

    /// Returns the actors concerned, other than the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::WeakeningRefused { who, .. } | Self::CheckWarned { who, .. } => vec![who.clone()],
            Self::PolicySet { .. } | Self::PolicyRestored { .. } | Self::HooksAdopted { .. } => Vec::new(),
        }
    }
}
