//! Tests of the replays: a legal history passes, and each broken rule is named.

use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::health::incident::{Crash, CrashImpact, CrashResponse, RestartFailed, Restarted};
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::role::Role;
use cmw::domain::lock::claim::Claim;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::lock::release::Release;
use cmw::domain::lock::request::LockRequest;
use cmw::domain::lock::write_lock::{Lease, Offer, Recovery, UnsavedWork};
use cmw::domain::mail::priority::Priority;
use cmw::domain::rescue::event::RescueEvent;
use cmw::domain::session::event::SessionEvent;
use cmw::domain::session::process::Process;
use cmw::domain::util::time::{BootId, BootTime, WallTime};

use super::incidents::{self, Killed};
use super::legal;

fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

fn actor(name: &str) -> Actor {
    Actor::Role(role(name))
}

fn process(pid: u32) -> Process {
    Process { pid, start_ticks: 1, boot: BootId("b".to_owned()) }
}

fn at(ms: u64) -> BootTime {
    BootTime { boot: BootId("b".to_owned()), ms }
}

fn story(events: Vec<(&str, Event)>) -> Vec<Record> {
    let numbered = (1..).zip(events);
    numbered.map(|(seq, (by, event))| Record::chain(seq, WallTime(0), &actor(by), event, "")).collect()
}

