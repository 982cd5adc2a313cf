//! The path of every file below git's common directory.

/// The state document.
pub const STATE: &str = "cmw/state.json";
/// The new document before it replaces the current one.
pub const STATE_TMP: &str = "cmw/state.json.tmp";
/// The gate around the state document.
pub const GATE: &str = "cmw/state.lock";
/// Receipts, one file per mailbox.
pub const RECEIPTS: &str = "cmw/receipts";
/// Index, tail and sync records of the message registry; soft.
pub const REGISTRY: &str = "cmw/registry";
/// Heartbeats, one file per role.
pub const BEATS: &str = "cmw/beats";
/// Client records, one directory per role; soft.
pub const CLIENTS: &str = "cmw/clients";
/// Which role edited which path last; soft.
pub const EDITS: &str = "cmw/edits.jsonl";
/// The audit trail.
pub const AUDIT: &str = "audit";
/// The ref journal: movements of refs that hooks allowed or observed.
pub const JOURNAL: &str = "audit/journal.jsonl";
/// The lock around appending to the journal.
pub const JOURNAL_LOCK: &str = "cmw/journal.lock";
/// The view of lock and queue (docs/rules.md R9.4).
pub const LOCK_VIEW: &str = "locks/write-lock.json";
/// The view of the instances (docs/rules.md R9.4).
pub const REGISTRY_VIEW: &str = "instance-registry.json";
/// The lock around writing the views.
pub const VIEWS_LOCK: &str = "cmw/views.lock";
/// Where pins are assembled and taken apart.
pub const PINS: &str = "cmw/pins";
/// The lock file held while pins of a hard freeze are set or removed.
pub const PINS_LOCK: &str = "cmw/pins.lock";
/// The directory that holds our hooks.
pub const HOOKS: &str = "cmw/hooks";
/// Names the hooks directory that was in effect before ours; its hooks run after ours.
pub const CHAINED_HOOKS: &str = "cmw/chained-hooks";
/// When refs, anchors and hooks were last checked (boot clock); soft.
pub const PATROL: &str = "cmw/patrol";
/// When unseen messages were last checked for (boot clock); soft.
pub const MAIL_PATROL: &str = "cmw/mail-patrol";
/// The lock around reporting unseen messages.
pub const MAIL_PATROL_LOCK: &str = "cmw/mail-patrol.lock";
/// The texts of work items, each under its digest.
pub const BODIES: &str = "cmw/bodies";
/// The lock around writing a text.
pub const BODIES_LOCK: &str = "cmw/bodies.lock";
/// The monitor's records; soft.
pub const HEALTH: &str = "cmw/health";
/// The monitor's heartbeat.
pub const MONITOR: &str = "cmw/health/monitor";
/// Held for as long as a monitor runs.
pub const MONITOR_LOCK: &str = "cmw/health/monitor.lock";
/// How panes ended, one file per pane.
pub const ENDED: &str = "cmw/health/ended";
/// The file that records which alerts were sent outside tmux, so that each is sent once.
pub const ALERTS_SENT: &str = "cmw/health/told";
/// When a running monitor was last checked for (boot clock); soft.
pub const MONITOR_PATROL: &str = "cmw/health/patrol";
/// The lock around `cmw-init`.
pub const INIT_LOCK: &str = "cmw/init.lock";

/// The directories that must exist.
pub const DIRECTORIES: [&str; 6] = ["cmw", BEATS, AUDIT, "audit/archive", "locks", "messages"];

/// Returns the path of a role's heartbeat file.
#[must_use]
pub fn beat(role: &crate::domain::identity::role::Role) -> String {
    format!("{BEATS}/{role}")
}

/// Returns the path of a role's client directory.
#[must_use]
pub fn client_dir(role: &crate::domain::identity::role::Role) -> String {
    format!("{CLIENTS}/{role}")
}

/// Returns the path of an audit log.
#[must_use]
pub fn log(name: &str) -> String {
    format!("{AUDIT}/{name}")
}
