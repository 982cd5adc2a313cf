//! Owns the policy: what `cmw-init` compiled from configuration, and all that hooks ever read of it.
//!
//! Hooks never read live git configuration: `git -c` must not weaken anything (DOMAIN section 5).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::guard::RefGlob;
use super::role::Roster;

/// How the instances share the repository (DOMAIN section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// All in one work tree and index; the lock guards every branch.
    Shared,
    /// A work tree and a branch per instance; the lock guards the integration branches.
    Worktrees,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Worktrees => "worktrees",
        })
    }
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "shared" => Ok(Self::Shared),
            "worktrees" => Ok(Self::Worktrees),
            other => Err(format!("{other:?} is not a mode; write shared or worktrees")),
        }
    }
}

/// Which checks the hooks make (DOMAIN section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Freeze and lock.
    Solo,
    /// And identity, role, claims.
    Team,
    /// As `team` until gates and the second factor exist.
    Strict,
}

impl Preset {
    /// Whether the hooks compare a movement with the holder's claim.
    #[must_use]
    pub fn checks_claims(self) -> bool {
        self != Self::Solo
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Solo => "solo",
            Self::Team => "team",
            Self::Strict => "strict",
        })
    }
}

impl FromStr for Preset {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "solo" => Ok(Self::Solo),
            "team" => Ok(Self::Team),
            "strict" => Ok(Self::Strict),
            other => Err(format!("{other:?} is not a preset; write solo, team or strict")),
        }
    }
}

/// The figures of the write lock, in milliseconds (DOMAIN section 4, DECISIONS small choices).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockSettings {
    /// How long a lease lasts when no estimate was given.
    pub lease_ms: u64,
    /// The longest lease, whatever the estimate.
    pub lease_max_ms: u64,
    /// How long after its end a lease is still left alone.
    pub grace_ms: u64,
    /// How long a ticket lives without a sign of its role.
    pub ticket_ms: u64,
}

impl Default for LockSettings {
    fn default() -> Self {
        Self { lease_ms: 300_000, lease_max_ms: 1_800_000, grace_ms: 5_000, ticket_ms: 1_800_000 }
    }
}

impl LockSettings {
    /// The length of a lease: the default, or twice the estimate within the cap.
    #[must_use]
    pub fn lease_for(&self, estimate_ms: Option<u64>) -> u64 {
        estimate_ms.map_or(self.lease_ms, |e| e.saturating_mul(2).clamp(self.lease_ms, self.lease_max_ms))
    }
}

/// Everything that `cmw-init` settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// How the instances share the repository.
    pub mode: Mode,
    /// Which checks the hooks make.
    pub preset: Preset,
    /// Which roles there are.
    pub roster: Roster,
    /// The integration branches, guarded in worktrees mode.
    pub protect: Vec<RefGlob>,
    /// The figures of the write lock.
    pub lock: LockSettings,
    /// The name of the tmux session.
    pub session: String,
    /// The command that panes run when their role names none; empty: the demo agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What `core.hooksPath` was before, exactly, to be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_hooks_path: Option<String>,
}

/// The integration branches when nothing is configured (DESIGN section 3); `cmw-init` adds the
/// branch that is checked out.
const PROTECT: [&str; 3] = ["main", "master", "release/**"];

impl Policy {
    /// The policy of a new repository: shared mode, preset `team`.
    #[must_use]
    pub fn of(roster: Roster) -> Self {
        let glob = |text: &&str| RefGlob::parse(text).expect("the defaults are globs");
        Self {
            mode: Mode::Shared,
            preset: Preset::Team,
            roster,
            protect: PROTECT.iter().map(glob).collect(),
            lock: LockSettings::default(),
            session: "claude-multi".to_owned(),
            agent: None,
            former_hooks_path: None,
        }
    }

    /// A digest that changes when anything in the policy does: 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("a policy has only texts and numbers");
        hex(&Sha256::digest(&json))
    }
}

/// Lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a String cannot fail");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_the_default_or_twice_the_estimate_within_the_cap() {
        let lock = LockSettings::default();
        assert_eq!(lock.lease_for(None), 300_000);
        assert_eq!(lock.lease_for(Some(60_000)), 300_000);
        assert_eq!(lock.lease_for(Some(400_000)), 800_000);
        assert_eq!(lock.lease_for(Some(u64::MAX)), 1_800_000);
    }

    #[test]
    fn any_change_of_policy_changes_its_digest() {
        let policy = Policy::of(Roster::of_size(4));
        let mut other = policy.clone();
        other.lock.grace_ms += 1;
        assert_ne!(policy.digest(), other.digest());
        assert_eq!(policy.digest(), policy.clone().digest());
        assert_eq!(policy.digest().len(), 64);
    }
}
