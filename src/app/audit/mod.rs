//! Compares refs with the ref journal, ends movements that are over, and runs the periodic checks.

pub(crate) mod open_movements;
pub mod own_ref_log;
pub mod periodic_check;
pub mod ref_check;
mod unknown_mail;
pub mod verify;