fn granted(token: u64, name: &str) -> Event {
    let request = LockRequest {
        files: Claim::All,
        purpose: String::new(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: None,
        guessed: false,
    };
    let lease = Lease {
        token,
        holder: actor(name),
        process: process(9),
        request,
        granted: at(0),
        granted_at: WallTime(0),
        expires: at(1),
        expires_at: WallTime(1),
        auto: false,
        unseen: None,
    };
    let (lock_id, holder) = (lease.lock_id(), actor(name));
    Event::Lock(LockEvent::LockGranted {
        lock_id,
        holder,
        claimed_files: Claim::All,
        claimed_loc: None,
        lease,
    })
}

fn released(token: u64, name: &str, reason: Release) -> Event {
    Event::Lock(LockEvent::LockReleased { lock_id: "WL".to_owned(), token, holder: actor(name), reason })
}

fn recovery(token: u64, name: &str) -> Event {
    let unsaved = UnsavedWork {
        token,
        former: actor(name),
        files: Claim::All,
        work_tree: None,
        reason: Release::HolderDied,
        ended_at: WallTime(0),
        index_stays: false,
    };
    Event::Rescue(RescueEvent::RecoveryStarted {
        recovery: Recovery { unsaved, by: process(8), until: at(9), failure: None },
    })
}

fn rescued(token: u64, name: &str) -> Event {
    let (lock_id, former) = ("WL".to_owned(), actor(name));
    Event::Rescue(RescueEvent::WorkRescued {
        lock_id,
        token,
        former,
        reference: None,
        files: 0,
        skipped: vec![],
        unstaged: vec![],
    })
}

fn offered(ticket: u64, name: &str) -> Event {
    Event::Lock(LockEvent::LockOffered {
        offer: Offer { ticket, to: actor(name), until: at(1), until_at: WallTime(1) },
    })
}

#[test]
fn a_legal_story_of_the_lock_passes() {
    let records = story(vec![
        ("Dev-A", granted(1, "Dev-A")),
        ("Dev-B", released(1, "Dev-A", Release::HolderDied)),
        ("Dev-B", recovery(1, "Dev-A")),
        ("QA-A", recovery(1, "Dev-A")),
        ("QA-A", rescued(1, "Dev-A")),
        ("QA-A", offered(4, "Dev-B")),
        ("Dev-B", granted(2, "Dev-B")),
        ("Dev-B", released(2, "Dev-B", Release::Done)),
    ]);
    let replayed = legal::replay(&records).unwrap();
    assert_eq!((replayed.grants, replayed.lock), (2, legal::Lock::Free));
}

#[test]
fn each_broken_rule_of_the_lock_is_named() {
    let first = ("Dev-A", granted(5, "Dev-A"));
    for (rule, broken) in [
        ("only when it is free", vec![first.clone(), ("Dev-B", granted(6, "Dev-B"))]),
        (
            "tokens grow",
            vec![
                first.clone(),
                ("Dev-A", released(5, "Dev-A", Release::Done)),
                ("Dev-B", granted(5, "Dev-B")),
            ],
        ),
        (
            "only what is held is released",
            vec![first.clone(), ("Dev-B", released(4, "Dev-B", Release::Done))],
        ),
        ("released by who may", vec![first.clone(), ("Dev-B", released(5, "Dev-A", Release::Done))]),
        (
            "only when it is free",
            vec![
                first.clone(),
                ("Dev-B", released(5, "Dev-A", Release::HolderDied)),
                ("Dev-B", recovery(5, "Dev-A")),
                ("Dev-B", granted(6, "Dev-B")),
            ],
        ),
        ("only when it is free", vec![("Dev-A", offered(3, "Dev-A")), ("Dev-B", granted(6, "Dev-B"))]),
        ("only a free lock is offered", vec![first.clone(), ("Dev-B", offered(3, "Dev-B"))]),
        ("before another actor", vec![first.clone(), ("Dev-B", recovery(5, "Dev-A"))]),
    ] {
        let said = legal::replay(&story(broken)).unwrap_err();
        assert!(said.contains(rule), "{rule}: {said}");
    }
}

fn registered(name: &str, pid: u32) -> (&'static str, Event) {
    (
        "Dev-B",
        Event::Session(SessionEvent::InstanceRegistered { role: role(name), process: process(pid), pane: 0 }),
    )
}

fn crashed(name: &str, pid: u32, plan: CrashResponse) -> (&'static str, Event) {
    let (role, process) = (role(name), process(pid));
    (
        "Dev-B",
        Event::Health(HealthEvent::InstanceCrashed(Crash {
            role,
            process,
            how: None,
            impact: CrashImpact::default(),
            plan,
        })),
    )
}

fn restarted(name: &str) -> (&'static str, Event) {
    ("Dev-B", Event::Health(HealthEvent::InstanceRestarted(Restarted { role: role(name), attempt: 1 })))
}

fn restart() -> CrashResponse {
    CrashResponse::Restart { attempt: 1, due: at(0) }
}

fn killed(name: &str, pid: u32) -> Killed {
    Killed { role: role(name), process: process(pid), young: false }
}

#[test]
fn a_story_of_crashes_passes_when_each_is_looked_after() {
    let failed = RestartFailed { role: Some(role("QA-A")), attempt: 3, why: String::new(), again: None };
    let records = story(vec![
        registered("Dev-A", 1),
        crashed("Dev-A", 1, restart()),
        registered("Dev-A", 2),
        restarted("Dev-A"),
        crashed("Dev-A", 2, CrashResponse::WithTheSession),
        registered("Dev-A", 3),
        registered("QA-A", 4),
        crashed("QA-A", 4, restart()),
        ("Dev-B", Event::Health(HealthEvent::RestartFailed(failed))),
    ]);
    let incidents = incidents::replay(&records, &[killed("Dev-A", 1), killed("QA-A", 4)]).unwrap();
    let seen = (incidents.alone, incidents.with_session, incidents.restarted, incidents.given_up);
    assert_eq!(seen, (2, 1, 1, 1));
}

#[test]
fn each_broken_rule_of_crashes_is_named() {
    let first = [registered("Dev-A", 1), crashed("Dev-A", 1, restart())];
    let all = |more: &[(&'static str, Event)]| story([&first, more].concat());
    let one = [killed("Dev-A", 1)];
    let back = [registered("Dev-A", 2), restarted("Dev-A")];
    let twice = [registered("Dev-A", 1), crashed("Dev-A", 1, restart())];
    let soon = [registered("Dev-A", 2), crashed("Dev-A", 2, restart())];
    let two = [killed("Dev-A", 1), killed("Dev-A", 2)];
    for (rule, records, killed) in [
        ("it was not killed", all(&back), &[][..]),
        ("not looked after", all(&[]), &one),
        ("recorded once", all(&[&back[..], &twice].concat()), &one),
        ("was registered", story(vec![first[1].clone()]), &one),
        ("was looked after", all(&soon), &two),
        ("was not missed", all(&back), &two),
    ] {
        let said = incidents::replay(&records, killed).unwrap_err();
        assert!(said.contains(rule), "{rule}: {said}");
    }
}
