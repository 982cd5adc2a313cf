//! What is known of instances on disk: heartbeats, clients, the monitor. Never synced.

pub mod clients;
pub mod heartbeats;
pub mod monitor;
