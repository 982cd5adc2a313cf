//! The result of comparing a commit under the lock with what its holder had claimed.

use serde::{Deserialize, Serialize};

/// Whether a commit was what had been claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verification {
    /// It was.
    Passed,
    /// It was not; the work tree is never touched for that (docs/rules.md R4.22).
    Failed,
}
