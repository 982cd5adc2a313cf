//! The result of the last self-test: whether the hooks refused a movement that they must refuse.

use serde::{Deserialize, Serialize};

use crate::domain::util::time::WallTime;

/// The last time that somebody tried to get past the hooks, to see whether they hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// When.
    pub at: WallTime,
    /// Whether they did.
    pub held: bool,
}
