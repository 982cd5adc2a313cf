//! Who acts: roles and their kinds, the roster, and what a role is told about itself.

pub mod role;
pub mod role_prompt;
