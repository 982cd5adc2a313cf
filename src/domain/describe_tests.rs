//! Tests of descriptions: each event once, with any text in it.

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::record::Record;
use crate::domain::describe::*;
use crate::domain::event::Event;
use crate::domain::event::samples::*;
use crate::domain::event::tags;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::describe::reason;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::util::sanitize;
use crate::domain::util::time::WallTime;

#[test]
fn what_is_told_of_health_and_work() {
    let told: Vec<String> = of_health("x").into_iter().map(|e| describe(&record(e, &dev("B")))).collect();
    assert_eq!(
        told,
        [
            "x with Dev-A",
            "Dev-A",
            "Dev-A: it was ended by signal 9; it held the write lock (x); it was number 2 in the queue; its open tasks: T4; it is not restarted: x",
            "Dev-A, attempt 2 (it ended with 3)",
            "Dev-A runs again (attempt 2)",
            "Dev-A, attempt 2: x; it is tried again",
            "Dev-A: x",
            "Dev-A",
            "Dev-A until 00:00Z (the limit's end is not known)",
            "Dev-A",
            "T4 to Dev-A: x",
            "T4 by Dev-A: x",
            "T4 of Dev-A: x (x)",
            "T4 of Dev-A: x (x)",
            "T4 from Dev-A to Dev-D: x (x)",
            "T4, T5 of Dev-A: x",
        ]
    );
}

fn record(event: Event, by: &Actor) -> Record {
    Record::chain(42, WallTime(1_795_536_300_000), by, event, "")
}

#[test]
fn every_event_is_told_in_one_safe_line() {
    for event in all(HOSTILE) {
        for by in [dev("A"), Actor::User] {
            let record = record(event.clone(), &by);
            let line = line(&record);
            assert!(!line.chars().any(sanitize::is_unsafe), "{line:?}");
            assert!(line.starts_with("42 2026-11-24 "), "{line}");
            assert!(line.contains(&format!("{by} {}", event.tag())), "{line}");
        }
    }
}

#[test]
fn the_list_of_tags_is_whole() {
    let mut known: Vec<&str> = all("x").iter().map(Event::tag).collect();
    known.sort_unstable();
    assert_eq!(known, tags());
    for event in all("x") {
        assert_eq!(serde_json::to_value(&event).unwrap()["event"], event.tag());
    }
    // The tags that serde knows are all tags.
    let said = serde_json::from_str::<Event>(r#"{"event":"?"}"#).unwrap_err().to_string();
    assert_eq!(said.matches('`').count(), 2 * (tags().len() + 1), "{said}");
}

#[test]
fn what_is_told_of_the_lock() {
    let by_its_own = |event: &Event| describe(&record(event.clone(), &dev("A")));
    let by_another = |event: &Event| describe(&record(event.clone(), &dev("B")));
    let mut told: Vec<(String, String)> = Vec::new();
    for event in of_the_lock("x") {
        told.push((by_its_own(&event), by_another(&event)));
    }
    let told: Vec<(&str, &str)> = told.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(
        told,
        [
            ("waits for src/a.rs, NORMAL (x)", "Dev-A waits for src/a.rs, NORMAL (x)"),
            ("WL-0003 for src/a.rs (x)", "WL-0003 to Dev-A for src/a.rs (x)"),
            ("x until 00:00Z for all files", "x until 00:00Z for all files"),
            ("x (taken away: x)", "x of Dev-A (taken away: x)"),
            ("reserved for Dev-A until 00:01Z", "reserved for Dev-A until 00:01Z"),
            ("Dev-A did not take it up (2)", "Dev-A did not take it up (2)"),
            ("of Dev-A under WL-0003 (its process is gone)", "of Dev-A under WL-0003 (its process is gone)"),
            ("of Dev-A under WL-0003: x", "of Dev-A under WL-0003: x"),
            (
                "x 2 files of Dev-A: cmw-rescue show x; not saved: x, x, x and 2 more; unstaged: x, x, x and 2 more",
                "x 2 files of Dev-A: cmw-rescue show x; not saved: x, x, x and 2 more; unstaged: x, x, x and 2 more"
            ),
            ("of Dev-A under WL-0003: x", "of Dev-A under WL-0003: x"),
            (
                "lost its place in the queue: nothing was heard of it for too long",
                "Dev-A lost its place in the queue: nothing was heard of it for too long"
            ),
            ("x: x", "Dev-A x: x"),
            (
                "x x on x, 5 files, NOT CLAIMED: x, x, x and 2 more, AFTER THE LEASE WAS OVER",
                "x Dev-A x on x, 5 files, NOT CLAIMED: x, x, x and 2 more, AFTER THE LEASE WAS OVER"
            ),
        ]
    );
}

#[test]
fn a_record_concerns_its_actor_and_its_subject() {
    for event in all("x") {
        let by_b = record(event.clone(), &dev("B"));
        assert!(by_b.concerns(&dev("B")));
        assert!(!by_b.concerns(&dev("C")), "{}", event.tag());
        let names_a = serde_json::to_string(&event).unwrap().contains("\"Dev-A\"");
        let is_policy = matches!(
            event,
            Event::Policy(PolicyEvent::PolicySet { .. })
                | Event::Policy(PolicyEvent::PolicyRestored { .. })
                | Event::Policy(PolicyEvent::HooksAdopted { .. })
                | Event::Audit(AuditEvent::Checkpoint { .. })
        );
        assert_eq!(by_b.concerns(&dev("A")), names_a && !is_policy, "{}", event.tag());
    }
}

#[test]
fn the_same_refusal_again_is_the_same() {
    for (why, kind) in [
        ("Dev-A has the write lock for \"tests\" since 16:05Z (4m left)", "Dev-A has the write lock"),
        ("Dev-A has the write lock since 16:05Z (its lease has run out)", "Dev-A has the write lock"),
        ("User paused you since 16:05Z: lunch", "User paused you"),
        (
            "the write lock is reserved for Dev-B, who waited for it, for 20s",
            "the write lock is reserved for Dev-B, who waited for it",
        ),
        (
            "committing needs the write lock, and it is free",
            "committing needs the write lock, and it is free",
        ),
        ("", ""),
    ] {
        assert_eq!(reason(why), kind);
    }
    assert!(!reason(HOSTILE).chars().any(sanitize::is_unsafe));
}
