//! Limits how often a periodic check runs, by a soft record of its last run. Uses the monotonic boot clock:
//! with the wall clock or file times, a clock that is set back would stop all checks.

use crate::domain::util::time::BootTime;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::unsynced;

/// Returns whether the last run was at least `every_ms` ago; if so, records this one as the last. Two runs at
/// the same time do no harm.
#[must_use]
pub fn is_due<D: Disk>(disk: &D, file: &str, now: &BootTime, every_ms: u64) -> bool {
    let last: Option<BootTime> = unsynced::read(disk, file).ok().flatten();
    // A time in the future is not ours.
    let is_recent = |last: BootTime| last.has_passed(now) && now.ms_since(&last) < every_ms;
    if last.is_some_and(is_recent) {
        return false;
    }
    match unsynced::write(disk, file, now) {
        Ok(()) => true,
        // What stands in its place must not keep the checks from running.
        Err(error) => {
            matches!(error, StoreError::Damaged { .. }) || disk.list(file).is_ok_and(|l| !l.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::util::time::BootId;
    use crate::store::disk::RealDisk;

    #[test]
    fn a_look_is_due_after_its_time_and_after_a_boot() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let at = |boot: &str, ms| BootTime { boot: BootId(boot.to_owned()), ms };
        let looks = |boot, ms| is_due(&disk, "cmw/health/patrol", &at(boot, ms), 100);
        assert!(looks("b", 1_000) && !looks("b", 1_000) && !looks("b", 1_099) && looks("b", 1_100));
        assert!(looks("c", 1_150), "another boot");
        assert!(looks("c", 50) && !looks("c", 60), "a time in the future delays no check");
        disk.write_at("cmw/health/patrol", 0, b"x").unwrap();
        assert!(looks("c", 70), "a damaged one neither");
    }

    #[test]
    fn without_a_note_on_disk_no_process_checks_all_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        disk.ensure_dir("cmw/patrol").unwrap();
        let now = BootTime { boot: BootId("b".to_owned()), ms: 1 };
        assert!(!is_due(&disk, "cmw/patrol", &now, 100));
    }
}
