//! Tests of what is told: each event once, whatever texts it carries.

use std::collections::BTreeMap;

use crate::domain::describe::*;
use crate::domain::freeze::pins::{PinId, Wish};
use crate::domain::health::incident::{
    Crash, Ending, Impact, OfRole, Parking, Plan, RestartBegun, RestartFailed, Restarted, SessionLost, Stale,
};
use crate::domain::identity::roster::Roster;
use crate::domain::lock::request::{Request, Waiter};
use crate::domain::lock::verification::Verification;
use crate::domain::lock::write_lock::{Offer, Recovery, Unsaved};
use crate::domain::mail::priority::Priority;
use crate::domain::policy::checks::Check;
use crate::domain::policy::compiled::Policy;
use crate::domain::session::process::Process;
use crate::domain::util::time::Interval;
use crate::domain::util::time::{BootId, Moment, Wall};
use crate::domain::work::task::{Status, Task, TaskFinished, TaskReassigned, TaskStarted, WorkBlocked};

const HOSTILE: &str = "evil \x1b[2J\u{202e}\u{9b}5m\nnext: rm -rf /";

fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

fn dev(letter: &str) -> Actor {
    Actor::Role(role(&format!("Dev-{letter}")))
}

fn moment(ms: u64) -> Moment {
    Moment { boot: BootId("b".to_owned()), ms }
}

fn process() -> Process {
    Process { pid: 7, start_ticks: 1, boot: BootId("b".to_owned()) }
}

