//! The stored state of a freeze and of break-glass.

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Actor;
use crate::domain::lock::write_lock::UnsavedWork;
use crate::domain::util::time::{BootTime, WallTime};

/// The state of the system as a whole (docs/rules.md R7.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, and a box would only be in the way")]
pub enum FreezeState {
    /// Not frozen.
    Running,
    /// No protected ref moves.
    Frozen {
        /// The actor that froze it.
        by: Actor,
        /// The reason given.
        reason: String,
        /// The time of the freeze.
        since: WallTime,
        /// The same, by the clock that rules use: the queue's clocks stand still from then on.
        at: BootTime,
        /// The work of the lock's holder at that time, until it is saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<UnsavedWork>,
    },
}

/// The longest break-glass, in milliseconds.
pub const GLASS_MS_MAX: u64 = 3_600_000;

/// Active break-glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// The reason given.
    pub reason: String,
    /// The wall-clock time at which it began.
    pub since: WallTime,
    /// The end; a reboot ends it too.
    pub until: BootTime,
    /// The same, in wall-clock time.
    pub until_at: WallTime,
}

/// The reason for which break-glass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakGlassEnd {
    /// It was ended by a command.
    Ended,
    /// Its time is over, or the machine was rebooted.
    TimeOver,
}
