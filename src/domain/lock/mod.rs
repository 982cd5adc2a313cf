//! The write lock: who holds it, who is next, what is claimed, and how a lease ends.

pub mod checks;
pub mod claim;
pub mod decide;
pub mod expiry;
pub mod lease;
pub mod queue;
pub mod release;
pub mod request;
pub mod verification;
pub mod write_lock;
