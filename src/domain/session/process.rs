//! The identity of a process: a pid is reused; a pid with start time and boot id is not.

use serde::{Deserialize, Serialize};

use crate::domain::util::time::BootId;

/// A process, distinct from every other one that ever had its pid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub start_ticks: u64,
    /// The boot during which it was started.
    pub boot: BootId,
}
