//! Tests of the guard: the hooks, what they refuse, and what happens when they are off or broken.

mod attacks;
mod bricked;
mod early;
mod foretold;
mod git_hook_config;
mod hook_check;
mod hook_upgrade;
mod hooks;
mod matrix;
mod permission;
mod ways_out;
