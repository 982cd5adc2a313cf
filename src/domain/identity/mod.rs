//! Who acts.
//!
//! * `role`: the names of roles and the kinds of work that they do
//! * `roster`: which roles there are
//! * `actor`: who did something, and to whom a message is addressed
//! * `role_prompt`: what an agent is told about its role

pub mod actor;
pub mod role;
pub mod role_prompt;
pub mod roster;
