//! The tmux session and the instances that run in it.
//!
//! * `instance`, `process`: what the state stores of them
//! * `event`, `evolve`, `describe`, `notices`, `decide`: the subject's events and rules

pub mod decide;
pub mod describe;
pub mod event;
pub mod evolve;
pub mod instance;
pub mod notices;
pub mod process;
