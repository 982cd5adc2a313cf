//! Health of instances: evidence, monitor, restarts, notifications.

pub mod beat;
pub mod evidence;
pub mod heartbeat;
pub mod monitor;
pub mod monitor_pass;
pub mod notify;
pub mod restart;
pub mod role_status;
pub mod supervisor;
