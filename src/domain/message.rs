//! Owns the envelope (placeholder until merged).
use serde::{Deserialize, Serialize};
/// Placeholder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed(pub serde_json::Value);
