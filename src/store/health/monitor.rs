//! The monitor's records in `cmw/health/`: which process monitors, how panes ended, which alerts were sent;
//! soft.
//!
//! A monitor holds one lock for as long as it runs, so that there is only one.

use serde::{Deserialize, Serialize};

use crate::domain::health::alert::Alert;
use crate::domain::health::incident::ProcessEnd;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};
use crate::store::disk::Disk;
use crate::store::error::Result;
use crate::store::{layout, unsynced};

/// Size limit of the record of sent alerts, in bytes.
const TOLD_BYTES: usize = 16 << 10;
/// How many keys of sent alerts are kept.
pub const TOLD_MAX: usize = 200;
/// How many keys are kept before a waiting alert is given up.
const KEYS_MIN: usize = 16;

/// A monitor's heartbeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorRecord {
    /// Its process.
    pub process: Process,
    /// When it last checked all instances.
    pub looked: BootTime,
    /// The same, as wall time.
    pub at: WallTime,
    /// Whether it keeps running, and was not started for one check.
    pub stays: bool,
}

/// How a pane's process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaneEnd {
    /// Its process id.
    pub pid: u32,
    /// When that was reported.
    pub at: BootTime,
    /// How.
    pub how: ProcessEnd,
}

/// How far the alerts outside tmux have progressed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyCursor {
    /// The last audit record processed.
    pub record: u64,
    /// The last message.
    pub message: u64,
    /// What else was told, by a key of its own; the last ones.
    pub keys: Vec<String>,
    /// What is still to be told, in order.
    #[serde(default)]
    pub waiting: Vec<PendingAlert>,
}

/// An alert that is still to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAlert {
    /// The alert.
    pub alert: Alert,
    /// How often sending it was tried.
    pub tried: u32,
}

/// Acquires the monitor lock; `None` when another monitor holds it.
pub fn acquire_monitor_lock<D: Disk>(disk: &D) -> Result<Option<D::Lock>> {
    match unsynced::with_dir(disk, layout::MONITOR_LOCK, || disk.lock(layout::MONITOR_LOCK, 0)) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(crate::store::error::StoreError::lock(layout::MONITOR_LOCK, 0, error)),
    }
}

/// Writes the monitor's heartbeat.
pub fn write_monitor_record<D: Disk>(disk: &D, watcher: &MonitorRecord) -> Result<()> {
    unsynced::write(disk, layout::MONITOR, watcher)
}

/// Reads the monitor's last heartbeat.
pub fn monitor_record<D: Disk>(disk: &D) -> Result<Option<MonitorRecord>> {
    unsynced::read(disk, layout::MONITOR)
}

/// Returns the file of a pane (`%7`); `None` when that is not a pane's name.
fn ended_file(pane_id: &str) -> Option<String> {
    let number: u32 = pane_id.strip_prefix('%')?.parse().ok()?;
    Some(format!("{}/{number}", layout::ENDED))
}

/// Records how the process of a pane ended; a text that is not a pane's name is ignored.
pub fn write_pane_end<D: Disk>(disk: &D, pane_id: &str, ended: &PaneEnd) -> Result<()> {
    let Some(file) = ended_file(pane_id) else { return Ok(()) };
    unsynced::write(disk, &file, ended)
}

/// Returns how this process of a pane ended, when that was recorded.
#[must_use]
pub fn pane_end<D: Disk>(disk: &D, pane_id: &str, process: &Process) -> Option<ProcessEnd> {
    let ended: PaneEnd = unsynced::read(disk, &ended_file(pane_id)?).ok()??;
    (ended.pid == process.pid && ended.at.boot == process.boot).then_some(ended.how)
}

/// Reads how far alerts have progressed; `None` when none was ever sent.
pub fn notify_cursor<D: Disk>(disk: &D) -> Result<Option<NotifyCursor>> {
    unsynced::read_sized(disk, layout::ALERTS_SENT, TOLD_BYTES)
}

/// Records how far alerts have progressed; when there is not enough room, the oldest are dropped.
pub fn write_notify_cursor<D: Disk>(disk: &D, told: &NotifyCursor) -> Result<()> {
    let mut told = told.clone();
    told.keys.drain(..told.keys.len().saturating_sub(TOLD_MAX));
    while !unsynced::write_sized(disk, layout::ALERTS_SENT, &told, TOLD_BYTES)? {
        let half = |len: usize| len.div_ceil(2);
        if told.keys.len() < KEYS_MIN {
            told.waiting.drain(..half(told.waiting.len()));
        }
        told.keys.drain(..half(told.keys.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::util::time::BootId;
    use crate::store::disk::RealDisk;

    fn boot(name: &str) -> BootId {
        BootId(name.to_owned())
    }

    #[test]
    fn how_a_pane_ended_is_of_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let process = |pid, name: &str| Process { pid, start_ticks: 1, boot: boot(name) };
        assert_eq!(pane_end(&disk, "%7", &process(5, "b")), None);
        let how = ProcessEnd::Signal(9);
        write_pane_end(&disk, "%7", &PaneEnd { pid: 5, at: BootTime { boot: boot("b"), ms: 1 }, how })
            .unwrap();
        assert_eq!(pane_end(&disk, "%7", &process(5, "b")), Some(how));
        for (pane, pid, boot) in
            [("%7", 6, "b"), ("%7", 5, "c"), ("%8", 5, "b"), ("7", 5, "b"), ("%../7", 5, "b")]
        {
            assert_eq!(pane_end(&disk, pane, &process(pid, boot)), None, "{pane} {pid} {boot}");
        }
        write_pane_end(&disk, "%../x", &PaneEnd { pid: 5, at: BootTime { boot: boot("b"), ms: 1 }, how })
            .unwrap();
        assert!(!dir.path().join("cmw/health/x").exists());
    }

    #[test]
    fn there_is_one_watcher() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, other) = (RealDisk::open(dir.path()).unwrap(), RealDisk::open(dir.path()).unwrap());
        let mine = acquire_monitor_lock(&disk).unwrap();
        assert!(mine.is_some() && acquire_monitor_lock(&other).unwrap().is_none());
        drop(mine);
        assert!(acquire_monitor_lock(&other).unwrap().is_some());
    }

    #[test]
    fn what_was_told_is_kept_as_far_as_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        assert_eq!(notify_cursor(&disk).unwrap(), None);
        let keys: Vec<String> =
            (0..1_000).map(|n| format!("permission:Dev-A:{n}:{}", "x".repeat(200))).collect();
        let long =
            |n| Alert::new("message", None, &format!("{n}{}", "\u{1f4a5}".repeat(300)), "cmw", WallTime(n));
        let waiting: Vec<PendingAlert> = (0..50).map(|n| PendingAlert { alert: long(n), tried: 0 }).collect();
        let all = NotifyCursor { record: 3, message: 4, keys: keys.clone(), waiting: waiting.clone() };
        write_notify_cursor(&disk, &NotifyCursor { waiting: Vec::new(), ..all.clone() }).unwrap();
        let kept = notify_cursor(&disk).unwrap().unwrap();
        assert!((kept.record, kept.message) == (3, 4) && kept.keys.len() > 20);
        assert_eq!(kept.keys.last(), keys.last());
        write_notify_cursor(&disk, &all).unwrap();
        let kept = notify_cursor(&disk).unwrap().unwrap();
        assert!(kept.waiting.len() > 2 && kept.waiting.last() == waiting.last(), "{}", kept.waiting.len());
    }
}
