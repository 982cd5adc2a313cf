//! Client records, `cmw/clients/<Role>/`: what is known of a role's AI client; soft.
//!
//! Hooks of one client run concurrently, also with its waiter. A process that changes the record, or
//! delivers messages by it, holds its lock, so that no message is delivered twice.

use crate::domain::health::client::Client;
use crate::domain::identity::role::Role;
use crate::store::disk::Disk;
use crate::store::error::Result;
use crate::store::{layout, unsynced};

/// Every record is padded to this length.
const RECORD_BYTES: usize = 4096;
/// How long a hook waits for another one of the same client, in milliseconds.
const WAIT_MS: u64 = 2_000;

/// Acquires the lock of a role's record.
///
/// # Errors
/// [`crate::store::error::StoreError::Busy`], or the system's error.
pub fn lock<D: Disk>(disk: &D, role: &Role) -> Result<D::Lock> {
    unsynced::lock(disk, &format!("{}/lock", layout::client_dir(role)), WAIT_MS)
}

/// Reads the record; `None` when there is none, or it is torn.
pub fn read<D: Disk>(disk: &D, role: &Role) -> Result<Option<Client>> {
    unsynced::read_sized(disk, &record(role), RECORD_BYTES)
}

/// Writes the record, under the lock; a list that does not fit is left out, and its messages are delivered
/// again.
pub fn write<D: Disk>(disk: &D, role: &Role, client: &Client) -> Result<()> {
    let file = record(role);
    if !unsynced::write_sized(disk, &file, client, RECORD_BYTES)? {
        let short = Client { ahead: Vec::new(), transcript: None, ..client.clone() };
        unsynced::write_sized(disk, &file, &short, RECORD_BYTES)?;
    }
    Ok(())
}

fn record(role: &Role) -> String {
    format!("{}/record", layout::client_dir(role))
}
