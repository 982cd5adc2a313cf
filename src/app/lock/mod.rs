//! Waiting for the write lock.

pub mod wait;
