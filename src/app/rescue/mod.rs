//! Saves the uncommitted work of a former holder of the write lock.

pub mod save;
