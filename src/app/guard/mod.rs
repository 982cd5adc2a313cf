//! The enforcement in git: installed hooks, configuration, chained hooks, and the tests of them.

pub mod git_hook_config;
pub mod hook_chain;
pub mod hook_check;
pub mod ownership;
pub mod self_test;
