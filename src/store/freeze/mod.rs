//! The pins of a hard freeze on disk.

pub mod pins;
