//! Syncs appended messages to the disk, and handles a failed sync.
//!
//! A sender syncs without any gate: the kernel joins concurrent fdatasyncs, and a gate around them made
//! twelve senders four times slower. The claim is a soft record of how far a sync has covered the current
//! segment; it is written only after the sync, so it can lag but never claim too much, and a sender whose
//! bytes are covered need not sync.
//!
//! After a failed sync the system takes the pages for written, so the next sync would succeed. The doubt is a
//! soft record of the failure: until the next sender has rewritten the bytes, they are reported as
//! unconfirmed.

use serde::{Deserialize, Serialize};

use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};
use crate::store::mail::registry::{CURRENT, Header, Registry, RegistryTail};
use crate::store::unsynced;

/// Soft: how far a sync has covered the current segment.
const CLAIM: &str = "cmw/registry/synced";
/// Soft: that a sync failed.
const DOUBT: &str = "cmw/registry/sync-failed";

/// Both.
pub(super) const FILES: [&str; 2] = [CLAIM, DOUBT];

/// How far a sync has covered the current segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SyncMark {
    /// First number of the segment; earlier segments are durable as a whole, and so is its name.
    first: u64,
    /// Bytes of it that are durable.
    upto: u64,
}

impl SyncMark {
    /// Returns whether messages from this number on were once synced.
    pub(crate) fn holds_from(&self, first: u64) -> bool {
        self.first >= first && self.upto > 0
    }

    fn covers(&self, tail: &RegistryTail) -> bool {
        self.first > tail.first || (self.first == tail.first && self.upto >= tail.len)
    }

    /// Returns whether it covers more than exists: the registry was restored from a backup.
    fn is_beyond(&self, tail: &RegistryTail) -> bool {
        self.first > tail.first || (self.first == tail.first && self.upto > tail.len)
    }
}

/// A failed sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SyncFailure {
    /// First number of the segment.
    first: u64,
    /// Bytes of it from here on may look written and be lost.
    from: u64,
    /// They were rewritten: the result of the next sync can be trusted.
    healed: bool,
    /// Grows with each failure, so that a sync in progress notices a concurrent failure.
    round: u64,
}

impl<D: Disk> Registry<'_, D> {
    pub(crate) fn claim(&self) -> Result<Option<SyncMark>> {
        unsynced::read(self.disk, CLAIM)
    }

    fn sync_failure(&self) -> Result<Option<SyncFailure>> {
        unsynced::read(self.disk, DOUBT)
    }

    /// Returns when everything up to this tail is synced.
    pub(crate) fn make_durable(&self, tail: &RegistryTail) -> Result<()> {
        let claim = self.claim()?;
        if tail.len == 0 || claim.is_some_and(|claim| claim.covers(tail)) {
            return Ok(());
        }
        let unconfirmed = |source| StoreError::Unconfirmed { file: CURRENT.to_owned(), source };
        let failed_before = || unconfirmed(std::io::Error::other("an attempt to sync it failed"));
        let doubt = self.sync_failure()?;
        if doubt.is_some_and(|doubt| !doubt.healed && doubt.first == tail.first && doubt.from < tail.len) {
            return Err(failed_before());
        }
        if Header::read(self.disk, CURRENT)?.is_none_or(|(header, _)| header.first_seq != tail.first) {
            // A roll closed the segment, which it syncs first.
            return Ok(());
        }
        // Other senders may have appended meanwhile: this sync covers their bytes too.
        let upto = match self.peek()? {
            Some(now) if now.first == tail.first => now.len.max(tail.len),
            Some(_) | None => tail.len,
        };
        let known = claim.filter(|claim| claim.first == tail.first);
        let synced = self.disk.sync(CURRENT).and_then(|()| match known {
            Some(_) => Ok(()),
            None => self.disk.sync_dir(""),
        });
        if let Err(source) = synced {
            // A roll closed the segment between the check and the sync; it syncs the segment first. Any other
            // error leaves the doubt.
            let is_there = || -> Result<bool> {
                Ok(Header::read(self.disk, CURRENT)?.is_some_and(|(h, _)| h.first_seq == tail.first))
            };
            if source.kind() == std::io::ErrorKind::NotFound && !is_there()? {
                return Ok(());
            }
            // The system may report the failure only once, and report success to the next caller.
            let (from, round) = (known.map_or(0, |c| c.upto), doubt.map_or(0, |d| d.round) + 1);
            let _ = unsynced::write(
                self.disk,
                DOUBT,
                &SyncFailure { first: tail.first, from, healed: false, round },
            );
            return Err(unconfirmed(source));
        }
        if self.sync_failure()? != doubt {
            return Err(failed_before());
        }
        // Without the claim the next sender syncs again, which is only slower.
        let _ = unsynced::write(self.disk, CLAIM, &SyncMark { first: tail.first, upto });
        Ok(())
    }

    /// Returns the tail once everything before it is synced: a reader never acts on a message that a power
    /// cut could still take back.
    pub(crate) fn durable_tail(&self) -> Result<RegistryTail> {
        let tail = self.tail()?;
        self.make_durable(&tail)?;
        Ok(tail)
    }

    /// Before an append: drops a claim that covers more than exists, and rewrites the bytes of a failed sync;
    /// under the gate.
    pub(crate) fn recover_failed_sync(&self, tail: &RegistryTail) -> Result<()> {
        if self.claim()?.is_some_and(|claim| claim.is_beyond(tail)) {
            unsynced::write(self.disk, CLAIM, &SyncMark { first: 0, upto: 0 })?;
        }
        let Some(doubt) = self.sync_failure()?.filter(|doubt| !doubt.healed) else { return Ok(()) };
        if doubt.first == tail.first && doubt.from < tail.len {
            let len = usize::try_from(tail.len - doubt.from).unwrap_or(usize::MAX);
            let bytes = self.disk.read_at(CURRENT, doubt.from, len).doing("read", CURRENT)?;
            self.disk.write_at(CURRENT, doubt.from, &bytes).doing("write", CURRENT)?;
        }
        unsynced::write(self.disk, DOUBT, &SyncFailure { healed: true, ..doubt })
    }
}
