//! What the state stores of a freeze and of break-glass.

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Actor;
use crate::domain::lock::write_lock::Unsaved;
use crate::domain::util::time::{Moment, Wall};

/// Whether anybody may work (DOMAIN section 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, and a box would only be in the way")]
pub enum System {
    /// As ever.
    Running,
    /// Nothing protected moves.
    Frozen {
        /// Who froze it.
        by: Actor,
        /// Why.
        reason: String,
        /// Since when.
        since: Wall,
        /// The same, by the clock that rules use: the queue's clocks stand still from here on.
        at: Moment,
        /// The work of whoever held the lock then, until it is saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<Unsaved>,
    },
}

/// For how long at most, in milliseconds.
pub const GLASS_MS_MAX: u64 = 3_600_000;

/// A broken glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Glass {
    /// Why.
    pub reason: String,
    /// Since when, for people.
    pub since: Wall,
    /// Until when; a reboot ends it too.
    pub until: Moment,
    /// The same, for people.
    pub until_at: Wall,
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GlassEnd {
    /// Somebody ended it.
    Ended,
    /// Its time is over, or the machine was started anew.
    TimeOver,
}
