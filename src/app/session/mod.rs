//! Starting and stopping the tmux session and its instances.

pub mod context;
pub mod launch;
mod ready;
pub mod start;
pub mod status_line;
pub mod stop;
pub mod tmux;
