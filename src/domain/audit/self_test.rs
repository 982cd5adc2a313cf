//! The result of the last self-test: whether the hooks refused a movement that they must refuse.

use serde::{Deserialize, Serialize};

use crate::domain::util::time::WallTime;

/// The last self-test: a movement that the hooks must refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// The time.
    pub at: WallTime,
    /// Whether the hooks refused it.
    pub held: bool,
}
