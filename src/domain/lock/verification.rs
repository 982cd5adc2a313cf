//! The result of comparing a commit under the lock with what its holder had claimed.

use serde::{Deserialize, Serialize};

/// The result of comparing a commit with the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verification {
    /// All changed files were claimed.
    Passed,
    /// Some were not; the work tree is never touched for that (docs/rules.md R4.22).
    Failed,
}
