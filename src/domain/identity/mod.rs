//! Identity: roles, the roster, and actors.
//!
//! * `role`: the names of roles and the kinds of work that they do
//! * `roster`: the roles of a repository
//! * `actor`: actors, and the addresses of messages
//! * `role_prompt`: the prompt that tells an agent about its role

pub mod actor;
pub mod role;
pub mod role_prompt;
pub mod roster;
