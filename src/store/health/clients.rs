//! Owns `cmw/clients/<Role>/`: what is known of a role's client; soft.
//!
//! Hooks of one client run side by side, and its waiter beside them. Whoever changes the record, or tells
//! messages by it, holds its lock, so that nothing is told twice.

use crate::domain::health::client::Client;
use crate::domain::identity::role::Role;
use crate::store::disk::Disk;
use crate::store::error::Result;
use crate::store::{layout, unsynced};

/// Every record is padded to this length.
const RECORD_BYTES: usize = 4096;
/// How long a hook waits for another one of the same client.
const WAIT_MS: u64 = 2_000;

/// Takes the lock of a role's record.
///
/// # Errors
/// [`crate::store::error::StoreError::Busy`], or as the system says.
pub fn lock<D: Disk>(disk: &D, role: &Role) -> Result<D::Lock> {
    unsynced::lock(disk, &format!("{}/lock", layout::client_dir(role)), WAIT_MS)
}

/// What is known; `None` when there is nothing, or it is torn.
///
/// # Errors
/// As the system says.
pub fn read<D: Disk>(disk: &D, role: &Role) -> Result<Option<Client>> {
    unsynced::read_sized(disk, &record(role), RECORD_BYTES)
}

/// Under the lock: writes it; a list that does not fit is left out, and its messages are told again.
///
/// # Errors
/// As the system says.
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
