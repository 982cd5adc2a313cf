//! Damaged files that are set aside, and messages that wait in the document, on a disk that stops before every step.

use std::cell::Cell;

use cmw::domain::command::{Caller, Command};
use cmw::domain::mail::priority::Priority;
use cmw::store::Store;
use cmw::store::disk::Disk;

use super::{Told, copy, crash_from, fresh, now, run, told};
use crate::crash_disk::{CrashDisk, Faults};
use crate::support::cast::{askers, request};

/// A command that writes to each log, and sends messages.
fn commands() -> Vec<(Caller, Command)> {
    let all = askers();
    let acquire = Command::Acquire {
        request: request(Priority::Normal),
        caller: Some(all[1].1.clone()),
        stand_in: None,
    };
    vec![
        (all[1].0.clone(), acquire),
        (all[3].0.clone(), Command::Freeze { reason: "why".to_owned(), pins: None }),
        (all[0].0.clone(), Command::Register),
    ]
}

/// A disk on which each command has been done.
fn lived_in() -> Store<CrashDisk> {
    let store = fresh();
    for (asker, command) in commands() {
        run(&store, &asker, &command).unwrap();
    }
    let asker = askers()[3].0.clone();
    run(&store, &asker, &Command::Thaw { reason: String::new() }).unwrap();
    store
}

const LOGS: [&str; 3] =
    ["audit/write-lock-intents.json", "audit/orchestrator-decisions.log", "message-registry.json"];

#[test]
fn what_is_set_aside_survives_every_stop() {
    let mut cases = 0;
    // Each alone with one command, and all with each.
    for (damaged, commands) in [
        (&LOGS[..1], &commands()[..1]),
        (&LOGS[1..2], &commands()[1..2]),
        (&LOGS[2..], &commands()[2..]),
        (&LOGS[..], &commands()[..]),
    ] {
        let start = lived_in();
        for file in damaged {
            assert!(start.disk().size(file).unwrap().is_some(), "{file}");
            start.disk().append(file, b"this is no record\n").unwrap();
            start.disk().sync(file).unwrap();
        }
        let before = Told { sets_aside: true, ..told(&start) };
        for (asker, command) in commands {
            let (more, violation) = crash_from(&start, &before, asker, command);
            assert_eq!(violation, None, "{damaged:?}");
            cases += more;
        }
    }
    eprintln!("{cases} cases, no violation");
    assert!(cases > 500, "fewer cases than there were: {cases}");
}

#[test]
fn a_repair_can_stop_anywhere() {
    let start = lived_in();
    for file in LOGS {
        start.disk().append(file, b"this is no record\n").unwrap();
        start.disk().sync(file).unwrap();
    }
    let random = Cell::new(1 << 64);
    let next = || {
        random.set(random.get() + 1);
        random.get()
    };
    let repair = |store: &Store<CrashDisk>| store.repair(&|_| now(), &next);
    let whole = copy(&start);
    assert_eq!(repair(&whole).unwrap().len(), 3);
    assert_eq!(repair(&whole).unwrap(), []);
    for n in 0.. {
        let stopped = copy(&start);
        stopped.disk().stop_after(n);
        let _ = repair(&stopped);
        let done = !stopped.disk().has_stopped();
        for how in crate::crash_disk::Reboot::ALL {
            let back = copy(&stopped);
            back.disk().reboot(how);
            repair(&back).unwrap();
            assert_eq!(repair(&back).unwrap(), [], "step {n}, {how:?}");
            let before = Told { sets_aside: true, ..told(&start) };
            super::inspect(&back, &before, &told(&back))
                .unwrap_or_else(|why| panic!("step {n}, {how:?}: {why}"));
        }
        if done {
            break;
        }
    }
}

#[test]
fn what_is_carried_on_survives_every_stop() {
    for (first, then) in commands().into_iter().zip(commands().into_iter().rev()) {
        let start = lived_in();
        start.disk().lie(Faults { held: Some("cmw/registry.lock"), ..Faults::default() });
        run(&start, &first.0, &first.1).unwrap();
        start.disk().lie(Faults::default());
        let (_, violation) = crash_from(&start, &told(&start), &then.0, &then.1);
        assert_eq!(violation, None, "{:?}", first.1);
    }
}
