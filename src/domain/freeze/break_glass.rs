//! Break-glass: for a limited time the User moves protected refs without the write lock.
//!
//! Invariant (a test of the same name in `tests/fast/rules/`): `only_the_user_moves_without_the_lock`.

use crate::domain::facts::Facts;
use crate::domain::freeze::freeze_state::BreakGlass;
use crate::domain::identity::actor::Actor;
use crate::domain::state::State;

/// Returns break-glass while it is active.
#[must_use]
pub fn active<'a>(state: &'a State, facts: &Facts) -> Option<&'a BreakGlass> {
    state.glass.as_ref().filter(|glass| !glass.until.has_passed(&facts.now.boot))
}

/// Returns it for this actor: it serves only the User.
#[must_use]
pub fn active_for<'a>(state: &'a State, actor: &Actor, facts: &Facts) -> Option<&'a BreakGlass> {
    active(state, facts).filter(|_| *actor == Actor::User)
}
