//! Comparing refs with the ref journal, and the checks that run from time to time.

pub mod periodic_check;
pub mod ref_check;
pub mod verify;
