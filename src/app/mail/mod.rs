//! Sending and delivering messages.

pub mod doorbell;
pub mod session;
pub mod undelivered;
