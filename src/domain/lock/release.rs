//! The reasons for which a lease, or a place in the queue, ends.

use serde::{Deserialize, Serialize};

/// Why a lease ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Release {
    /// The holder let go.
    Done,
    /// The holder gave it to a named waiter.
    Handover,
    /// Its time and the grace ran out.
    Expired,
    /// The holder's process is gone.
    HolderDied,
    /// The `git commit` that had taken it is over.
    CommandEnded,
    /// Its waiting command was gone before it saw the grant.
    NotTakenUp,
    /// The holder was shut down.
    Shutdown,
    /// Somebody with the right to do so ended it.
    Forced(String),
    /// The system was frozen.
    Freeze,
    /// A usage limit stopped the holder.
    Parked,
}

/// Why somebody left the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Removal {
    /// It said so.
    Cancelled,
    /// Its process is gone.
    Died,
    /// Nothing was heard of it for too long.
    Silent,
    /// It was shut down.
    Shutdown,
    /// It missed one offer too many.
    Missed,
}
