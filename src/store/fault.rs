//! Faults that crash tests seed on purpose, to show that they detect them (feature `seeded-faults`, never in
//! a release build).

use std::cell::Cell;

/// A step of the protocol that is left out or done in the wrong order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The audit is written before the document is published.
    AuditBeforePublish,
    /// The outbox of a dead process is never delivered.
    NoSettle,
    /// Torn tails are not repaired.
    NoTailRepair,
    /// The names of the audit's files are never synced, not even the first time.
    NoAuditNames,
}

thread_local! {
    static SEEDED: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Seeds a fault for this thread, or removes it.
pub fn seed(fault: Option<Fault>) {
    SEEDED.set(fault);
}

/// Returns whether this fault is seeded.
#[must_use]
pub fn is(fault: Fault) -> bool {
    SEEDED.get() == Some(fault)
}
