//! Owns breaking the glass: for a while the User moves protected refs without the write lock.
//!
//! Invariant (a test of the same name in `tests/rules/`): `only_the_user_moves_without_the_lock`.

use serde::{Deserialize, Serialize};

use crate::domain::identity::role::Actor;
use crate::domain::state::{Facts, State};
use crate::domain::util::time::{Moment, Wall};

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

/// The broken glass, while it is.
#[must_use]
pub fn broken<'a>(state: &'a State, facts: &Facts) -> Option<&'a Glass> {
    state.glass.as_ref().filter(|glass| !glass.until.has_passed(&facts.now.boot))
}

/// The same, for this one: it serves the person, and nobody else.
#[must_use]
pub fn serves<'a>(state: &'a State, actor: &Actor, facts: &Facts) -> Option<&'a Glass> {
    broken(state, facts).filter(|_| *actor == Actor::User)
}
