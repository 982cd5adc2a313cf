//! The health of instances: from evidence to condition, crashes and restarts, usage limits, alerts.
//!
//! * `client`, `condition`, `liveness`, `usage_limit`: the evidence, and the conditions that it shows
//! * `incident`: crashes, restarts, parking
//! * `alert`: alerts to the User outside tmux
//! * `command`, `event`, `evolve`, `describe`, `notices`, `decide`: the subject's events and rules

pub mod alert;
pub mod client;
pub mod command;
pub mod condition;
pub mod decide;
pub mod describe;
pub mod event;
pub mod evolve;
pub mod incident;
pub mod liveness;
pub mod notices;
pub mod usage_limit;
