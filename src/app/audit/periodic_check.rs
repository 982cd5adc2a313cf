//! The periodic checks: that refs are where they were allowed to go, that there is a recent anchor, and that
//! the hooks are installed.

use crate::adapters::os::clock;
use crate::domain::command::Caller;
use crate::domain::state::State;
use crate::store::{last_run, layout};

use crate::app::audit::verify::verify;
use crate::app::error::Failure;
use crate::app::workspace::Context;

/// How often the checks run, in milliseconds; the first command after that time runs them.
const EVERY_MS: u64 = 600_000;

/// Runs the checks, when they are due.
pub fn run_if_due(context: &Context<'_>, state: &State, caller: &Caller) -> Result<(), Failure> {
    if !last_run::is_due(context.store.disk(), layout::PATROL, &clock::now().boot, EVERY_MS) {
        return Ok(());
    }
    verify(context, state, caller).map(drop)
}
