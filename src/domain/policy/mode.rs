//! The mode of sharing the repository, and the mode of identifying an instance.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The way the instances share the repository (docs/rules.md R4.1).
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

/// The way an actor's identity is determined (docs/decisions.md D3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    /// By a registered ancestor process; while no session is up also by `CLAUDE_ROLE`.
    Environment,
    /// By a registered ancestor process only; without one an actor has no role.
    Ancestry,
}

impl FromStr for IdentityMode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "environment" => Ok(Self::Environment),
            "ancestry" => Ok(Self::Ancestry),
            other => Err(format!("{other:?} is not an identity mode; write environment or ancestry")),
        }
    }
}
