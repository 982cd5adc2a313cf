//! Saving what a former holder of the write lock left uncommitted.

pub mod save;
