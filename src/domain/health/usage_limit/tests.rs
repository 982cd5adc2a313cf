//! Tests of the texts in which clients and services report the end of a limit.

use crate::domain::health::usage_limit::*;
use proptest::prelude::*;

/// Two zones as they were in the autumn of 2026, and a machine in India.
fn offset(zone: Option<&str>, at: WallTime) -> Option<i32> {
    let change = |text: &str| WallTime::try_from(text.to_owned()).unwrap();
    match zone {
        None => Some(19_800),
        Some("America/New_York") if at < change("2026-11-01T06:00:00Z") => Some(-4 * 3_600),
        Some("America/New_York") => Some(-5 * 3_600),
        Some("Europe/Berlin") if at < change("2026-10-25T01:00:00Z") => Some(7_200),
        Some("Europe/Berlin") => Some(3_600),
        Some("Etc/GMT+5" | "America/Port-au-Prince") => Some(-5 * 3_600),
        Some(_) => None,
    }
}

fn read(words: &str, now: &str) -> Option<String> {
    let now = WallTime::try_from(now.to_owned()).unwrap();
    let end = end_of_limit(words, now, &offset)?;
    Some(end.to_string().replace(":00.000Z", ""))
}

/// A Tuesday; 13:00 in New York, 19:00 in Berlin, 22:30 on the machine.
const NOW: &str = "2026-10-06T17:00:00Z";

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (words, end) in table {
        assert_eq!(read(words, NOW).as_deref(), Some(*end), "{words}");
    }
}

#[test]
fn what_the_client_says_is_read() {
    check(&[
        ("5-hour limit reached \u{2219} resets 3pm (America/New_York)", "2026-10-06T19:00"),
        ("You've hit your session limit \u{b7} resets 3:30pm (America/New_York)", "2026-10-06T19:30"),
        ("resets 3:30\u{202f}PM (America/New_York)", "2026-10-06T19:30"),
        ("Your limit will reset at 3 PM (Europe/Berlin).", "2026-10-07T13:00"),
        ("You've hit your weekly limit \u{b7} resets Oct 9, 1pm (Europe/Berlin)", "2026-10-09T11:00"),
        ("resets Oct 9, 1:30pm (Europe/Berlin) \u{b7} /upgrade to go on", "2026-10-09T11:30"),
        ("resets Oct 9 at 1 PM (Europe/Berlin)", "2026-10-09T11:00"),
        ("resets Oct 9 (Europe/Berlin)", "2026-10-08T22:00"),
        ("resets 11pm", "2026-10-06T17:30"),
        ("resets at 3am", "2026-10-06T21:30"),
        ("resets 6:15pm (Etc/GMT+5)", "2026-10-06T23:15"),
        ("resets 6:15pm (America/Port-au-Prince)", "2026-10-06T23:15"),
        ("resets 6:15pm (UTC)", "2026-10-06T18:15"),
        ("usage limit reached|1791307200", "2026-10-06T17:20"),
        ("Now using credits \u{b7} Your session limit resets 12am (UTC)", "2026-10-07T00:00"),
        ("resets 12pm (UTC)", "2026-10-07T12:00"),
        ("You've hit your fast limit \u{b7} resets in 2h 15m", "2026-10-06T19:15"),
    ]);
    assert_eq!(
        read("resets Jan 2, 2027, 1pm (America/New_York)", "2026-12-30T20:00:00Z").as_deref(),
        Some("2027-01-02T18:00")
    );
}

#[test]
fn what_a_service_says_is_read() {
    check(&[
        ("try again in 30 minutes", "2026-10-06T17:30"),
        ("Please try again in a minute", "2026-10-06T17:01"),
        ("try again in 1 hour and 5 minutes.", "2026-10-06T18:05"),
        ("try again in 90s", "2026-10-06T17:01:30.000Z"),
        ("retry after 2h15m", "2026-10-06T19:15"),
        ("HTTP 429, retry-after: 3600", "2026-10-06T18:00"),
        ("{\"retry_after\":\"3600\"}", "2026-10-06T18:00"),
        ("Retry-After: Tue, 06 Oct 2026 18:28:00 GMT", "2026-10-06T18:28"),
        ("{\"type\":\"rate_limit\",\"resetsAt\":1791307200}", "2026-10-06T17:20"),
        ("{\"reset_at\":1791307200000}", "2026-10-06T17:20"),
        ("resets at 2026-10-06T23:00:00Z or so", "2026-10-06T23:00"),
        ("{\"resets_at\":\"2026-10-06T23:00:00.000Z\"}", "2026-10-06T23:00"),
        ("limited (2026-10-06T23:00:00+02:00)", "2026-10-06T21:00"),
        ("resets 2026-10-06 23:00", "2026-10-06T17:30"),
        ("resets 2026-10-06T21:00:00 UTC", "2026-10-06T21:00"),
        ("resets 2026-10-06T21:00:00-02:00", "2026-10-06T23:00"),
        ("until 21:00 UTC", "2026-10-06T21:00"),
        ("resets at midnight UTC", "2026-10-07T00:00"),
        ("resets tomorrow at 9 a.m. (UTC)", "2026-10-07T09:00"),
        ("resets Monday at 9:00 (UTC)", "2026-10-12T09:00"),
        ("resets Tuesday at 9:00 (UTC)", "2026-10-13T09:00"),
        ("resets Fri, Oct 9, 2pm (UTC)", "2026-10-09T14:00"),
        ("resets on 9 October 2026, 2pm (UTC)", "2026-10-09T14:00"),
    ]);
}

