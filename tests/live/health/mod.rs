//! `cmw-health` over time: the monitor, and the screen.

mod monitor;
mod watch;
