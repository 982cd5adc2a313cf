//! Git, tmux, processes and the clock, as plain domain types. Nothing here knows the store.

pub mod clock;
pub mod git;
pub mod machine;
pub mod process;
pub mod tmux;
pub mod tree_files;
pub mod zone;