#[test]
fn a_time_that_has_passed_is_the_next_one() {
    for (words, now, end) in [
        ("resets 3pm (UTC)", "2026-10-06T14:59:59Z", "2026-10-06T15:00"),
        // Reported within that minute, and read a moment later.
        ("resets 3pm (UTC)", "2026-10-06T15:00:20Z", "2026-10-06T15:00"),
        ("resets 3pm (UTC)", "2026-10-06T15:06:00Z", "2026-10-07T15:00"),
        ("resets Jan 1, 1pm (UTC)", "2026-12-30T20:00:00Z", "2027-01-01T13:00"),
        ("resets Dec 31, 11pm (UTC)", "2027-01-01T02:00:00Z", "2026-12-31T23:00"),
        ("resets Feb 29, 1pm (UTC)", "2028-02-27T20:00:00Z", "2028-02-29T13:00"),
        // The night in which a clock is put back, and one in which it is put forward.
        ("resets 9am (Europe/Berlin)", "2026-10-24T22:00:00Z", "2026-10-25T08:00"),
        ("resets 9am (America/New_York)", "2026-11-01T04:00:00Z", "2026-11-01T14:00"),
        ("resets 3am (America/New_York)", "2026-11-01T04:00:00Z", "2026-11-01T08:00"),
    ] {
        assert_eq!(read(words, now).as_deref(), Some(end), "{words} at {now}");
    }
}

#[test]
fn what_cannot_be_is_unknown() {
    for words in [
        "",
        "try again later",
        "a|99",
        "usage limit reached|1760000000",
        "usage limit reached|99999999999",
        "resets Nov 6, 1pm (UTC)",
        "resets Feb 30, 1pm (UTC)",
        "resets Oct 6, 2025, 1pm (UTC)",
        "resets 2026-13-06 18:00 (UTC)",
        "resets 3pm (Mars/Olympus)",
        "resets 3pm (../../etc/passwd)",
        "resets 13pm (UTC)",
        "resets 0am (UTC)",
        "resets 25:00 (UTC)",
        "resets 3:7pm (UTC)",
        "resets at 3",
        "resets next month",
        "try again in 9 days",
        "try again in 999999999 days",
        "retry-after: 99999999",
        "retry-after: 1.5",
        "it was reset for you",
        "request 1791307200 failed",
        "at 3pm the world was good",
    ] {
        assert_eq!(read(words, NOW), None, "{words}");
    }
}

#[test]
fn the_first_end_that_can_be_is_taken() {
    check(&[
        ("retry, retry, it resets Nov 6; your session limit resets 6pm (UTC)", "2026-10-06T18:00"),
        ("at 2026-10-06T16:59:00Z: limited, resets 6pm (UTC)", "2026-10-06T18:00"),
    ]);
}

proptest! {
    #[test]
    fn no_words_make_it_panic(words in ".{0,80}", now in any::<i64>(), seconds in any::<i32>()) {
        let _ = end_of_limit(&words, WallTime(now), &|_, _| Some(seconds));
    }

    #[test]
    fn no_words_like_theirs_make_it_panic(
        words in "(resets?|again|retry-after|\\||until)( |:|, |\\(|\\)|at |in |T|-|[0-9]{1,14}|am|p\\.m\\.|Oct|Mon|Feb|tomorrow|days|h|noon|UTC|a/b){0,9}",
        now in prop_oneof![any::<i64>(), 0..4_000_000_000_000_i64],
        seconds in prop_oneof![any::<i32>(), -50_000..50_000],
    ) {
        if let Some(end) = end_of_limit(&words, WallTime(now), &|_, _| Some(seconds)) {
            prop_assert!(end.0 >= now.saturating_sub(PAST_MAX_MS) && end.0 <= now.saturating_add(AHEAD_MAX_MS));
        }
    }
}
