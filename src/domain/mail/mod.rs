//! Messages: what one is, what became of it, and how an agent is told of its mail.

pub mod agent_digest;
pub mod id;
pub mod kind;
pub mod message;
pub mod priority;
pub mod receipt;
