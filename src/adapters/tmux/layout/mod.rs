//! Where panes stand in a window, and how they are put back into order.

pub mod grid;
pub mod rearrange;
