//! The words used in times.

use chrono::Weekday;

/// Splits a text into runs of digits, runs of letters, and single signs.
pub(crate) fn tokens(words: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        c if c.is_ascii_digit() => 0,
        c if c.is_alphabetic() => 1,
        c if c.is_whitespace() => 2,
        _ => 3,
    };
    let mut tokens = Vec::new();
    let mut rest = words;
    while let Some(first) = rest.chars().next() {
        let of_kind = |c: char| kind(c) == kind(first);
        let len = match kind(first) {
            3 => first.len_utf8(),
            _ => rest.find(|c| !of_kind(c)).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(len);
        if kind(first) != 2 {
            tokens.push(token);
        }
        rest = behind;
    }
    tokens
}

/// Whether a zone's name means UTC; no file is needed for that.
pub(crate) fn is_utc(zone: &str) -> bool {
    ["utc", "gmt", "z", "etc/utc"].iter().any(|name| zone.eq_ignore_ascii_case(name))
}

/// Returns the number of a month, by its name or the beginning of it.
pub(crate) fn month(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let at = MONTHS.iter().position(|name| begins(name, word))?;
    u32::try_from(at + 1).ok()
}

/// Returns a day of the week, by its name or the beginning of it.
pub(crate) fn weekday(word: &str) -> Option<Weekday> {
    const WEEK: [(&str, Weekday); 7] = [
        ("monday", Weekday::Mon),
        ("tuesday", Weekday::Tue),
        ("wednesday", Weekday::Wed),
        ("thursday", Weekday::Thu),
        ("friday", Weekday::Fri),
        ("saturday", Weekday::Sat),
        ("sunday", Weekday::Sun),
    ];
    WEEK.iter().find(|(name, _)| begins(name, word)).map(|(_, day)| *day)
}

/// Whether a word is this name, or its first three letters or more.
fn begins(name: &str, word: &str) -> bool {
    word.len() >= 3 && name.starts_with(word.to_ascii_lowercase().as_str())
}

/// Returns a unit of time in milliseconds.
pub(crate) fn unit_ms(word: &str) -> Option<i64> {
    let word = word.to_ascii_lowercase();
    match word.as_str() {
        "ms" => Some(1),
        "s" | "sec" | "secs" | "second" | "seconds" => Some(1_000),
        "m" | "min" | "mins" | "minute" | "minutes" => Some(60_000),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some(3_600_000),
        "d" | "day" | "days" => Some(86_400_000),
        _ => None,
    }
}
