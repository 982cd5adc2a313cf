//! Messages: their form, their delivery, and the digest for agents.
//!
//! * `message`, `id`, `kind`, `priority`: a message and its parts
//! * `receipt`: their delivery
//! * `agent_digest`: the digest of its mail for an agent
//! * `fair_order`: the order in which messages are shown
//! * `notice`: a message that an event causes
//! * `event`, `describe`, `notices`: the subject's events

pub mod agent_digest;
pub mod describe;
pub mod event;
pub mod fair_order;
pub mod id;
pub mod kind;
pub mod message;
pub mod notice;
pub mod notices;
pub mod priority;
pub mod receipt;
