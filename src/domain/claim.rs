//! Owns which files a holder of the write lock says it will change.

use serde::{Deserialize, Serialize};

/// Placeholder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// All.
    All,
    /// Some.
    Paths(Vec<String>),
}
