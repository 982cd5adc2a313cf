//! The coordination document and its audit on a disk that stops before every step.
//!
//! Every history of commands up to a length, stopped at every step of its last command, in every
//! way in which a machine comes back; afterwards the next command must find everything in order.
//! Seeded faults show that the check notices.
#![cfg(feature = "seeded-faults")]

mod damage;
mod histories;
mod tasks;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use cmw::domain::audit::record::Record;
use cmw::domain::command::{Caller, Command};
use cmw::domain::evolve::evolve;
use cmw::domain::facts::Facts;
use cmw::domain::identity::actor::Actor;
use cmw::domain::notices::notices;
use cmw::domain::state::State;
use cmw::store::audit::log;
use cmw::store::error::StoreError;
use cmw::store::mail::registry::Registry;
use cmw::store::{Store, TransactionEnv};

use crate::crash_disk::{CrashDisk, Reboot};
use crate::support::cast::{askers, boot, facts, new_state};

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
    /// Whether the next command sets damaged files aside, which is a publish of its own.
    sets_aside: bool,
}

fn told(store: &Store<CrashDisk>) -> Told {
    let document = store.document().unwrap();
    Told { seq: document.seq, head: document.head, sets_aside: false }
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
    let is_between = before.sets_aside && (before.seq..=after.seq).contains(&found.seq);
    if found.seq != before.seq && found.seq != after.seq && !is_between {
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
    crash_from(start, &told(start), asker, command)
}

/// Does the same from a disk of which this was told.
fn crash_from(
    start: &Store<CrashDisk>,
    before: &Told,
    asker: &Caller,
    command: &Command,
) -> (usize, Option<String>) {
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
            // What is set aside after a command was done is not what was promised.
            let promised = if acknowledged && !before.sets_aside { &after } else { before };
            let is_kept = back.document().is_ok_and(|found| found.seq > before.seq);
            if acknowledged && before.seq < after.seq && !is_kept {
                return (cases, Some(format!("{command:?} stopped at step {n}, {how:?}: it is gone")));
            }
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

/// All histories up to a length whose first command is one of `first`, and the others of `alphabet`; gives the
/// number of cases and the first violation.
fn explore(
    start: &Store<CrashDisk>,
    first: &[(Caller, Command)],
    alphabet: &[(Caller, Command)],
    length: usize,
) -> (usize, Option<String>) {
    let mut cases = 0;
    for (asker, command) in first {
        let (more, violation) = crash_everywhere(start, asker, command);
        cases += more;
        if violation.is_some() {
            return (cases, violation);
        }
        if length > 1 {
            let next = copy(start);
            run(&next, asker, command).unwrap();
            let (more, violation) = explore(&next, alphabet, alphabet, length - 1);
            cases += more;
            if violation.is_some() {
                return (cases, violation);
            }
        }
    }
    (cases, None)
}
