//! The doorbell: one fixed line, typed into a pane whose client waits with an empty input line.

pub mod bell;
pub mod prompt;
pub mod screen;
