//! Work items: tasks and their assignees.
//!
//! * `task`: a work item, and the order of work
//! * `command`, `event`, `evolve`, `describe`, `notices`, `decide`: the subject's events and rules

pub mod command;
pub mod decide;
pub mod describe;
pub mod event;
pub mod evolve;
pub mod notices;
pub mod task;
