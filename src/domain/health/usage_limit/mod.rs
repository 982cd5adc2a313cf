//! Reads when a usage limit ends from the text of a client or its service.
//!
//! Seen in Claude Code 2.1.330: `You've hit your session limit · resets 3:30pm (America/New_York)`,
//! with the date before it when that is more than a day ahead (`resets Oct 6, 1pm (…)`, with the year
//! when it is another one); older ones say `usage limit reached|1760000000`. Services say
//! `retry-after: 30`, `try again in 2h 15m`, or an RFC 3339 date.
//!
//! Invariants, each with a test of the same name:
//! * `no_words_make_it_panic`
//! * `what_cannot_be_is_unknown`: an end in the past or far ahead is none. The role is then tried again
//!   after a while, which is better than waiting for a misread time.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Weekday};

mod words;

use crate::domain::health::usage_limit::words::{is_utc, month, tokens, unit_ms, weekday};

use crate::domain::util::time::WallTime;

/// Offset of a zone from UTC at a moment, in seconds: of the named zone, or of the machine's own.
/// `None`: there is no such zone.
pub type ZoneOffset<'a> = &'a dyn Fn(Option<&str>, WallTime) -> Option<i32>;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Longest time to the end of a limit: a week, and a day for the difference of zones.
const AHEAD_MAX_MS: i64 = 8 * DAY_MS;
/// Longest time since the end of a limit: its text may be from before a suspend, or by another clock.
const PAST_MAX_MS: i64 = DAY_MS;
/// A time of day that passed less than this ago is today's: such a limit ends within seconds.
const JUST_PASSED_MS: i64 = 5 * MINUTE_MS;
/// Longest text read, in characters, and most words between `resets` and the time.
const READ_MAX: usize = 4_000;
const BETWEEN_MAX: usize = 6;

/// Returns when the limit in this text ends; `None` if the text does not say so or the time is impossible.
#[must_use]
pub fn end_of_limit(words: &str, now: WallTime, offset: ZoneOffset<'_>) -> Option<WallTime> {
    let words: String = words.chars().take(READ_MAX).collect();
    let tokens = tokens(&words);
    let starts = (0..tokens.len()).filter(|at| is_start(&tokens, *at)).map(|at| at + 1);
    let read = |at| Reader { tokens: &tokens, at, now, offset }.end();
    let can_be = |end: &WallTime| {
        (now.0.saturating_sub(PAST_MAX_MS)..=now.0.saturating_add(AHEAD_MAX_MS)).contains(&end.0)
    };
    starts.filter_map(read).find(can_be).or_else(|| dated(&words).find(can_be))
}

/// Whether a time is expected after this word.
fn is_start(tokens: &[&str], at: usize) -> bool {
    let word = tokens[at].to_ascii_lowercase();
    word.starts_with("reset") || ["again", "retry", "until", "|"].contains(&word.as_str())
}

/// Returns the dates with a zone anywhere in the text.
fn dated(words: &str) -> impl Iterator<Item = WallTime> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '+' | '-' | '.');
    words.split(move |c| !inside(c)).filter_map(|word| {
        let word = word.trim_matches([':', '+', '-', '.']);
        WallTime::try_from(word.to_owned()).ok()
    })
}

/// A reader at a position in the tokens.
#[derive(Clone, Copy)]
struct Reader<'a> {
    tokens: &'a [&'a str],
    at: usize,
    now: WallTime,
    offset: ZoneOffset<'a>,
}

/// A zone, as written after a time.
enum Zone {
    Local,
    Named(String),
    Fixed(i32),
}

