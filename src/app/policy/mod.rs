//! Compiles configuration into policy.

pub mod config;
