//! The coordination document and its audit on a disk that stops before every step.
//!
//! Every history of commands up to a length, stopped at every step of its last command, in every
//! way in which a machine comes back; afterwards the next command must find everything in order.
//! Seeded faults show that the check notices.
#![cfg(feature = "seeded-faults")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cmw::domain::audit::record::Record;
use cmw::domain::command::{Caller, Command, RescueOutcome};
use cmw::domain::evolve::evolve;
use cmw::domain::facts::Facts;
use cmw::domain::freeze::pins::{PinFindings, PinId, PinRequest};
use cmw::domain::guard::git_ref::RefName;
use cmw::domain::identity::actor::Actor;
use cmw::domain::mail::priority::Priority;
use cmw::domain::notices::notices;
use cmw::domain::state::State;
use cmw::domain::util::time::WallTime;
use cmw::domain::work::command::{AssignTo, WorkCommand};
use cmw::store::audit::log;
use cmw::store::disk::Disk;
use cmw::store::error::StoreError;
use cmw::store::fault::{self, Fault};
use cmw::store::mail::registry::Registry;
use cmw::store::work::task_bodies;
use cmw::store::{Store, TransactionEnv, layout};

use crate::crash_disk::{CrashDisk, Faults, Reboot};
use crate::support::cast::{askers, boot, facts, new_state, request};

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

fn now() -> Facts {
    facts(1_000, 0, &BTreeSet::new())
}

fn run(store: &Store<CrashDisk>, asker: &Caller, command: &Command) -> Result<(), StoreError> {
    let random = Cell::new(store.document().map_or(0, |d| u128::from(d.seq) * 100));
    let next = || {
        random.set(random.get() + 1);
        random.get()
    };
    store.transact(asker, command, TransactionEnv { facts: &|_| now(), random: &next }).map(|_| ())
}

/// A disk with a new repository on it.
fn fresh() -> Store<CrashDisk> {
    let store = Store::new(CrashDisk::new());
    store.create(new_state(), &now().now, &Actor::User).unwrap();
    store
}

/// Another disk with the same content.
fn copy(store: &Store<CrashDisk>) -> Store<CrashDisk> {
    Store::new(store.disk().copy())
}

/// What a caller was told: it must never be taken back.
struct Told {
    seq: u64,
    head: String,
}

fn told(store: &Store<CrashDisk>) -> Told {
    let document = store.document().unwrap();
    Told { seq: document.seq, head: document.head }
}

/// The state that the audit tells of.
fn replay(records: &[Record]) -> State {
    let mut state = new_state();
    for record in records {
        evolve(&mut state, &record.event, record.at, &record.by);
    }
    state
}

/// How many messages the events must have caused.
fn messages_caused(records: &[Record]) -> usize {
    let mut state = new_state();
    let mut count = 0;
    for record in records {
        let before = state.clone();
        evolve(&mut state, &record.event, record.at, &record.by);
        let caused = notices(&record.event, &record.by, &before, &state, &now());
        count += caused.iter().filter(|n| !state.policy.roster.recipients(&n.to, &n.from).is_empty()).count();
    }
    count
}

/// Whether a disk that came back is in order: `before` was told, `after` would have been.
fn inspect(store: &Store<CrashDisk>, before: &Told, after: &Told) -> Result<(), String> {
    let text = |e: StoreError| format!("{e}: {e:?}");
    let found = store.document().map_err(text)?;
    if found.seq != before.seq && found.seq != after.seq {
        return Err(format!("half a command: event {} of {} to {}", found.seq, before.seq, after.seq));
    }
    for _ in 0..2 {
        // The next commands must work, and bring to its place what the dead one left.
        run(store, &askers()[0].0, &Command::VerifyInitialization(Vec::new())).map_err(text)?;
    }
    let document = store.document().map_err(text)?;
    let records = log::read_all(store.disk()).map_err(text)?;
    log::verify(&records, &document.head)?;
    let at = usize::try_from(before.seq).map_err(|e| e.to_string())?;
    if records.get(at.wrapping_sub(1)).map(|r| &r.hash) != Some(&before.head) {
        return Err(format!("event {at}, which was acknowledged, is gone or changed"));
    }
    if replay(&records) != document.state {
        return Err("the audit tells of another state than the document".to_owned());
    }
    let registry = Registry::new(store.disk(), boot());
    let mut ids = BTreeSet::new();
    let mut count = 0;
    let scanned = registry.scan(1, &mut |record| {
        count += 1;
        ids.insert(record.envelope.id);
        Ok(ControlFlow::Continue(()))
    });
    scanned.map_err(text)?;
    if ids.len() != count || count != messages_caused(&records) {
        return Err(format!(
            "{count} messages with {} ids instead of {}",
            ids.len(),
            messages_caused(&records)
        ));
    }
    Ok(())
}

/// Stops at every step of the last command of a history. Gives the number of cases and the first
/// violation.
fn crash_everywhere(start: &Store<CrashDisk>, asker: &Caller, command: &Command) -> (usize, Option<String>) {
    let before = told(start);
    let whole = copy(start);
    run(&whole, asker, command).unwrap();
    let after = told(&whole);
    let mut cases = 0;
    for n in 0.. {
        let stopped = copy(start);
        stopped.disk().stop_after(n);
        let acknowledged = run(&stopped, asker, command).is_ok();
        let done = !stopped.disk().has_stopped();
        for how in Reboot::ALL {
            let back = copy(&stopped);
            back.disk().reboot(how);
            cases += 1;
            let promised = if acknowledged { &after } else { &before };
            if let Err(why) = inspect(&back, promised, &after) {
                return (cases, Some(format!("{command:?} stopped at step {n}, {how:?}: {why}")));
            }
        }
        if done {
            break;
        }
    }
    (cases, None)
}

