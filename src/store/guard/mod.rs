//! The installed hook programs, and which role edited which path last.

pub mod edits;
pub mod hookdir;
