//! The numbers that a policy sets: for the write lock, and for restarts.

use serde::{Deserialize, Serialize};

/// The settings of the write lock, in milliseconds (docs/rules.md R4.4, R4.8, R4.9, R4.12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockSettings {
    /// Length of a lease without an estimate.
    pub lease_ms: u64,
    /// Longest lease, with any estimate.
    pub lease_max_ms: u64,
    /// Grace after the end of a lease.
    pub grace_ms: u64,
    /// Life of a ticket without a sign of its role.
    pub ticket_ms: u64,
    /// Length of an offer: the free lock is reserved for a waiter whose command is away.
    pub offer_ms: u64,
    /// Whether `git commit` takes a free lock by itself.
    pub auto: bool,
}

impl Default for LockSettings {
    fn default() -> Self {
        Self {
            lease_ms: 300_000,
            lease_max_ms: 1_800_000,
            grace_ms: 5_000,
            ticket_ms: 1_800_000,
            offer_ms: 60_000,
            auto: true,
        }
    }
}

impl LockSettings {
    /// Returns the length of a lease: the default, or twice the estimate within the cap.
    #[must_use]
    pub fn lease_for(&self, estimate_ms: Option<u64>) -> u64 {
        estimate_ms.map_or(self.lease_ms, |e| e.saturating_mul(2).clamp(self.lease_ms, self.lease_max_ms))
    }
}

/// The settings of restarts, and of alerts outside tmux (docs/rules.md R8.5, R8.10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthSettings {
    /// Whether crashed instances are restarted.
    pub restart: bool,
    /// The program and arguments that tell the person outside tmux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<String>,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { restart: true, notify: None }
    }
}

impl HealthSettings {
    /// Whether nothing is configured: the digest is then that of earlier versions.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
