//! Every history of commands up to a length, and what the check must notice.

use cmw::domain::command::{Caller, Command, RescueOutcome};
use cmw::domain::freeze::pins::{PinFindings, PinId, PinRequest};
use cmw::domain::guard::git_ref::RefName;
use cmw::domain::identity::actor::Actor;
use cmw::domain::mail::priority::Priority;
use cmw::domain::util::time::WallTime;
use cmw::store::audit::log;
use cmw::store::disk::Disk;
use cmw::store::fault::{self, Fault};
use cmw::store::{Store, layout};

use super::{copy, explore, fresh, inspect, now, run, told};
use crate::crash_disk::{CrashDisk, Faults, Reboot};
use crate::support::cast::{askers, new_state, request};

/// Longest history; each command of it is taken from [`alphabet`].
const LENGTH: usize = 4;

/// What can happen: the lock goes round, a role registers (which sends messages), everything
/// stops and goes on (which sends messages too).
fn alphabet() -> Vec<(Caller, Command)> {
    let all = askers();
    let asker = |i: usize| all[i].0.clone();
    let acquire = |i: usize| Command::Acquire {
        request: request(Priority::Normal),
        caller: Some(all[i].1.clone()),
        stand_in: None,
    };
    vec![
        (asker(1), acquire(1)),
        (asker(2), acquire(2)),
        (asker(1), Command::Release { token: None }),
        (asker(0), Command::Register),
        (asker(3), Command::Freeze { reason: "why\u{9b}".to_owned(), pins: None }),
        (asker(3), Command::Thaw { reason: String::new() }),
    ]
}

#[test]
fn every_event_is_in_the_audit_exactly_once() {
    let length = if cfg!(debug_assertions) { LENGTH - 1 } else { LENGTH };
    // A thread for each first command.
    let (cases, violation) = std::thread::scope(|scope| {
        let begin = |first: usize| {
            scope.spawn(move || explore(&fresh(), &alphabet()[first..=first], &alphabet(), length))
        };
        let all: Vec<_> = (0..alphabet().len()).map(begin).collect();
        let found = all.into_iter().map(|thread| thread.join().unwrap());
        found.reduce(|(a, one), (b, other)| (a + b, one.or(other))).unwrap()
    });
    assert_eq!(violation, None);
    eprintln!("{cases} cases, no violation");
    assert!(cases > 10_000, "fewer cases than there were: {cases}");
}

/// Offers, leases of a git, work that waits to be saved, pauses: the same in another alphabet.
#[test]
fn offers_and_recoveries_survive_every_stop() {
    let all = askers();
    let asker = |i: usize| all[i].0.clone();
    let wish = || request(Priority::Normal);
    let saved = RescueOutcome::Saved {
        reference: Some("r".to_owned()),
        files: 1,
        skipped: Vec::new(),
        unstaged: Vec::new(),
    };
    let alphabet = [
        (asker(2), Command::Acquire { request: wish(), caller: None, stand_in: None }),
        (asker(1), Command::Release { token: None }),
        (asker(0), Command::ForceRelease { reason: "r".to_owned() }),
        (asker(0), Command::Rescued { token: 1, outcome: saved }),
        (asker(0), Command::Rescued { token: 1, outcome: RescueOutcome::Failed { why: "w".to_owned() } }),
        (asker(1), Command::Commit { request: wish(), git: all[1].1.clone() }),
        (asker(3), Command::Pause { roles: Vec::new(), reason: "p".to_owned() }),
    ];
    let start = fresh();
    run(&start, &asker(1), &Command::Acquire { request: wish(), caller: None, stand_in: None }).unwrap();
    let length = if cfg!(debug_assertions) { 2 } else { 4 };
    let (cases, violation) = explore(&start, &alphabet, &alphabet, length);
    assert_eq!(violation, None);
    eprintln!("{cases} cases, no violation");
    assert!(cases > 2_000, "fewer cases than there were: {cases}");
}

