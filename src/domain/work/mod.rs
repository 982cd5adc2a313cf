//! Work items: what is to be done, by which role, after what.

pub mod command;
pub mod decide;
pub mod task;