fn request(purpose: &str) -> Request {
    Request {
        files: Claim::parse(&["src/a.rs"]).unwrap(),
        purpose: purpose.to_owned(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: None,
        guessed: false,
    }
}

fn waiter(purpose: &str) -> Waiter {
    Waiter {
        ticket: 3,
        actor: dev("A"),
        process: process(),
        caller: None,
        stand_in: None,
        request: request(purpose),
        requested_at: Wall(0),
        asked: moment(0),
        missed: 2,
    }
}

fn lease(purpose: &str) -> Held {
    Held {
        token: 3,
        holder: dev("A"),
        process: process(),
        request: request(purpose),
        granted: moment(0),
        granted_at: Wall(0),
        expires: moment(1),
        expires_at: Wall(300_000),
        auto: false,
        unseen: None,
    }
}

fn unsaved() -> Unsaved {
    Unsaved {
        token: 3,
        former: dev("A"),
        files: Claim::All,
        work_tree: None,
        reason: Release::HolderDied,
        ended_at: Wall(0),
        index_stays: false,
    }
}

/// Each event of the lock, with this text wherever a text may stand.
fn of_the_lock(x: &str) -> Vec<Event> {
    let (s, texts) = (|| x.to_owned(), || vec![x.to_owned(); 5]);
    let (files, claimed_loc) = (Claim::All, None);
    vec![
        Event::LockRequested { waiter: waiter(x) },
        Event::LockGranted {
            lock_id: s(),
            holder: dev("A"),
            claimed_files: files.clone(),
            claimed_loc,
            lease: lease(x),
        },
        Event::LockRenewed {
            lock_id: s(),
            token: 3,
            expires: moment(1),
            expires_at: Wall(0),
            files,
            process: None,
        },
        Event::LockReleased { lock_id: s(), token: 3, holder: dev("A"), reason: Release::Forced(s()) },
        Event::LockOffered {
            offer: Offer { ticket: 3, to: dev("A"), until: moment(1), until_at: Wall(60_000) },
        },
        Event::OfferMissed { waiter: waiter(x) },
        Event::RecoveryStarted {
            recovery: Recovery { unsaved: unsaved(), by: process(), until: moment(1), failure: None },
        },
        Event::RecoveryFailed { token: 3, former: dev("A"), why: s(), again: moment(1) },
        Event::WorkRescued {
            lock_id: s(),
            token: 3,
            former: dev("A"),
            reference: Some(format!("refs/cmw/rescue/{x}")),
            files: 2,
            skipped: texts(),
            unstaged: texts(),
        },
        Event::RescueAbandoned { token: 3, former: dev("A"), reason: s() },
        Event::WaiterRemoved { ticket: 3, waiter: dev("A"), reason: Removal::Silent },
        Event::LockRefused { who: dev("A"), action: s(), why: s() },
        Event::CommitVerified {
            lock_id: s(),
            holder: dev("A"),
            branch: format!("refs/heads/{x}"),
            commit: s(),
            verification_status: Verification::Failed,
            files: texts(),
            outside: texts(),
            lease_was_over: true,
        },
    ]
}

/// Every other event, with this text wherever a text may stand.
fn of_the_house(x: &str) -> Vec<Event> {
    let (s, texts) = (|| x.to_owned(), || vec![x.to_owned(); 5]);
    let policy = Box::new(Policy::of(Roster::of_size(12)));
    let roles = || vec![role("Dev-A"), role("Dev-B")];
    vec![
        Event::PolicySet { repo_id: s(), policy: policy.clone(), digest: s(), weakens: texts() },
        Event::PolicyRestored { policy, digest: s(), changed: texts() },
        Event::WeakeningRefused { who: dev("A"), weakens: texts(), why: s() },
        Event::HooksAdopted { former: s(), adopted: s(), hooks: texts() },
        Event::SessionUp { name: s(), socket: Some(s()), server: process(), agent: Some(s()) },
        Event::SessionDown,
        Event::InstanceLaunched { role: role("Dev-A"), process: process(), pane: 7, pane_id: s() },
        Event::InstanceRegistered { role: role("Dev-A"), process: process(), pane: 7 },
        Event::InstanceShutdown { role: role("Dev-A") },
        Event::InitializationVerified { findings: texts() },
        Event::InstancesPaused { roles: roles(), reason: s() },
        Event::InstancesResumed { roles: roles() },
        Event::CheckWarned { who: dev("A"), action: s(), check: Check::Claims, why: s() },
        Event::ViolationFound {
            id: 3,
            cause: Cause::HooksOff { what: s() },
            refs: vec![Stray { said: texts(), ..Stray::seen(x, x, x) }],
        },
        Event::ViolationsAdopted { ids: vec![1, 3], reason: s() },
        Event::RefsBaselined { refs: 9, why: s() },
        Event::SelfTested { held: false, what: s() },
        Event::JournalLost { byte: 9, why: s() },
        Event::MessageQuarantined { mailbox: s(), file: s(), why: s(), sender: Some(dev("A")) },
        Event::MessagesUndelivered {
            mailbox: s(),
            count: 2,
            senders: vec![dev("A")],
            first: s(),
            why: s(),
            urgent: true,
        },
        Event::StateRebuilt { records: 9, token: 3, damaged_file: Some(s()) },
        Event::SystemFrozen { reason: s(), when: moment(0), unsaved: None, pins: Some(Box::new(wish(x))) },
        Event::FreezeHardened { reason: s(), pins: Box::new(wish(x)) },
        Event::PinsSet { freeze: s(), pins: BTreeMap::from([(main(), PinId { dev: 1, ino: 2 })]) },
        Event::PinVanished { reference: main(), freeze: s() },
        Event::PinsRemoved { freeze: s(), references: vec![main(); 5] },
        Event::BreakGlass { reason: s(), until: moment(90_000), until_at: Wall(90_000) },
        Event::BreakGlassEnded { why: GlassEnd::TimeOver },
        Event::SystemUnfrozen { reason: s(), still: Interval { from: moment(0), to: moment(90_000) } },
    ]
}

/// A name that git takes and a terminal would obey.
fn main() -> RefName {
    RefName::parse("refs/heads/x\u{9b}2J\u{202e}".as_bytes()).unwrap()
}

fn wish(x: &str) -> Wish {
    Wish { freeze: x.to_owned(), refs: vec![main(); 5] }
}

/// Each event of health and of work, with this text wherever a text may stand.
fn of_health(x: &str) -> Vec<Event> {
    let (s, a) = (|| x.to_owned(), || role("Dev-A"));
    let it = || OfRole { role: a() };
    let impact = Impact { lock: Some(s()), queue_place: Some(2), tasks: vec![4], sole: None };
    let plan = Plan::Nothing { why: s() };
    let again = Some(moment(1));
    let finished = || TaskFinished { id: 4, title: s(), assignee: a(), note: s() };
    let task = Task {
        id: 4,
        title: s(),
        body: Some(s()),
        wanted_by: Actor::User,
        assignee: a(),
        priority: Priority::Normal,
        after: vec![3],
        reviewers: vec![role("Dev-B")],
        status: Status::Open,
        since: Wall(0),
        made: Wall(0),
        blocked: Some(s()),
    };
    vec![
        Event::SessionLost(SessionLost { name: s(), roles: vec![a()], due: None }),
        Event::InstanceStopping(it()),
        Event::InstanceCrashed(Crash {
            role: a(),
            process: process(),
            how: Some(Ending::Signal(9)),
            impact,
            plan,
        }),
        Event::RestartBegun(RestartBegun {
            role: Some(a()),
            attempt: 2,
            when: moment(0),
            program: process(),
            until: moment(1),
            how: Some(Ending::Status(3)),
        }),
        Event::InstanceRestarted(Restarted { role: a(), attempt: 2 }),
        Event::RestartFailed(RestartFailed { role: Some(a()), attempt: 2, why: s(), again }),
        Event::InstanceStale(Stale { role: a(), why: s() }),
        Event::InstanceRecovered(it()),
        Event::InstanceParked(Parking { role: a(), until: moment(1), until_at: Wall(0), told: false }),
        Event::InstanceUnparked(it()),
        Event::TaskAssigned(Box::new(task)),
        Event::TaskStarted(TaskStarted { id: 4, title: s(), assignee: a() }),
        Event::TaskDone(finished()),
        Event::TaskCancelled(finished()),
        Event::TaskReassigned(TaskReassigned {
            id: 4,
            title: s(),
            former: a(),
            assignee: role("Dev-D"),
            reason: s(),
        }),
        Event::WorkBlocked(WorkBlocked { role: a(), tasks: vec![4, 5], why: s() }),
    ]
}

fn all(x: &str) -> Vec<Event> {
    [of_the_lock(x), of_health(x), of_the_house(x)].concat()
}

#[test]
fn what_is_told_of_health_and_work() {
    let told: Vec<String> = of_health("x").into_iter().map(|e| describe(&record(e, &dev("B")))).collect();
    assert_eq!(
        told,
        [
            "x with Dev-A",
            "Dev-A",
            "Dev-A: it was ended by signal 9; it held the write lock (x); it was 2. in the queue; its open tasks: T4; it is not restarted: x",
            "Dev-A, attempt 2 (it ended with 3)",
            "Dev-A runs again (attempt 2)",
            "Dev-A, attempt 2: x; it is tried again",
            "Dev-A: x",
            "Dev-A",
            "Dev-A until 00:00Z (until when is not known)",
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
    Record::chain(42, Wall(1_795_536_300_000), by, event, "")
}

#[test]
fn every_event_is_told_in_one_safe_line() {
    for event in all(HOSTILE) {
        for by in [dev("A"), Actor::User] {
            let record = record(event.clone(), &by);
            let line = line(&record);
            assert!(!line.chars().any(sanitize::is_unsafe), "{line:?}");
            assert!(line.starts_with("42 2026-11-24 "), "{line}");
            assert!(line.contains(&format!("{by} {}", name(&event))), "{line}");
        }
    }
}

#[test]
fn the_list_of_names_is_whole() {
    let mut known: Vec<&str> = all("x").iter().map(name).collect();
    known.sort_unstable();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(known, names);
    for event in all("x") {
        assert_eq!(serde_json::to_value(&event).unwrap()["event"], name(&event));
    }
    // What serde knows is what there is.
    let said = serde_json::from_str::<Event>(r#"{"event":"?"}"#).unwrap_err().to_string();
    assert_eq!(said.matches('`').count(), 2 * (NAMES.len() + 1), "{said}");
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
            ("kept for Dev-A until 00:01Z", "kept for Dev-A until 00:01Z"),
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
fn a_record_concerns_whoever_did_it_and_whomever_it_is_about() {
    for event in all("x") {
        let by_b = record(event.clone(), &dev("B"));
        assert!(concerns(&by_b, &dev("B")));
        assert!(!concerns(&by_b, &dev("C")), "{}", name(&event));
        let names_a = serde_json::to_string(&event).unwrap().contains("\"Dev-A\"");
        let is_policy = matches!(
            event,
            Event::PolicySet { .. } | Event::PolicyRestored { .. } | Event::HooksAdopted { .. }
        );
        assert_eq!(concerns(&by_b, &dev("A")), names_a && !is_policy, "{}", name(&event));
    }
}

#[test]
fn the_same_refusal_again_is_the_same() {
    for (why, kind) in [
        ("Dev-A has the write lock for \"tests\" since 16:05Z (4m left)", "Dev-A has the write lock"),
        ("Dev-A has the write lock since 16:05Z (its lease has run out)", "Dev-A has the write lock"),
        ("User paused you since 16:05Z: lunch", "User paused you"),
        (
            "the write lock is kept for Dev-B, who waited for it, for 20s",
            "the write lock is kept for Dev-B, who waited for it",
        ),
        (
            "committing needs the write lock, and nobody holds it",
            "committing needs the write lock, and nobody holds it",
        ),
        ("", ""),
    ] {
        assert_eq!(reason(why), kind);
    }
    assert!(!reason(HOSTILE).chars().any(sanitize::is_unsafe));
}
