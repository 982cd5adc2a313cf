//! Claude Code: its hooks, and the real client.

mod hooks;
mod real;
