//! Compares refs with the ref journal, and runs the periodic checks.

pub mod own_ref_log;
pub mod periodic_check;
pub mod ref_check;
pub mod verify;
