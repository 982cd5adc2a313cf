//! Time zones: the offsets in the files of the tz database, read only when needed.

use tz::{TimeZone, timezone::TimeZoneSettings};

use crate::domain::util::time::WallTime;

/// Largest zone file that is read, in bytes; the largest existing ones have 4 KB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest zone name that is looked up, in characters.
const NAME_CHARS_MAX: usize = 60;

/// Returns the seconds that a zone is ahead of UTC at a moment: of the named zone, or of the local zone,
/// which is `variable` (the value of `TZ`) or `/etc/localtime`. `None`: the zone does not exist here.
#[must_use]
pub fn offset(zone: Option<&str>, variable: Option<&str>, at: WallTime) -> Option<i32> {
    let files = TimeZoneSettings::new(TimeZoneSettings::DEFAULT_DIRECTORIES, |path| Ok(read(path)?));
    let zone = match zone {
        // The colon restricts it to files.
        Some(name) if is_name(name) => files.parse_posix_tz(&format!(":{name}")).ok()?,
        Some(_) => return None,
        None => local(&files, variable)?,
    };
    let found = zone.find_local_time_type(at.0.div_euclid(1_000)).ok()?;
    Some(found.ut_offset())
}

fn local(files: &TimeZoneSettings<'_>, variable: Option<&str>) -> Option<TimeZone> {
    match variable {
        Some(variable) => files.parse_posix_tz(variable).ok(),
        // Without the file the local time is UTC, as in the C library.
        None => Some(files.parse_local().unwrap_or_else(|_| TimeZone::utc())),
    }
}

/// Returns whether the text is a plausible zone name, which cannot lead to another file: it is user input.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/');
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    begins && name.len() <= NAME_CHARS_MAX && name.chars().all(plain)
}

fn read(path: &str) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: Option<&str>, variable: Option<&str>, time: &str) -> Option<i32> {
        offset(zone, variable, WallTime::try_from(time.to_owned()).unwrap())
    }

    #[test]
    fn a_zone_is_known_by_its_name_and_as_the_machines_own() {
        // A far future date, for which newer files have a rule and no list.
        for (name, time, hours) in [
            ("America/New_York", "2026-07-01T00:00:00Z", -4),
            ("America/New_York", "2026-12-01T00:00:00Z", -5),
            ("Europe/Berlin", "2061-07-01T00:00:00Z", 2),
            ("America/Port-au-Prince", "2026-12-01T00:00:00Z", -5),
            ("Etc/GMT+5", "2026-12-01T00:00:00Z", -5),
        ] {
            assert_eq!(at(Some(name), None, time), Some(hours * 3_600), "{name}: is tzdata installed?");
            assert_eq!(at(None, Some(name), time), Some(hours * 3_600), "{name}");
        }
        assert_eq!(at(None, Some("IST-5:30"), "2026-12-01T00:00:00Z"), Some(19_800));
        assert_eq!(at(None, Some(":Europe/Berlin"), "2026-12-01T00:00:00Z"), Some(3_600));
        assert!(at(None, None, "2026-12-01T00:00:00Z").is_some());
    }

    #[test]
    fn a_name_leads_to_no_other_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::copy("/usr/share/zoneinfo/Europe/Berlin", file.path()).unwrap();
        let up = format!("Europe/../../../..{}", file.path().display());
        assert!(std::path::Path::new("/usr/share/zoneinfo").join(&up).is_file());
        for name in [up.as_str(), file.path().to_str().unwrap(), "", "Mars/Olympus", "Europe", "localtime/"] {
            assert_eq!(at(Some(name), None, "2026-12-01T00:00:00Z"), None, "{name}");
        }
        assert_eq!(at(None, Some("no zone"), "2026-12-01T00:00:00Z"), None);
    }
}
