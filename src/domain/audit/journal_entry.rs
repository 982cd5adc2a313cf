//! The lines of the ref journal: what hooks allowed or refused, what git then did, and refs found to have
//! moved without permission.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::guard::git_ref::RefName;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::checks::Check;
use crate::domain::util::digest::hex;
use crate::domain::util::time::{BootTime, WallTime};

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JournalEntry {
    /// The authority allowed a movement; git may still fail.
    Intent {
        /// When, for people.
        at: WallTime,
        /// When.
        when: BootTime,
        /// Who.
        by: Actor,
        /// The lease it was done under; 0 where none was needed.
        token: u64,
        /// The ref.
        name: String,
        /// The value before, read again under git's own lock; empty: there was none.
        old: String,
        /// The value after; empty: removed.
        new: String,
        /// What changed, the first names; empty when everything was claimed.
        files: Vec<String>,
        /// What of it was not claimed.
        outside: Vec<String>,
    },
    /// Git moved the ref.
    Observed {
        /// When, for people.
        at: WallTime,
        /// The ref.
        name: String,
        /// Its value after.
        new: String,
        /// The lease at that moment; 0 when there was none, or the system was frozen.
        token: u64,
    },
    /// Git gave up: another hook refused, or another ref could not be moved.
    Aborted {
        /// When, for people.
        at: WallTime,
        /// The ref.
        name: String,
        /// Its value, had it moved.
        new: String,
    },
    /// The authority, or the friendlier hook before it, said no.
    Refused {
        /// When, for people.
        at: WallTime,
        /// Who was refused.
        by: Actor,
        /// What was tried.
        action: String,
        /// Why not.
        why: String,
    },
    /// A check would have said no, but only warns.
    Warned {
        /// When, for people.
        at: WallTime,
        /// Who was warned.
        by: Actor,
        /// What was done.
        action: String,
        /// Which check.
        check: Check,
        /// What it said.
        why: String,
    },
    /// How refs stand, and that this is as it should be: from here on they are compared.
    Baseline {
        /// When, for people.
        at: WallTime,
        /// Who said so.
        by: Actor,
        /// Why.
        why: String,
        /// The refs.
        refs: Vec<RefState>,
    },
    /// Refs have moved, and no check allowed it: one violation.
    Strayed {
        /// When it was found, for people.
        at: WallTime,
        /// Who found it.
        by: Actor,
        /// How it came about, as far as that is known.
        cause: ViolationCause,
        /// The refs, and where they were found.
        refs: Vec<UnauthorizedUpdate>,
    },
}

/// How a violation came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum ViolationCause {
    /// Another program, a file edited by hand, hooks switched off for one command: nothing tells.
    Unknown,
    /// Git does not ask our hooks: what stands in their way.
    HooksOff {
        /// In words.
        what: String,
    },
    /// The pin of a branch was taken away while everything was frozen hard.
    Pin {
        /// Which branch's.
        reference: RefName,
    },
    /// The journal itself was changed or cut.
    Journal {
        /// The line at which it shows, from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
}

/// What a ref is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefState {
    /// Its full name.
    pub name: String,
    /// Its value; empty: there is none; `ref:…` for a symbolic one.
    pub value: String,
    /// A mark for each line of its reflog, one behind the other.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

/// A ref that has moved without having been allowed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnauthorizedUpdate {
    /// Its full name.
    pub name: String,
    /// Where it was; empty: nowhere.
    pub was: String,
    /// Where it is; empty: it is gone.
    pub is: String,
    /// What its reflog says of it, the first lines, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// A mark for each line of the reflog that no entry explains.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// Whether it is at a commit that came in this way: no other branch had it when this was found.
    #[serde(default)]
    pub brings: bool,
}

impl UnauthorizedUpdate {
    /// One of which no more is known than where it was, and where it was found.
    #[must_use]
    pub fn seen(name: &str, was: &str, is: &str) -> Self {
        let (name, was, is) = (name.to_owned(), was.to_owned(), is.to_owned());
        Self { name, was, is, said: Vec::new(), log: String::new(), brings: false }
    }
}

impl JournalEntry {
    /// The refs that it is of.
    pub fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Intent { name, .. } | Self::Observed { name, .. } | Self::Aborted { name, .. } => {
                Box::new(std::iter::once(name.as_str()))
            }
            Self::Refused { .. } | Self::Warned { .. } => Box::new(std::iter::empty()),
            Self::Baseline { refs, .. } => Box::new(refs.iter().map(|seen| seen.name.as_str())),
            Self::Strayed { refs, .. } => Box::new(refs.iter().map(|stray| stray.name.as_str())),
        }
    }
}

/// Why the refs were written down for the first time.
pub const SET_UP: &str = "cmw-init";

/// Length of a [`signature`].
pub const MARK_LEN: usize = 16;

/// What tells one movement from another: half of the SHA-256 of both values would do, a quarter does.
#[must_use]
pub fn signature(old: &str, new: &str) -> String {
    let digest = Sha256::new().chain_update(old).chain_update(" ").chain_update(new).finalize();
    hex(&digest[..MARK_LEN / 2])
}

/// The marks that stand one behind the other.
pub fn signatures(log: &str) -> impl Iterator<Item = &str> {
    log.as_bytes().chunks(MARK_LEN).filter_map(|mark| std::str::from_utf8(mark).ok())
}
