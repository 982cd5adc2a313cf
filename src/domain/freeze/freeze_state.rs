//! What the state stores of a freeze and of break-glass.

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Actor;
use crate::domain::lock::write_lock::UnsavedWork;
use crate::domain::util::time::{BootTime, WallTime};

/// Whether anybody may work (docs/rules.md R7.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, and a box would only be in the way")]
pub enum FreezeState {
    /// As ever.
    Running,
    /// Nothing protected moves.
    Frozen {
        /// Who froze it.
        by: Actor,
        /// Why.
        reason: String,
        /// Since when.
        since: WallTime,
        /// The same, by the clock that rules use: the queue's clocks stand still from here on.
        at: BootTime,
        /// The work of whoever held the lock then, until it is saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<UnsavedWork>,
    },
}

/// For how long at most, in milliseconds.
pub const GLASS_MS_MAX: u64 = 3_600_000;

/// A broken glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// Why.
    pub reason: String,
    /// Since when, for people.
    pub since: WallTime,
    /// Until when; a reboot ends it too.
    pub until: BootTime,
    /// The same, for people.
    pub until_at: WallTime,
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakGlassEnd {
    /// Somebody ended it.
    Ended,
    /// Its time is over, or the machine was started anew.
    TimeOver,
}
