//! Use cases: combine the domain with store and adapters. Parses no command line and prints nothing.

pub mod agents;
pub mod answer;
pub mod audit;
pub mod client;
pub mod env;
pub mod error;
pub mod exit;
pub mod freeze;
pub mod guard;
pub mod health;
pub mod identity;
pub mod lock;
pub mod mail;
pub mod policy;
pub mod programs;
pub mod rescue;
pub mod session;
pub mod transaction;
pub mod workspace;
