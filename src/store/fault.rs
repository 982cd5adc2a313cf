//! Owns the faults that crash tests seed on purpose, to show that they would notice
//! (feature `seeded-faults`, never in a release build).

use std::cell::Cell;

/// A step of the protocol that is left out or done in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The audit is written before the document is published.
    AuditBeforePublish,
    /// Nobody brings a dead process's outbox to its place.
    NoSettle,
    /// Torn tails stay.
    NoTailRepair,
    /// The names of the audit's files are never synced, not even the first time.
    NoAuditNames,
}

thread_local! {
    static SEEDED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Seeds a fault for this thread, or takes it away.
pub fn seed(fault: Option<Fault>) {
    SEEDED.set(fault);
}

/// Whether this fault is seeded.
#[must_use]
pub fn is(fault: Fault) -> bool {
    SEEDED.get() == Some(fault)
}
