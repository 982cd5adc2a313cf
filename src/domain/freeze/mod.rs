//! Stopping everything: freeze, pins, pause, and break-glass.

pub mod break_glass;
pub mod decide;
pub mod freeze_state;
pub mod pause;
pub mod pins;
