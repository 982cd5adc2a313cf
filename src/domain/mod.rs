//! The rules of the system, as functions of what they are given.

pub mod bytes;
pub mod claim;
pub mod decide;
pub mod digest;
pub mod event;
pub mod gitcall;
pub mod gitref;
pub mod guard;
mod lease;
pub mod liveness;
pub mod mail;
pub mod message;
mod message_id;
mod message_type;
pub mod permit;
pub mod policy;
pub mod priority;
pub mod process;
pub mod queue;
pub mod receipt;
pub mod refusal;
pub mod rescue;
pub mod role;
pub mod state;
pub mod text;
pub mod time;
