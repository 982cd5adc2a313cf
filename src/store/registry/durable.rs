//! Owns bringing appended messages to the disk: group commit, and what a failed sync means.
//!
//! The claim is a soft record of how far a sync has covered the current segment. It is written only
//! after the sync, so it can lag but not lie; whoever finds its bytes covered is done.

use serde::{Deserialize, Serialize};

use super::{CURRENT, Header, Registry, Tail, WAIT_MS, soft};
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};

/// The gate of those who sync; taken after the registry's, if both.
const SYNC_GATE: &str = "cmw/registry-sync.lock";
/// Soft: how far a sync has covered.
const CLAIM: &str = "cmw/registry/synced";

/// How far a sync has covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    /// First number of the segment; those before it are durable as a whole, and so is its name.
    pub(super) first: u64,
    /// Bytes of it that are durable.
    upto: u64,
    /// A sync failed: bytes from `upto` to here may look written and be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
}

impl Claim {
    /// Whether messages from this number on were once on the disk.
    pub(super) fn holds_from(&self, first: u64) -> bool {
        self.first >= first && self.upto > 0
    }

    fn covers(&self, tail: &Tail) -> bool {
        self.first > tail.first || (self.first == tail.first && self.upto >= tail.len)
    }
}

impl<D: Disk> Registry<'_, D> {
    pub(super) fn claim(&self) -> Result<Option<Claim>> {
        soft::read(self.disk, CLAIM)
    }

    /// Returns when everything up to this tail is on the disk.
    pub(super) fn make_durable(&self, tail: &Tail) -> Result<()> {
        if tail.len == 0 || self.claim()?.is_some_and(|claim| claim.covers(tail)) {
            return Ok(());
        }
        let _gate = soft::lock(self.disk, SYNC_GATE, WAIT_MS).map_err(unconfirmed)?;
        let claim = self.claim()?;
        if claim.is_some_and(|claim| claim.covers(tail)) {
            return Ok(());
        }
        let known = claim.filter(|claim| claim.first == tail.first);
        if known.is_some_and(|claim| claim.failed.is_some_and(|failed| failed >= tail.len)) {
            let source = std::io::Error::other("an earlier attempt to sync it failed");
            return Err(StoreError::Unconfirmed { file: CURRENT.to_owned(), source });
        }
        if Header::read(self.disk, CURRENT)?.is_none_or(|(header, _)| header.first_seq != tail.first) {
            // A roll closed the segment, which it syncs first.
            return Ok(());
        }
        // Others have appended meanwhile: this sync is theirs too.
        let upto = match self.peek()? {
            Some(now) if now.first == tail.first => now.len.max(tail.len),
            Some(_) | None => tail.len,
        };
        let mut synced = self.disk.sync(CURRENT);
        if synced.is_ok() && known.is_none() {
            synced = self.disk.sync_dir("");
        }
        if let Err(source) = synced {
            // The system may report this once and have forgotten it for the next who asks.
            let failed = self.disk.size(CURRENT).ok().flatten().unwrap_or(upto);
            let upto = known.map_or(0, |claim| claim.upto);
            let _ = soft::write(self.disk, CLAIM, &Claim { first: tail.first, upto, failed: Some(failed) });
            return Err(StoreError::Unconfirmed { file: CURRENT.to_owned(), source });
        }
        // Without the claim the next one syncs again, which is only slower.
        let _ = soft::write(self.disk, CLAIM, &Claim { first: tail.first, upto, failed: None });
        Ok(())
    }

    /// The tail, when everything before it is on the disk: a reader never acts on a message that a
    /// power cut could still take back.
    pub(crate) fn durable_tail(&self) -> Result<Tail> {
        let tail = self.tail()?;
        self.make_durable(&tail)?;
        Ok(tail)
    }

    /// Under the registry's gate: drops a claim that speaks of more than there is (a restored
    /// backup), and writes again what a failed sync left in doubt.
    pub(super) fn heal_claim(&self, tail: &Tail) -> Result<()> {
        let beyond =
            |claim: &Claim| claim.first > tail.first || (claim.first == tail.first && claim.upto > tail.len);
        let Some(claim) = self.claim()?.filter(|claim| beyond(claim) || claim.failed.is_some()) else {
            return Ok(());
        };
        let _gate = soft::lock(self.disk, SYNC_GATE, WAIT_MS)?;
        if beyond(&claim) {
            return soft::write(self.disk, CLAIM, &Claim { first: 0, upto: 0, failed: None });
        }
        if claim.first == tail.first {
            // After a failed sync the pages count as clean; written anew, the next sync takes them.
            let len = usize::try_from(tail.len - claim.upto).unwrap_or(usize::MAX);
            let bytes = self.disk.read_at(CURRENT, claim.upto, len).doing("read", CURRENT)?;
            self.disk.write_at(CURRENT, claim.upto, &bytes).doing("write", CURRENT)?;
            // The name too is in doubt when it was never synced: a claim of nothing syncs it again.
        }
        let first = if claim.upto == 0 { 0 } else { claim.first };
        soft::write(self.disk, CLAIM, &Claim { first, upto: claim.upto, failed: None })
    }
}

/// The messages are appended; who cannot sync them must not say that nothing happened.
fn unconfirmed(error: StoreError) -> StoreError {
    match error {
        StoreError::Busy { file, waited_ms, holder: _ } => StoreError::Unconfirmed {
            source: std::io::Error::other(format!("{file} was taken for {waited_ms} ms")),
            file: CURRENT.to_owned(),
        },
        StoreError::Io { source, .. } => StoreError::Unconfirmed { file: CURRENT.to_owned(), source },
        other @ (StoreError::Damaged { .. }
        | StoreError::Newer { .. }
        | StoreError::NotInitialised { .. }
        | StoreError::NotWritten { .. }
        | StoreError::Unconfirmed { .. }
        | StoreError::IdTaken { .. }) => other,
    }
}
