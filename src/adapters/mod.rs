//! Adapters to git, tmux, processes and the clock, in terms of domain types. Independent of the store.

pub mod git;
pub mod os;
pub mod tmux;
