//! What can happen to the policy: events, their log, severity and whom they are about.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::checks::Check;
use crate::domain::policy::compiled::Policy;
use crate::domain::util::tags::tags;

/// Something that happened to the policy, or by its levels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PolicyEvent {
    /// The policy was compiled for the first time or changed.
    PolicySet {
        /// Names the repository for ever.
        repo_id: String,
        /// The policy as a whole.
        policy: Box<Policy>,
        /// Its digest.
        digest: String,
        /// What is less guarded than before; empty: nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weakens: Vec<String>,
    },
    /// Somebody without the right to do so wanted to weaken the policy.
    WeakeningRefused {
        /// Who.
        who: Actor,
        /// What would have been less guarded.
        weakens: Vec<String>,
        /// Why not.
        why: String,
    },
    /// The policy in the state was not the one that was settled, and was put back.
    PolicyRestored {
        /// The policy that was settled last.
        policy: Box<Policy>,
        /// Its digest.
        digest: String,
        /// What somebody had changed: configuration keys.
        changed: Vec<String>,
    },
    /// Hooks that another tool, or a person, had put in place of ours or beside them run after ours now.
    HooksAdopted {
        /// The directory whose hooks ran after ours before.
        former: String,
        /// The directory whose hooks do now.
        adopted: String,
        /// Hooks that git calls from now on, and did not before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hooks: Vec<String>,
    },
    /// A check would have said no, but the policy only lets it warn.
    CheckWarned {
        /// Who was warned.
        who: Actor,
        /// What was done.
        action: String,
        /// Which check.
        check: Check,
        /// What it said.
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
    /// The file of `audit/` in which its record stands: the guide's names.
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::PolicySet { .. } | Self::HooksAdopted { .. } => "orchestrator-startup.log",
            Self::WeakeningRefused { .. } | Self::PolicyRestored { .. } | Self::CheckWarned { .. } => {
                "security-events.log"
            }
        }
    }

    /// How much attention it needs.
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

    /// Whom it is about, besides the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::WeakeningRefused { who, .. } | Self::CheckWarned { who, .. } => vec![who.clone()],
            Self::PolicySet { .. } | Self::PolicyRestored { .. } | Self::HooksAdopted { .. } => Vec::new(),
        }
    }
}
