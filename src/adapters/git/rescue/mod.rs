//! Rescue snapshots in git: saving uncommitted work, listing it, and restoring it.

pub mod apply_rescue;
pub mod list;
pub mod scratch;
pub mod snapshot;
pub mod stage_worktree;
pub mod temp_index;
