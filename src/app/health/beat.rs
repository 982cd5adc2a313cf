//! Heartbeats of an instance: that its process lives, and when its agent was last active.

use crate::adapters::os::clock;
use crate::app::error::Failure;
use crate::app::workspace::Context;
use crate::domain::command::Caller;
use crate::domain::identity::role::Role;
use crate::store::health::heartbeats::{self, Heartbeat};

/// Writes a beat. With `task` the agent itself was active (and reports its task); without, only its process
/// lives.
pub fn beat(
    context: &Context<'_>,
    caller: &Caller,
    role: &Role,
    task: Option<Option<String>>,
) -> Result<(), Failure> {
    let now = clock::now();
    let before = heartbeats::read(context.store.disk(), role)?;
    let kept = before.as_ref().and_then(|b| b.task.clone());
    let (active, task) = match (task, before) {
        (Some(task), _) => (now.boot.clone(), task.or(kept)),
        (None, Some(before)) => (before.active, kept),
        (None, None) => (now.boot.clone(), None),
    };
    let beat = Heartbeat { at: now.wall, beat: now.boot, active, task, process: caller.process.clone() };
    Ok(heartbeats::write(context.store.disk(), role, &beat)?)
}

/// Records activity of the caller's role. Soft: a failed write has no other consequence.
pub fn record_activity(context: &Context<'_>, caller: &Caller) {
    if let Some(role) = caller.actor.role() {
        let _ = beat(context, caller, role, Some(None));
    }
}
