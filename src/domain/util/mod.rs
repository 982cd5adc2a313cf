//! Helpers that every subject uses: time, digests, sanitised text, paths as text.

pub mod digest;
pub mod path_encoding;
pub mod phrase;
pub mod sanitize;
pub mod tags;
pub mod time;
pub mod time_arg;
