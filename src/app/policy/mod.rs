//! Compiling configuration into policy.

pub mod config;
