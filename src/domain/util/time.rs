//! Time: wall-clock time for people, boot-clock time for rules (docs/rules.md I11).
//!
//! Moving the wall clock by years changes no decision about locks: a time of expiry is stored as a
//! [`BootTime`] of the clock that counts since boot (suspend included), together with its boot. A moment of
//! another boot has passed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Wall-clock time in milliseconds since 1970 (UTC). Shown to people, never compared by rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WallTime(pub i64);

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = chrono::DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
    }
}

impl TryFrom<String> for WallTime {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let time = chrono::DateTime::parse_from_rfc3339(&text)
            .map_err(|e| format!("{text:?} is not an RFC 3339 time: {e}"))?;
        Ok(Self(time.timestamp_millis()))
    }
}

impl From<WallTime> for String {
    fn from(wall: WallTime) -> Self {
        wall.to_string()
    }
}

impl WallTime {
    /// Returns the milliseconds since `earlier`; 0 when the clock ran backwards.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Returns `HH:MM`, UTC: the short form for a refusal.
    #[must_use]
    pub fn clock(self) -> String {
        let time = chrono::DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        time.format("%H:%MZ").to_string()
    }
}

/// The identity of one boot of the machine (`/proc/sys/kernel/random/boot_id`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// A moment on the clock that counts milliseconds since boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootTime {
    /// The boot to which the value belongs.
    pub boot: BootId,
    /// Milliseconds since that boot, suspend included.
    pub ms: u64,
}

impl BootTime {
    /// Returns this moment plus `ms`.
    #[must_use]
    pub fn plus(&self, ms: u64) -> Self {
        Self { boot: self.boot.clone(), ms: self.ms.saturating_add(ms) }
    }

    /// Whether `now` is at or past this moment; a moment of another boot has passed.
    #[must_use]
    pub fn has_passed(&self, now: &Self) -> bool {
        self.boot != now.boot || now.ms >= self.ms
    }

    /// Returns the milliseconds from `earlier` to this moment: 0 when it lies ahead, `u64::MAX` when it is of
    /// another boot.
    #[must_use]
    pub fn ms_since(&self, earlier: &Self) -> u64 {
        if self.boot == earlier.boot { self.ms.saturating_sub(earlier.ms) } else { u64::MAX }
    }

    /// Returns the milliseconds from `now` until this moment; 0 when it has passed.
    #[must_use]
    pub fn ms_until(&self, now: &Self) -> u64 {
        if self.boot == now.boot { self.ms.saturating_sub(now.ms) } else { 0 }
    }
}

/// The present moment on both clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time for people.
    pub wall: WallTime,
    /// The time for rules.
    pub boot: BootTime,
}

/// An interval within one boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Its first moment.
    pub from: BootTime,
    /// Its last moment.
    pub to: BootTime,
}

/// Parses a duration such as `90s`, `5m`, `1h`, `250ms` or `2d` into milliseconds.
///
/// # Errors
/// A text that says what was expected.
pub fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a duration; write 90s, 5m or 1h");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|ms| *ms <= 366 * 86_400_000).ok_or_else(wrong)
}

/// Returns a duration for people: `45s`, `4m 10s`, `2h 5m`, `3d 4h`.
#[must_use]
pub fn human(ms: u64) -> String {
    let s = ms / 1_000;
    let (big, small, units) = match s {
        0..60 => return format!("{s}s"),
        60..3_600 => (s / 60, s % 60, ("m", "s")),
        3_600..86_400 => (s / 3_600, s % 3_600 / 60, ("h", "m")),
        _ => (s / 86_400, s % 86_400 / 3_600, ("d", "h")),
    };
    if small == 0 { format!("{big}{}", units.0) } else { format!("{big}{} {small}{}", units.0, units.1) }
}

/// Returns a duration in its largest unit alone, for a narrow column: `45s`, `4m`, `2h`, `3d`.
#[must_use]
pub fn brief(ms: u64) -> String {
    human(ms).split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, ms: u64) -> BootTime {
        BootTime { boot: BootId(boot.to_owned()), ms }
    }

    #[test]
    fn a_moment_of_another_boot_has_passed() {
        assert!(moment("a", 10).has_passed(&moment("b", 0)));
        assert!(!moment("a", 10).has_passed(&moment("a", 9)));
        assert!(moment("a", 10).has_passed(&moment("a", 10)));
        assert_eq!(moment("a", 5).ms_since(&moment("a", 9)), 0);
        assert_eq!(moment("a", 5).ms_since(&moment("b", 1)), u64::MAX);
    }

    #[test]
    fn durations_are_read_and_written() {
        assert_eq!(parse_duration_ms("90s"), Ok(90_000));
        assert_eq!(parse_duration_ms("5m"), Ok(300_000));
        assert_eq!(parse_duration_ms("1h"), Ok(3_600_000));
        for wrong in ["", "5", "s", "-5s", "5 m", "1e3s", "99999999999999999999s", "9999999d"] {
            assert!(parse_duration_ms(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            [human(0), human(250_000), human(7_500_000), human(273_600_000)],
            ["0s", "4m 10s", "2h 5m", "3d 4h"]
        );
    }

    #[test]
    fn wall_time_is_rfc_3339_with_milliseconds() {
        let wall = WallTime(1_763_334_000_123);
        assert_eq!(wall.to_string(), "2025-11-16T23:00:00.123Z");
        assert_eq!(WallTime::try_from(wall.to_string()), Ok(wall));
        assert_eq!(WallTime(5).ms_since(WallTime(9)), 0);
    }
}
