//! How much attention a record needs.

use serde::{Deserialize, Serialize};

/// The attention that a record needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// As expected.
    Info,
    /// Worth a look.
    Warning,
    /// Something that must not happen.
    High,
}