impl Reader<'_> {
    /// Reads the first time, a few words on at most.
    fn end(mut self) -> Option<WallTime> {
        for _ in 0..BETWEEN_MAX {
            if let Some(end) = self.day_and_time() {
                return end;
            }
            if let Some(end) = self.duration().or_else(|| self.seconds()) {
                return Some(end);
            }
            let is_number = self.token()?.chars().all(|c| c.is_ascii_digit());
            if is_number && self.skip(&[":", "."]) {
                // Text that looks like a time but is none is not read again from its middle.
                self.token()?;
            }
        }
        None
    }

    fn peek(&self) -> &str {
        self.tokens.get(self.at).copied().unwrap_or_default()
    }

    fn token(&mut self) -> Option<&str> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    /// Skips the next token if it is one of these.
    fn skip(&mut self, any: &[&str]) -> bool {
        let is_one = any.iter().any(|word| self.peek().eq_ignore_ascii_case(word));
        self.at += usize::from(is_one);
        is_one
    }

    /// Reads the next token if it is a number of at most so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let token = self.peek();
        let number = token.parse().ok().filter(|_| token.len() <= digits && token.is_ascii())?;
        self.at += 1;
        Some(number)
    }

    /// Reads a duration: `2h 15m`, `1 hour and 5 minutes`, `30 s`.
    fn duration(mut self) -> Option<WallTime> {
        let mut ms: Option<i64> = None;
        loop {
            let mut next = self;
            next.skip(&["and", ","]);
            let number = if next.skip(&["a", "an"]) { Some(1) } else { next.number(9) };
            let unit_ms = number.and_then(|_| unit_ms(next.token()?));
            let (Some(number), Some(unit_ms)) = (number, unit_ms) else { break };
            ms = Some(ms.unwrap_or(0).checked_add(number.checked_mul(unit_ms)?)?);
            self = next;
        }
        ms.and_then(|ms| self.now.0.checked_add(ms)).map(WallTime)
    }

    /// Reads a bare number: seconds or milliseconds since 1970, or seconds from now where these are usual.
    fn seconds(mut self) -> Option<WallTime> {
        let mut before = self.at;
        let number = self.number(13)?;
        match number {
            1_000_000_000..100_000_000_000 => Some(WallTime(number * SECOND_MS)),
            1_000_000_000_000.. => Some(WallTime(number)),
            _ => {
                // `retry-after: 30`, also as a field of JSON.
                while before > 0 && !self.tokens[before - 1].chars().all(char::is_alphabetic) {
                    before -= 1;
                }
                let after = before > 0 && self.tokens[before - 1].eq_ignore_ascii_case("after");
                let whole = self.peek() != "." && self.peek() != ":";
                (after && whole).then(|| WallTime(self.now.0.saturating_add(number * SECOND_MS)))
            }
        }
    }

    /// Reads a date, a day, a time of day, or a day and a time, with a zone. Outer `None`: none of them is
    /// here; inner: there is no such time, and no later text is read.
    fn day_and_time(mut self) -> Option<Option<WallTime>> {
        let day = self.day();
        if day.is_some() {
            self.skip(&[","]);
            self.skip(&["at", "t"]);
        }
        let time = self.time_of_day();
        if day.is_none() && time.is_none() {
            return None;
        }
        let zone = self.zone();
        Some(self.moment(day, time, &zone))
    }

    fn moment(&self, day: Option<Day>, time: Option<NaiveTime>, zone: &Zone) -> Option<WallTime> {
        let today = self.local(self.now, zone)?;
        let earliest = today.checked_sub_signed(TimeDelta::milliseconds(JUST_PASSED_MS))?;
        let time = time.unwrap_or(NaiveTime::MIN);
        let ahead = |days| today.date().checked_add_days(Days::new(days));
        let date = match day {
            None if today.date().and_time(time) < earliest => ahead(1)?,
            None => today.date(),
            Some(Day::Date(date)) => date?,
            Some(Day::Ahead(days)) => ahead(days)?,
            Some(Day::Yearly { month, day }) => {
                let dates = (-1..=1).filter_map(|y| NaiveDate::from_ymd_opt(today.year() + y, month, day));
                let yesterday = today.date().pred_opt()?;
                dates.into_iter().find(|date| *date >= yesterday)?
            }
            Some(Day::Weekly(weekday)) => {
                let days = (7 + weekday.num_days_from_monday() - today.weekday().num_days_from_monday()) % 7;
                let date = ahead(days.into())?;
                if date.and_time(time) < earliest { ahead(7)? } else { date }
            }
        };
        self.wall(date.and_time(time), zone)
    }

    fn day(&mut self) -> Option<Day> {
        let mut next = *self;
        let day = if let Some(weekday) = weekday(next.peek()) {
            next.at += 1;
            next.skip(&[","]);
            let mut behind = next;
            match behind.date() {
                Some(date) => {
                    next = behind;
                    date
                }
                None => Day::Weekly(weekday),
            }
        } else if next.skip(&["tomorrow"]) {
            Day::Ahead(1)
        } else if next.skip(&["today"]) {
            Day::Ahead(0)
        } else {
            next.date()?
        };
        *self = next;
        Some(day)
    }

    /// Reads a date: `2026-10-06`, `Oct 6`, `October 6th, 2026`, `6 Oct 2026`.
    fn date(&mut self) -> Option<Day> {
        if self.peek().len() == 4
            && let Some(year) = self.number(4)
        {
            self.skip(&["-"]).then_some(())?;
            let month = self.number(2)?;
            self.skip(&["-"]).then_some(())?;
            let day = self.number(2)?;
            return Some(date(year, u32::try_from(month).ok()?, day));
        }
        let (month, day) = match month(self.peek()) {
            Some(month) => {
                self.at += 1;
                self.skip(&["."]);
                (month, self.number(2)?)
            }
            None => {
                let day = self.number(2)?;
                let month = month(self.peek())?;
                self.at += 1;
                (month, day)
            }
        };
        self.skip(&["st", "nd", "rd", "th"]);
        let mut behind = *self;
        behind.skip(&[","]);
        let is_year = behind.peek().len() == 4;
        if let Some(year) = behind.number(4).filter(|_| is_year) {
            *self = behind;
            return Some(date(year, month, day));
        }
        Some(Day::Yearly { month, day: u32::try_from(day).ok()? })
    }

    /// Reads a time of day: `3pm`, `3:30 PM`, `3 p.m.`, `15:30`, `15:30:00`, `noon`.
    fn time_of_day(&mut self) -> Option<NaiveTime> {
        let mut next = *self;
        let time = if next.skip(&["midnight"]) {
            NaiveTime::from_hms_opt(0, 0, 0)
        } else if next.skip(&["noon"]) {
            NaiveTime::from_hms_opt(12, 0, 0)
        } else {
            let hour = u32::try_from(next.number(2)?).ok()?;
            let minute = next.part()?;
            let second = next.part()?;
            if minute.is_some() && next.peek() == "." {
                next.at += 1;
                // Fractions of a second are ignored.
                next.number(9)?;
            }
            let hour = match next.half_of_day() {
                Some(half) => (1..=12).contains(&hour).then_some(hour % 12 + half)?,
                None => minute.map(|_| hour)?,
            };
            NaiveTime::from_hms_opt(hour, minute.unwrap_or(0), second.unwrap_or(0))
        }?;
        *self = next;
        Some(time)
    }

    /// Reads minutes or seconds after a colon; outer `None` if it is neither.
    fn part(&mut self) -> Option<Option<u32>> {
        if !self.skip(&[":"]) {
            return Some(None);
        }
        let has_two = self.peek().len() == 2;
        let part = self.number(2).filter(|_| has_two)?;
        u32::try_from(part).ok().map(Some)
    }

    /// Reads `am` or `pm`; returns the hours that it adds.
    fn half_of_day(&mut self) -> Option<u32> {
        let mut next = *self;
        let is_spelled = |next: &mut Self, letter| {
            next.skip(&[letter]) && { next.skip(&["."]) } && next.skip(&["m"]) && { next.skip(&["."]) }
        };
        let half = if next.skip(&["am"]) || is_spelled(&mut next, "a") {
            0
        } else {
            next = *self;
            (next.skip(&["pm"]) || is_spelled(&mut next, "p")).then_some(12)?
        };
        *self = next;
        Some(half)
    }

    /// Reads a zone: `(America/New_York)`, `UTC`, `Z`, `+02:00`.
    fn zone(&mut self) -> Zone {
        if self.skip(&["("]) {
            let mut name = String::new();
            while let Some(token) = self.token().filter(|token| *token != ")") {
                name.push_str(token);
            }
            return if is_utc(&name) { Zone::Fixed(0) } else { Zone::Named(name) };
        }
        if self.skip(&["z", "utc", "gmt"]) {
            return Zone::Fixed(0);
        }
        let sign = match self.peek() {
            "+" => 1,
            "-" => -1,
            _ => return Zone::Local,
        };
        let mut next = *self;
        next.at += 1;
        let parts = (next.number(2), next.part().flatten());
        match parts {
            (Some(hours @ 0..24), Some(minutes @ 0..60)) => {
                *self = next;
                let seconds = hours * 3_600 + i64::from(minutes) * 60;
                Zone::Fixed(sign * i32::try_from(seconds).unwrap_or(0))
            }
            (Some(_) | None, Some(_) | None) => Zone::Local,
        }
    }

    fn offset_ms(&self, zone: &Zone, at: WallTime) -> Option<i64> {
        let seconds = match zone {
            Zone::Local => (self.offset)(None, at)?,
            Zone::Named(name) => (self.offset)(Some(name), at)?,
            Zone::Fixed(seconds) => *seconds,
        };
        Some(i64::from(seconds) * SECOND_MS)
    }

    /// Returns the local time of a zone at a moment.
    fn local(&self, at: WallTime, zone: &Zone) -> Option<NaiveDateTime> {
        let ms = at.0.checked_add(self.offset_ms(zone, at)?)?;
        DateTime::from_timestamp_millis(ms).map(|time| time.naive_utc())
    }

    /// Returns the moment of a local time in a zone. If clocks skip that time, it is the moment of the
    /// change, within an hour.
    fn wall(&self, shown: NaiveDateTime, zone: &Zone) -> Option<WallTime> {
        let shown_ms = shown.and_utc().timestamp_millis();
        let near = WallTime(shown_ms.checked_sub(self.offset_ms(zone, WallTime(shown_ms))?)?);
        Some(WallTime(shown_ms.checked_sub(self.offset_ms(zone, near)?)?))
    }
}

/// A day, as precisely as the text gives it.
enum Day {
    /// `None`: there is no such date.
    Date(Option<NaiveDate>),
    Ahead(u64),
    Yearly {
        month: u32,
        day: u32,
    },
    Weekly(Weekday),
}

fn date(year: i64, month: u32, day: i64) -> Day {
    let year = i32::try_from(year).ok();
    let day = u32::try_from(day).ok();
    Day::Date(year.zip(day).and_then(|(year, day)| NaiveDate::from_ymd_opt(year, month, day)))
}

#[cfg(test)]
mod tests;
