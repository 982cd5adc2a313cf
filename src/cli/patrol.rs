//! Owns what is looked after while nobody asks: that refs are where they were allowed to go, that there is an
//! anchor, and that the hooks hold.

use crate::adapters::clock;
use crate::domain::decide::Asker;
use crate::domain::state::State;
use crate::store::{layout, patrol};

use super::audit_verify;
use super::context::Context;
use super::failure::Failure;
use super::strays::Looker;

/// How often, all in all, in milliseconds: whoever comes first does it.
const EVERY_MS: u64 = 600_000;

/// Looks, when it is time.
///
/// # Errors
/// [`Failure`].
pub fn pass_by(context: &Context<'_>, state: &State, asker: &Asker) -> Result<(), Failure> {
    if !patrol::is_due(context.store.disk(), layout::PATROL, &clock::now().boot, EVERY_MS) {
        return Ok(());
    }
    audit_verify::quietly(context, state, asker).map(drop)
}

/// Whether the branch that is checked out here is somewhere it was not allowed to go; then that is noted.
/// Cheap: a ref and the end of the journal are read.
#[must_use]
pub fn astray(context: &Context<'_>, state: &State, asker: &Asker) -> bool {
    let (repo, disk) = (&context.repo, context.store.disk());
    // Soft: a look that fails must not take back a grant; the next movement is looked at in any case.
    Looker { repo, disk, policy: &state.policy, by: &asker.actor }.glance_at_head().unwrap_or(false)
}
