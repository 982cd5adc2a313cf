//! Owns what is looked after while nobody asks: that refs are where they were allowed to go, that there is an
//! anchor, and that the hooks hold.

use std::time::Duration;

use crate::adapters::clock;
use crate::domain::decide::Asker;
use crate::domain::state::State;
use crate::store::disk::Disk;
use crate::store::layout;

use super::audit_verify;
use super::context::Context;
use super::failure::Failure;
use super::strays::Looker;

/// How often, all in all: whoever comes first does it.
const EVERY: Duration = Duration::from_secs(600);

/// Looks, when it is time.
///
/// # Errors
/// [`Failure`].
pub fn pass_by(context: &Context<'_>, state: &State, asker: &Asker) -> Result<(), Failure> {
    if !is_due(context, layout::PATROL, EVERY) {
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

/// Whether the last look was long enough ago; if so, this one is noted as the last. Soft: two at the same
/// time do no harm.
#[must_use]
pub fn is_due(context: &Context<'_>, file: &str, every: Duration) -> bool {
    let disk = context.store.disk();
    let age = disk.path().join(file).metadata().and_then(|meta| meta.modified()).map(clock::age);
    if age.is_ok_and(|age| age < every) {
        return false;
    }
    let _ = disk.remove(file);
    disk.create_new(file, b"").is_ok()
}
