//! The reasons for which a lease, or a place in the queue, ends.

use serde::{Deserialize, Serialize};

/// The reason for which a lease ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Release {
    /// The holder released it.
    Done,
    /// The holder handed it over to a named waiter.
    Handover,
    /// Lease time and grace ran out.
    Expired,
    /// The holder's process is gone.
    HolderDied,
    /// The `git commit` that had taken it has ended.
    CommandEnded,
    /// The waiting command was gone before it saw the grant.
    NotTakenUp,
    /// The holder was shut down.
    Shutdown,
    /// An actor with the right to do so ended it; the reason given.
    Forced(String),
    /// The system was frozen.
    Freeze,
    /// A usage limit stopped the holder.
    Parked,
}

/// The reason for which a waiter left the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Removal {
    /// The waiter cancelled.
    Cancelled,
    /// Its process is gone.
    Died,
    /// The waiter was inactive for too long.
    Silent,
    /// It was shut down.
    Shutdown,
    /// The waiter missed too many offers.
    Missed,
}
