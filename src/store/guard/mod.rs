//! The installed hook programs, and the record of recent edits.

pub mod edits;
pub mod hookdir;
