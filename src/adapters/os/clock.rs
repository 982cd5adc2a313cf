//! The clocks: the wall clock for display, the boot-time clock for rules.

use crate::domain::util::time::{BootId, BootTime, Now, WallTime};

/// Reads both clocks.
///
/// With feature `test-clock` (tests only, never in a release build) `CMW_TEST_CLOCK_MS` is added
/// to both, and `CMW_TEST_WALL_MS` to the wall clock alone. What the file that `CMW_TEST_CLOCK_FILE`
/// names says is added to both at each look: so a test moves programs that already run.
#[must_use]
pub fn now() -> Now {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
    let wall = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ms = u64::try_from(boot.tv_sec).unwrap_or(0) * 1_000
        + u64::try_from(boot.tv_nsec).unwrap_or(0) / 1_000_000;
    let now = Now { wall: WallTime(wall), boot: BootTime { boot: boot_id(), ms } };
    shifted(now)
}

/// Returns the age of a file's time, by the wall clock; zero when it is in the future.
#[must_use]
pub fn age(time: std::time::SystemTime) -> std::time::Duration {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let time = WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    std::time::Duration::from_millis(now().wall.ms_since(time))
}

/// Returns the identity of this boot; empty when the system does not report it.
#[must_use]
pub fn boot_id() -> BootId {
    static BOOT: std::sync::OnceLock<BootId> = std::sync::OnceLock::new();
    let read = || std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    BOOT.get_or_init(|| BootId(read().trim().to_owned())).clone()
}

#[cfg(not(feature = "test-clock"))]
fn shifted(now: Now) -> Now {
    now
}

#[cfg(feature = "test-clock")]
fn shifted(mut now: Now) -> Now {
    #[expect(clippy::disallowed_methods, reason = "the test clock, never in a release build")]
    let read = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<i64>().ok()).unwrap_or(0);
    #[expect(clippy::disallowed_methods, reason = "the test clock, which no release build has")]
    let file = std::env::var_os("CMW_TEST_CLOCK_FILE").and_then(|file| std::fs::read_to_string(file).ok());
    let moved = file.and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0);
    let both = read("CMW_TEST_CLOCK_MS") + moved;
    now.wall.0 += both + read("CMW_TEST_WALL_MS");
    now.boot.ms = now.boot.ms.saturating_add_signed(both);
    now
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_clocks_are_read() {
        let (first, second) = (super::now(), super::now());
        assert!(first.wall.0 > 1_700_000_000_000 && second.boot.ms >= first.boot.ms);
        assert_eq!(first.boot.boot.0.len(), 36);
    }
}
