//! tmux: one session of panes, one pane for each role.
//!
//! * [`server`]: finding and running tmux, panes and sessions by exact name.
//! * [`session`]: creating a session. [`layout`]: the grid of its panes.
//! * [`pane`]: the state of one pane. `pane_died`: notification that one ended.
//! * [`status_line`]: the roles' states as a person sees them. [`helper_window`]: windows of our own
//!   programs.
//! * [`doorbell`]: one fixed line for clients without hooks.

pub mod doorbell;
pub mod error;
pub mod escape;
pub mod helper_window;
pub mod layout;
pub mod pane;
pub mod server;
pub mod session;
pub mod status_line;

mod client;
mod pane_died;
mod program;
