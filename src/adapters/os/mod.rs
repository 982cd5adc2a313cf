//! Processes, clocks, time zones, standard output, and files in a shared work tree.

pub mod clock;
pub mod process;
pub mod random;
pub mod stdio;
pub mod system_info;
pub mod timezone;
pub mod worktree_writer;
