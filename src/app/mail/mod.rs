//! Sends and delivers messages.

pub mod doorbell;
pub mod session;
pub mod undelivered;
