//! The health of instances: from evidence to condition, crashes and restarts, usage limits, alerts.

pub mod alert;
pub mod client;
pub mod command;
pub mod condition;
pub mod decide;
pub mod describe;
pub mod evolve;
pub mod incident;
pub mod liveness;
pub mod notices;
pub mod usage_limit;
