//! `cmw-doctor`.

mod findings;
