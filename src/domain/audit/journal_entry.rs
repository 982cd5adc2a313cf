//! The lines of the ref journal: what hooks allowed or refused, what git then did, and refs found to have
//! moved without permission.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::guard::git_ref::RefName;
use crate::domain::identity::actor::Actor;
use crate::domain::mail::id::MessageId;
use crate::domain::policy::checks::Check;
use crate::domain::session::process::Process;
use crate::domain::util::digest::hex;
use crate::domain::util::time::{BootTime, WallTime};

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JournalEntry {
    /// The authority allowed a movement; git may still fail.
    Intent {
        /// The time, for display.
        at: WallTime,
        /// The time, by the clock that rules use.
        when: BootTime,
        /// The actor.
        by: Actor,
        /// The token of the lease; 0 if none was needed.
        token: u64,
        /// The ref.
        name: String,
        /// The value before, read again under git's own lock; empty: there was none.
        old: String,
        /// The value after; empty: removed.
        new: String,
        /// The first changed files; empty if everything was claimed.
        files: Vec<String>,
        /// The changed files that were not claimed.
        outside: Vec<String>,
        /// The program that moves the ref; when it is gone, nothing is allowed any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        git: Option<Process>,
        /// The inode of git's own lock on the ref.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        git_lock: Option<u64>,
        /// The number of the document by which it was judged; 0 in an entry of the first versions.
        #[serde(default, skip_serializing_if = "crate::domain::util::is_zero")]
        document: u64,
    },
    /// Git moved the ref.
    Observed {
        /// The time, for display.
        at: WallTime,
        /// The ref.
        name: String,
        /// Its value after.
        new: String,
        /// The token of the lease at that moment; 0 if there was none, or the system was frozen.
        token: u64,
    },
    /// Git gave up: another hook refused, or another ref could not be moved.
    Aborted {
        /// The time, for display.
        at: WallTime,
        /// The ref.
        name: String,
        /// The value that it would have had.
        new: String,
        /// Whether git said nothing: its program is gone, and the ref was not moved under the lease.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        expired: bool,
    },
    /// The authority or an early hook refused an action.
    Refused {
        /// The time, for display.
        at: WallTime,
        /// The actor that was refused.
        by: Actor,
        /// The action.
        action: String,
        /// The reason.
        why: String,
    },
    /// A check failed, but only warns.
    Warned {
        /// The time, for display.
        at: WallTime,
        /// The actor that was warned.
        by: Actor,
        /// The action.
        action: String,
        /// The check.
        check: Check,
        /// The text of the warning.
        why: String,
    },
    /// The values of refs, accepted as they are: from now on refs are compared with them.
    Baseline {
        /// The time, for display.
        at: WallTime,
        /// The actor that set the baseline.
        by: Actor,
        /// The reason.
        why: String,
        /// The refs.
        refs: Vec<RefState>,
    },
    /// Refs moved without being allowed by a check: one violation.
    Strayed {
        /// The time at which it was found, for display.
        at: WallTime,
        /// The actor that found it.
        by: Actor,
        /// The cause, as far as it is known.
        cause: ViolationCause,
        /// The refs, and where they were found.
        refs: Vec<UnauthorizedUpdate>,
    },
}

/// The cause of a violation, as far as it is known: how a ref could move without a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum ViolationCause {
    /// Unknown: another program, a file edited by hand, or hooks switched off for one command.
    Unknown,
    /// Git does not run cmw's hooks.
    HooksOff {
        /// The reason in words.
        what: String,
    },
    /// The pin of a branch was removed during a hard freeze.
    Pin {
        /// The branch.
        reference: RefName,
    },
    /// The journal itself was changed or cut.
    Journal {
        /// The line of the fault, from 1.
        line: u64,
        /// The fault.
        why: String,
    },
    /// The state document was changed by hand, or an agent had it rebuilt.
    State {
        /// The fault.
        why: String,
    },
    /// A message in the User's name that the audit does not know.
    Message {
        /// Its id.
        id: MessageId,
    },
    /// A file of ours was damaged, and was set aside.
    Damage(DamagedFile),
}

/// A file that was damaged: its evidence was kept, and what was whole in it goes on under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DamagedFile {
    /// The file, below git's common directory.
    pub file: String,
    /// The fault.
    pub why: String,
    /// The name under which it was kept; empty if there was no file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kept: String,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "crate::domain::util::is_zero")]
    pub bytes: u64,
    /// SHA-256 of its first [`DamagedFile::HASHED_BYTES`]; empty if it was no regular file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// The records or messages that are lost with it, as far as it is known: the first and the last of each gap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<(u64, u64)>,
}

impl DamagedFile {
    /// How much of a file is hashed: a sparse one can be larger than a disk.
    pub const HASHED_BYTES: usize = 16 << 20;

    /// Describes a loss of which no file is left.
    #[must_use]
    pub fn without_file(file: &str, why: &str, lost: Vec<(u64, u64)>) -> Self {
        let (file, why) = (file.to_owned(), why.to_owned());
        Self { file, why, kept: String::new(), bytes: 0, sha256: String::new(), lost }
    }
}

/// The state of a ref at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefState {
    /// Its full name.
    pub name: String,
    /// Its value; empty: there is none; `ref:…` for a symbolic one.
    pub value: String,
    /// The signatures of all lines of its reflog, concatenated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

/// A ref that moved without being allowed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnauthorizedUpdate {
    /// Its full name.
    pub name: String,
    /// Its value before; empty: none.
    pub was: String,
    /// Its value when it was found; empty: it is gone.
    pub is: String,
    /// The first lines of its reflog about the movement, for display.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
    /// The signatures of the lines of its reflog that no entry explains, concatenated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// Whether its commit came in by this movement: no other branch had it when this was found.
    #[serde(default)]
    pub brings: bool,
}

impl UnauthorizedUpdate {
    /// Creates an update of which only the two values are known.
    #[must_use]
    pub fn seen(name: &str, was: &str, is: &str) -> Self {
        let (name, was, is) = (name.to_owned(), was.to_owned(), is.to_owned());
        Self { name, was, is, said: Vec::new(), log: String::new(), brings: false }
    }
}

impl JournalEntry {
    /// Returns its time.
    #[must_use]
    pub fn at(&self) -> WallTime {
        match self {
            Self::Intent { at, .. }
            | Self::Observed { at, .. }
            | Self::Aborted { at, .. }
            | Self::Refused { at, .. }
            | Self::Warned { at, .. }
            | Self::Baseline { at, .. }
            | Self::Strayed { at, .. } => *at,
        }
    }

    /// Returns the names of the refs concerned.
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

/// The reason for the first baseline.
pub const SET_UP: &str = "cmw-init";

/// Length of a [`signature`].
pub const MARK_LEN: usize = 16;

/// Returns the signature of a movement: a quarter of the SHA-256 of both values, which is enough.
#[must_use]
pub fn signature(old: &str, new: &str) -> String {
    let digest = Sha256::new().chain_update(old).chain_update(" ").chain_update(new).finalize();
    hex(&digest[..MARK_LEN / 2])
}

/// Splits concatenated signatures.
pub fn signatures(log: &str) -> impl Iterator<Item = &str> {
    log.as_bytes().chunks(MARK_LEN).filter_map(|mark| std::str::from_utf8(mark).ok())
}
