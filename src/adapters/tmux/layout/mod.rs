//! The layout of panes in a window, and restoring it.

pub mod grid;
pub mod rearrange;
