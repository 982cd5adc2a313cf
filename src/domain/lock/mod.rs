//! The write lock: its holder, its queue, the claims, and how a lease ends.
//!
//! * `write_lock`, `request`: the stored state of the lock
//! * `claim`, `lease`, `queue`, `release`, `expiry`, `verification`: its parts and their rules
//! * `checks`: what the lock, the claims and the freeze permit
//! * `event`, `evolve`, `describe`, `notices`, `decide`: the subject's events and rules

pub mod checks;
pub mod claim;
pub mod decide;
pub mod describe;
pub mod event;
pub mod evolve;
pub mod expiry;
pub mod lease;
pub mod notices;
pub mod queue;
pub mod release;
pub mod request;
pub mod verification;
pub mod write_lock;
