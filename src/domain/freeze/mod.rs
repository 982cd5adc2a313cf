//! Stopping work: freezes, pins, pauses, and break-glass.
//!
//! * `freeze_state`, `pins`: their stored state
//! * `break_glass`, `pause`: their rules
//! * `event`, `evolve`, `describe`, `notices`, `decide`: the subject's events and rules

pub mod break_glass;
pub mod decide;
pub mod describe;
pub mod event;
pub mod evolve;
pub mod freeze_state;
pub mod notices;
pub mod pause;
pub mod pins;
