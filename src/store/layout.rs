//! Owns every path below git's common directory, spelled once.

/// The coordination document.
pub const STATE: &str = "cmw/state.json";
/// Where it is written before it is published.
pub const STATE_TMP: &str = "cmw/state.json.tmp";
/// The gate around the document.
pub const GATE: &str = "cmw/state.lock";
/// Receipts, one file per mailbox.
pub const RECEIPTS: &str = "cmw/receipts";
/// What the programs keep beside the message registry; soft.
pub const REGISTRY: &str = "cmw/registry";
/// Heartbeats, one file per role.
pub const BEATS: &str = "cmw/beats";
/// What is known of the roles' clients; soft.
pub const CLIENTS: &str = "cmw/clients";
/// Which role edited which path last; soft.
pub const EDITS: &str = "cmw/edits.jsonl";
/// The audit trail.
pub const AUDIT: &str = "audit";
/// What hooks append: allowed and observed movements of refs.
pub const JOURNAL: &str = "audit/journal.jsonl";
/// The lock around appending to the journal.
pub const JOURNAL_LOCK: &str = "cmw/journal.lock";
/// The guide's view of lock and queue.
pub const LOCK_VIEW: &str = "locks/write-lock.json";
/// The guide's view of the instances.
pub const REGISTRY_VIEW: &str = "instance-registry.json";
/// The lock around writing the views.
pub const VIEWS_LOCK: &str = "cmw/views.lock";
/// Where pins are built and taken apart.
pub const PINS: &str = "cmw/pins";
/// The lock around setting and removing pins.
pub const PINS_LOCK: &str = "cmw/pins.lock";
/// The directory that holds our hooks.
pub const HOOKS: &str = "cmw/hooks";
/// Names the hooks directory that was in effect before ours; its hooks run after ours.
pub const CHAINED_HOOKS: &str = "cmw/chained-hooks";
/// When refs, anchors and hooks were last looked after (boot clock); soft.
pub const PATROL: &str = "cmw/patrol";
/// When unseen messages were last looked for (boot clock); soft.
pub const MAIL_PATROL: &str = "cmw/mail-patrol";
/// The lock around telling of unseen messages.
pub const MAIL_PATROL_LOCK: &str = "cmw/mail-patrol.lock";
/// The texts of work items, each under its digest.
pub const BODIES: &str = "cmw/bodies";
/// The lock around writing one.
pub const BODIES_LOCK: &str = "cmw/bodies.lock";
/// What the monitor keeps; soft.
pub const HEALTH: &str = "cmw/health";
/// The monitor's sign of life.
pub const MONITOR: &str = "cmw/health/monitor";
/// Held for as long as a monitor lives.
pub const MONITOR_LOCK: &str = "cmw/health/monitor.lock";
/// How panes ended, one file for each.
pub const ENDED: &str = "cmw/health/ended";
/// Of what the person was told outside tmux.
pub const TOLD: &str = "cmw/health/told";
/// When it was last looked whether a monitor lives (boot clock); soft.
pub const MONITOR_PATROL: &str = "cmw/health/patrol";
/// The lock around `cmw-init`.
pub const INIT_LOCK: &str = "cmw/init.lock";

/// The directories that must exist.
pub const DIRECTORIES: [&str; 6] = ["cmw", BEATS, AUDIT, "audit/archive", "locks", "messages"];

/// The heartbeat file of a role.
#[must_use]
pub fn beat(role: &crate::domain::identity::role::Role) -> String {
    format!("{BEATS}/{role}")
}

/// The directory of what is known of a role's client.
#[must_use]
pub fn client_dir(role: &crate::domain::identity::role::Role) -> String {
    format!("{CLIENTS}/{role}")
}

/// A log of the audit trail.
#[must_use]
pub fn log(name: &str) -> String {
    format!("{AUDIT}/{name}")
}
