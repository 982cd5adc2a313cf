//! The health of instances: from evidence to condition, crashes and restarts, usage limits, alerts.
//!
//! * `client`, `condition`, `liveness`, `usage_limit`: what is judged from what
//! * `incident`: crashes, restarts, parking
//! * `alert`: what the User is told outside tmux
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
