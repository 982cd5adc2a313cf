//! Guards: the rules for refs, the input from git and agents, and the hints in refusals.

pub mod explain;
pub mod git_command;
pub mod git_ref;
pub mod hook_input;
pub mod permission;
pub mod ref_rules;
pub mod retry_command;
pub mod shell;
pub mod tool_use;
pub mod undo_hint;
