//! What may move a ref: the rules for refs, what git and agents ask, and what a refusal advises.

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
