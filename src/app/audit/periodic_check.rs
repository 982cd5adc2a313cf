//! Owns what is looked after while nobody asks: that refs are where they were allowed to go, that there is an
//! anchor, and that the hooks hold.

use crate::adapters::os::clock;
use crate::domain::command::Asker;
use crate::domain::state::State;
use crate::store::{last_run, layout};

use crate::app::audit::verify::verify;
use crate::app::error::Failure;
use crate::app::workspace::Context;

/// How often, all in all, in milliseconds: whoever comes first does it.
const EVERY_MS: u64 = 600_000;

/// Looks, when it is time.
///
/// # Errors
/// [`Failure`].
pub fn pass_by(context: &Context<'_>, state: &State, asker: &Asker) -> Result<(), Failure> {
    if !last_run::is_due(context.store.disk(), layout::PATROL, &clock::now().boot, EVERY_MS) {
        return Ok(());
    }
    verify(context, state, asker).map(drop)
}
