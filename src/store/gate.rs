//! Gate locks: `flock` on a file of its own, held for milliseconds, released when its process ends.

use crate::store::disk::Disk;
use crate::store::error::StoreError;

/// Acquires a lock file; the error names its holder and how long was waited.
pub(crate) fn take<D: Disk>(disk: &D, file: &str, wait_ms: u64) -> Result<D::Lock, StoreError> {
    disk.lock(file, wait_ms).map_err(|e| StoreError::lock(file, wait_ms, e))
}