/// All histories up to a length; gives the number of cases and the first violation.
fn explore(start: &Store<CrashDisk>, length: usize) -> (usize, Option<String>) {
    explore_with(&alphabet(), start, length)
}

fn explore_with(
    alphabet: &[(Caller, Command)],
    start: &Store<CrashDisk>,
    length: usize,
) -> (usize, Option<String>) {
    let mut cases = 0;
    for (asker, command) in alphabet {
        let (asker, command) = (asker.clone(), command.clone());
        let (more, violation) = crash_everywhere(start, &asker, &command);
        cases += more;
        if violation.is_some() {
            return (cases, violation);
        }
        if length > 1 {
            let next = copy(start);
            run(&next, &asker, &command).unwrap();
            let (more, violation) = explore_with(alphabet, &next, length - 1);
            cases += more;
            if violation.is_some() {
                return (cases, violation);
            }
        }
    }
    (cases, None)
}

#[test]
fn every_event_is_in_the_audit_exactly_once() {
    let length = if cfg!(debug_assertions) { LENGTH - 1 } else { LENGTH };
    let (cases, violation) = explore(&fresh(), length);
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
    let (cases, violation) = explore_with(&alphabet, &start, length);
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
    let (cases, violation) = explore_with(&alphabet, &start, length);
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
    let (cases, violation) = explore(store, 2);
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

/// Work that is given, begun, passed on and done: one history, stopped at every step of each command.
#[test]
fn work_survives_every_stop() {
    let all = askers();
    let dev = |i: usize| AssignTo::Role(all[i].0.actor.role().unwrap().clone());
    let reassign = WorkCommand::Reassign { id: 1, to: dev(2), reason: "r".to_owned() };
    let history = [
        (3, assign(dev(1), None)),
        (1, Command::Work(WorkCommand::Start(1))),
        (0, Command::Work(reassign)),
        (2, Command::Work(WorkCommand::Done { id: 1, note: "n".to_owned() })),
        (3, assign(dev(1), None)),
        (3, Command::Work(WorkCommand::Cancel { id: 2, reason: "r".to_owned() })),
    ];
    let (store, mut cases) = (fresh(), 0);
    for (i, command) in &history {
        let (more, violation) = crash_everywhere(&store, &all[*i].0, command);
        assert_eq!(violation, None);
        cases += more;
        run(&store, &all[*i].0, command).unwrap();
    }
    let tasks = store.document().unwrap().state.tasks;
    assert_eq!(tasks.values().map(|task| task.assignee.as_str()).collect::<Vec<_>>(), ["Dev-B", "Dev-A"]);
    eprintln!("{cases} cases, no violation");
    assert!(cases > 500, "fewer cases than there were: {cases}");
}

fn assign(to: AssignTo, body: Option<String>) -> Command {
    let (title, priority) = ("t".to_owned(), Priority::Normal);
    Command::Work(WorkCommand::Assign { to, title, body, priority, after: Vec::new(), reviewers: Vec::new() })
}

/// A caller is killed at any step of writing a text, another gives the same work, and the power fails.
#[test]
fn a_task_that_is_known_has_its_text() {
    assert_eq!(texts(&fresh()), None);
    let lying = fresh();
    lying.disk().lie(Faults { ignore_sync: true, ..Faults::default() });
    assert!(texts(&lying).is_some(), "that a text is not synced was not noticed");
}

/// The first violation.
fn texts(start: &Store<CrashDisk>) -> Option<String> {
    let all = askers();
    let to = || AssignTo::Role(all[1].0.actor.role().unwrap().clone());
    let give = |store: &Store<CrashDisk>| -> Result<(), StoreError> {
        let body = task_bodies::keep(store.disk(), "text")?;
        run(store, &all[3].0, &assign(to(), Some(body)))
    };
    for (first, n) in (0..).flat_map(|n| [(true, n), (false, n)]) {
        let store = copy(start);
        store.disk().stop_after(n);
        let acknowledged = give(&store).is_ok();
        let done = !store.disk().has_stopped();
        for how in Reboot::ALL {
            let back = copy(&store);
            // The process alone is killed, and the next one gives the same: then the power fails.
            back.disk().reboot(if first { how } else { Reboot::ALL[0] });
            if !first {
                give(&back).unwrap();
                back.disk().reboot(how);
            }
            let Ok(document) = back.document() else { return Some(format!("step {n}, {how:?}: no state")) };
            let tasks = document.state.tasks;
            if tasks.is_empty() && (acknowledged || !first) {
                return Some(format!("step {n}, {how:?}: the task is gone"));
            }
            for task in tasks.values() {
                let text = task_bodies::read(back.disk(), task.body.as_deref().unwrap_or_default());
                if !text.as_ref().is_ok_and(|text| text == "text") {
                    return Some(format!("step {n}, {how:?}: {text:?}"));
                }
            }
        }
        if done && !first {
            return None;
        }
    }
    None
}
