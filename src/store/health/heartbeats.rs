//! Heartbeats: soft state, one small checksummed record per role, written in place.
//!
//! A beat that is lost or torn costs nothing but that beat, so nothing is synced; a rename over the old file
//! would cost forty times as much.

use serde::{Deserialize, Serialize};

use crate::domain::identity::role::Role;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};

use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::{layout, unsynced};

/// Every record is padded to this length, so that a short one covers a long one.
const RECORD_BYTES: usize = 1024;

/// A heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// When, as wall time.
    pub at: WallTime,
    /// When, by the boot clock.
    pub beat: BootTime,
    /// When the agent was last active itself (a beat alone proves only that a process runs).
    pub active: BootTime,
    /// The task that it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The process that beats.
    pub process: Process,
}

/// Writes a role's beat; a task that does not fit is left out.
///
/// # Errors
/// [`StoreError::Io`].
pub fn write<D: Disk>(disk: &D, role: &Role, beat: &Heartbeat) -> Result<(), StoreError> {
    let file = layout::beat(role);
    if !unsynced::write_sized(disk, &file, beat, RECORD_BYTES)? {
        unsynced::write_sized(disk, &file, &Heartbeat { task: None, ..beat.clone() }, RECORD_BYTES)?;
    }
    Ok(())
}

/// Reads a role's last beat; `None` when there is none or it is torn.
///
/// # Errors
/// [`StoreError::Io`].
pub fn read<D: Disk>(disk: &D, role: &Role) -> Result<Option<Heartbeat>, StoreError> {
    unsynced::read_sized(disk, &layout::beat(role), RECORD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::util::time::BootId;
    use crate::store::disk::RealDisk;

    #[test]
    fn a_torn_beat_is_no_beat_and_a_short_one_covers_a_long_one() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        disk.ensure_dir(layout::BEATS).unwrap();
        let role = Role::parse("Dev-A").unwrap();
        assert_eq!(read(&disk, &role).unwrap(), None);
        let boot = BootId("b".to_owned());
        let moment = BootTime { boot: boot.clone(), ms: 5 };
        let process = Process { pid: 1, start_ticks: 2, boot };
        let long = Heartbeat {
            at: WallTime(1),
            beat: moment.clone(),
            active: moment,
            task: Some("x".repeat(300)),
            process,
        };
        write(&disk, &role, &long).unwrap();
        assert_eq!(read(&disk, &role).unwrap(), Some(long.clone()));
        let short = Heartbeat { task: None, ..long.clone() };
        write(&disk, &role, &short).unwrap();
        assert_eq!(read(&disk, &role).unwrap(), Some(short));
        write(&disk, &role, &Heartbeat { task: Some("y".repeat(3_000)), ..long }).unwrap();
        assert_eq!(read(&disk, &role).unwrap().unwrap().task, None, "a task that does not fit is left out");
        disk.write_at(&layout::beat(&role), 30, b"garbage").unwrap();
        assert_eq!(read(&disk, &role).unwrap(), None);
    }
}
