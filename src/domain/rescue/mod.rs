//! Rescued work: what the message of a snapshot records.

pub mod note;
