//! Saving the uncommitted work of a former holder of the write lock.
//!
//! * `note`: the message of a rescue
//! * `event`, `evolve`, `describe`, `notices`: the subject's events; when a rescue begins is decided in
//!   `lock::expiry`

pub mod describe;
pub mod event;
pub mod evolve;
pub mod note;
pub mod notices;
