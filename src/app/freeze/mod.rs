//! Brings the pins on disk in line with the state.

pub mod pins;
