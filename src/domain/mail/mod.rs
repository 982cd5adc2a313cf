//! Messages: what one is, what became of it, and how an agent is told of its mail.
//!
//! * `message`, `id`, `kind`, `priority`: a message and its parts
//! * `receipt`: what became of it
//! * `agent_digest`: how an agent is told of its mail
//! * `notice`: a message that an event causes
//! * `event`, `describe`, `notices`: the subject's events

pub mod agent_digest;
pub mod describe;
pub mod event;
pub mod id;
pub mod kind;
pub mod message;
pub mod notice;
pub mod notices;
pub mod priority;
pub mod receipt;