/// A hard freeze, its pins, and a broken glass.
#[test]
fn pins_survive_every_stop() {
    let all = askers();
    let asker = |i: usize| all[i].0.clone();
    let main = || RefName::parse(b"refs/heads/main").unwrap();
    let id = PinId { dev: 1, ino: 2 };
    let found = |set: &[RefName], vanished: &[RefName], removed: &[RefName]| {
        Command::Pinned(PinFindings {
            freeze: "F".to_owned(),
            set: set.iter().map(|name| (name.clone(), id)).collect(),
            vanished: vanished.iter().map(|name| (name.clone(), id)).collect(),
            removed: removed.to_vec(),
        })
    };
    let wish = PinRequest { freeze: "F".to_owned(), refs: vec![main()] };
    let alphabet = [
        (asker(3), Command::Freeze { reason: "f".to_owned(), pins: Some(wish) }),
        (asker(0), found(&[main()], &[], &[])),
        (asker(0), found(&[], &[main()], &[])),
        (asker(3), Command::Thaw { reason: "t".to_owned() }),
        (asker(0), found(&[], &[], &[main()])),
        (asker(3), Command::BreakGlass { reason: "b".to_owned(), for_ms: 1 }),
    ];
    let start = fresh();
    for (asker, command) in &alphabet[..2] {
        run(&start, asker, command).unwrap();
    }
    let length = if cfg!(debug_assertions) { 2 } else { 4 };
    let (cases, violation) = explore(&start, &alphabet, &alphabet, length);
    assert_eq!(violation, None);
    eprintln!("{cases} cases, no violation");
    assert!(cases > 1_000, "fewer cases than there were: {cases}");
}

#[test]
fn setting_up_can_stop_anywhere() {
    for n in 0.. {
        let stopped = Store::new(CrashDisk::new());
        stopped.disk().stop_after(n);
        let acknowledged = stopped.create(new_state(), &now().now, &Actor::User).is_ok();
        let done = !stopped.disk().has_stopped();
        for how in Reboot::ALL {
            let back = copy(&stopped);
            back.disk().reboot(how);
            if acknowledged {
                back.document().unwrap_or_else(|e| panic!("step {n}, {how:?}: {e}"));
            }
            back.create(new_state(), &now().now, &Actor::User).unwrap();
            run(&back, &askers()[1].0, &Command::Release { token: None }).unwrap();
        }
        if done {
            assert!(n > 10, "setting up takes more steps than {n}");
            break;
        }
    }
}

#[test]
fn a_left_over_temporary_file_is_harmless() {
    let store = fresh();
    store.disk().create_new(layout::STATE_TMP, b"half a docum").unwrap();
    run(&store, &askers()[1].0, &Command::Register).unwrap();
    assert_eq!(inspect(&store, &told(&store), &told(&store)), Ok(()));
}

/// Six faults that the check must notice.
#[test]
fn seeded_faults_are_noticed() {
    let lies = [
        ("no fsync", Faults { ignore_sync: true, ..Faults::default() }),
        ("no fsync of the directory", Faults { ignore_sync_dir: true, ..Faults::default() }),
        ("write in place", Faults { rename_is_write_in_place: true, ..Faults::default() }),
    ];
    for (name, faults) in lies {
        let store = fresh();
        store.disk().lie(faults);
        noticed(name, &store);
    }
    for fault in [Fault::AuditBeforePublish, Fault::NoSettle, Fault::NoTailRepair, Fault::NoAuditNames] {
        fault::seed(Some(fault));
        noticed(&format!("{fault:?}"), &fresh());
        fault::seed(None);
    }
}

fn noticed(name: &str, store: &Store<CrashDisk>) {
    let (cases, violation) = explore(store, &alphabet(), &alphabet(), 2);
    eprintln!("{name}: seen after {cases} cases: {violation:?}");
    assert!(violation.is_some(), "{name} was not noticed in {cases} cases");
}

#[test]
fn the_chain_is_whole_over_all_files() {
    let store = fresh();
    for (asker, command) in alphabet() {
        run(&store, &asker, &command).unwrap();
    }
    let head = store.document().unwrap().head;
    let records = log::read_all(store.disk()).unwrap();
    assert_eq!(log::verify(&records, &head), Ok(()));
    for i in 0..records.len() {
        let mut fewer = records.clone();
        fewer.remove(i);
        assert!(log::verify(&fewer, &head).is_err(), "record {i} taken out");
        let mut changed = records.clone();
        changed[i].at = WallTime(changed[i].at.0 + 1);
        assert!(log::verify(&changed, &head).is_err(), "record {i} changed");
        let mut twice = records.clone();
        twice.insert(i, records[i].clone());
        assert!(log::verify(&twice, &head).is_err(), "record {i} twice");
    }
}
