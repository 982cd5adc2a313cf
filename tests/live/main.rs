//! Programs that run for a while: tmux, clients, the monitor, clocks. A folder for each subject.

mod client;
mod health;
mod help;
mod session;
#[path = "../support/mod.rs"]
mod support;
mod tmux;
