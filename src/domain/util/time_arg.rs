//! Times on the command line (`--since`), and times shown with their day. All in UTC.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::domain::util::time::{WallTime, parse_duration_ms};

/// Returns a moment for a list that may span midnight: `2026-11-24 16:05Z`.
#[must_use]
pub fn minute(wall: WallTime) -> String {
    DateTime::from_timestamp_millis(wall.0).unwrap_or_default().format("%Y-%m-%d %H:%MZ").to_string()
}

/// Parses a moment: a duration before now (`8h`), the last occurrence of a time (`16:05`), the beginning of a
/// day (`2026-11-24`), a moment as [`minute`] shows it, or RFC 3339.
///
/// # Errors
/// A text that says what was expected.
pub fn parse(text: &str, now: WallTime) -> Result<WallTime, String> {
    let text = text.trim();
    if let Ok(ms) = parse_duration_ms(text) {
        return Ok(WallTime(now.0.saturating_sub_unsigned(ms)));
    }
    let found = clock_time(text, now).or_else(|| day(text)).or_else(|| moment(text)).ok_or_else(|| {
        format!("{text:?} is not a time; write 8h, 16:05, 2026-11-24 or 2026-11-24T16:05Z (UTC)")
    })?;
    if found > now {
        return Err(format!("{text:?} is in the future: it is {} now", minute(now)));
    }
    Ok(found)
}

/// Parses `16:05` or `16:05Z`, today or yesterday.
fn clock_time(text: &str, now: WallTime) -> Option<WallTime> {
    let time = NaiveTime::parse_from_str(text.trim_end_matches(['Z', 'z']), "%H:%M").ok()?;
    let today = DateTime::from_timestamp_millis(now.0)?.date_naive();
    let at = |day: NaiveDate| wall(day.and_time(time));
    let is_today = at(today) <= now;
    if is_today { Some(at(today)) } else { Some(at(today.checked_sub_days(Days::new(1))?)) }
}

fn day(text: &str) -> Option<WallTime> {
    Some(wall(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN)))
}

/// Parses RFC 3339, also without the seconds or with a space in the middle, as people copy it.
fn moment(text: &str) -> Option<WallTime> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(WallTime(time.timestamp_millis()));
    }
    let plain = text.trim_end_matches(['Z', 'z']).replace(['T', 't'], " ");
    let forms = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"];
    forms.iter().find_map(|form| NaiveDateTime::parse_from_str(&plain, form).ok()).map(wall)
}

fn wall(time: NaiveDateTime) -> WallTime {
    WallTime(DateTime::<Utc>::from_naive_utc_and_offset(time, Utc).timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WallTime {
        WallTime::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn every_way_to_name_a_moment() {
        let now = at("2026-11-24T16:05:30Z");
        for (text, meant) in [
            ("8h", "2026-11-24T08:05:30Z"),
            ("0s", "2026-11-24T16:05:30Z"),
            ("16:05", "2026-11-24T16:05:00Z"),
            ("16:05Z", "2026-11-24T16:05:00Z"),
            ("16:06", "2026-11-23T16:06:00Z"),
            ("00:00", "2026-11-24T00:00:00Z"),
            ("9:30", "2026-11-24T09:30:00Z"),
            ("2026-11-24", "2026-11-24T00:00:00Z"),
            ("2026-02-28", "2026-02-28T00:00:00Z"),
            ("2026-11-24T16:05:00+01:00", "2026-11-24T15:05:00Z"),
            ("2026-11-24T16:05:00.250Z", "2026-11-24T16:05:00.250Z"),
            ("2026-11-24 16:05Z", "2026-11-24T16:05:00Z"),
            ("2026-11-24T16:05", "2026-11-24T16:05:00Z"),
            (" 8h ", "2026-11-24T08:05:30Z"),
        ] {
            assert_eq!(parse(text, now), Ok(at(meant)), "{text}");
        }
        for wrong in
            ["", "8", "24:00", "16:60", "16", "2026-02-30", "2026-13-01", "yesterday", "-8h", "\x1b[2J"]
        {
            let said = parse(wrong, now).unwrap_err();
            assert!(!said.chars().any(char::is_control), "{said}");
        }
        let early = at("2026-11-24T00:10:00Z");
        assert_eq!(parse("23:50", early), Ok(at("2026-11-23T23:50:00Z")), "over midnight");
    }

    #[test]
    fn what_is_still_to_come_has_no_records() {
        let now = at("2026-11-24T16:05:30Z");
        for future in ["2026-11-25", "2026-11-24T16:05:31Z", "9999-12-31"] {
            assert!(parse(future, now).unwrap_err().contains("2026-11-24 16:05Z"), "{future}");
        }
    }

    #[test]
    fn a_moment_that_is_shown_can_be_given_back() {
        let now = at("2026-11-24T16:05:30Z");
        assert_eq!(minute(now), "2026-11-24 16:05Z");
        assert_eq!(parse(&minute(now), now), Ok(at("2026-11-24T16:05:00Z")));
    }
}
