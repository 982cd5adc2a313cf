//! Git, tmux, processes and the clock, as plain domain types. Nothing here knows the store.

pub mod git;
pub mod os;
pub mod tmux;
