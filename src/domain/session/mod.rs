//! What runs: the tmux session, the instances in it, and the identity of a process.

pub mod decide;
pub mod instance;
pub mod process;
