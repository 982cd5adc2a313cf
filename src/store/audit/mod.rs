//! The audit trail and the ref journal on disk.

pub mod ingest;
pub mod journal;
pub mod log;
pub mod pending;
pub mod reader;
