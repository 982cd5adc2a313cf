//! How the instances share the repository, and what tells who an instance is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the instances share the repository (docs/rules.md R4.1).
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

/// What tells who somebody is (docs/decisions.md D3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityMode {
    /// A registered process above; while no session is up also `CLAUDE_ROLE`.
    Environment,
    /// A registered process above, and nothing else: without one nobody has a role.
    Ancestry,
}

impl FromStr for IdentityMode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "environment" => Ok(Self::Environment),
            "ancestry" => Ok(Self::Ancestry),
            other => {
                Err(format!("{other:?} is no way to tell who somebody is; write environment or ancestry"))
            }
        }
    }
}
