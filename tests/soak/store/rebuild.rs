//! The coordination document made again from the audit, on a disk that stops before every step.

use std::cell::Cell;
use std::collections::BTreeSet;

use cmw::domain::audit::event::AuditEvent;
use cmw::domain::audit::history::fold;
use cmw::domain::command::{Caller, Command};
use cmw::domain::event::Event;
use cmw::domain::facts::Facts;
use cmw::domain::freeze::freeze_state::FreezeState;
use cmw::domain::identity::actor::Actor;
use cmw::domain::mail::priority::Priority;
use cmw::domain::state::State;
use cmw::store::audit::log;
use cmw::store::disk::Disk;
use cmw::store::error::StoreError;
use cmw::store::rebuild::Rebuilt;
use cmw::store::{Store, TransactionEnv, layout};

use crate::crash_disk::{CrashDisk, Reboot};
use crate::support::cast::{askers, facts, new_state, request};

fn now() -> Facts {
    facts(1_000, 0, &BTreeSet::new())
}

fn run(store: &Store<CrashDisk>, asker: &Caller, command: &Command) {
    let random = Cell::new(u128::from(store.document().unwrap().seq) * 100);
    let next = || {
        random.set(random.get() + 1);
        random.get()
    };
    store.transact(asker, command, TransactionEnv { facts: &|_| now(), random: &next }).unwrap();
}

fn rebuild(store: &Store<CrashDisk>) -> Result<Option<Rebuilt>, StoreError> {
    store.rebuild(&now().now, &|_: &State| Actor::User)
}

/// A repository in which something has happened; the last record is in the audit, not synced.
fn lived() -> Store<CrashDisk> {
    let store = Store::new(CrashDisk::new());
    store.create(new_state(), &now().now, &Actor::User).unwrap();
    let all = askers();
    for (asker, process) in &all[1..3] {
        let caller = Some(process.clone());
        run(&store, asker, &Command::Acquire { request: request(Priority::Normal), caller, stand_in: None });
    }
    run(&store, &all[0].0, &Command::Register);
    run(&store, &all[1].0, &Command::Release { token: None });
    store
}

fn copy(store: &Store<CrashDisk>) -> Store<CrashDisk> {
    Store::new(store.disk().copy())
}

/// Every way in which the document can be lost.
fn damages() -> Vec<(&'static str, Option<Vec<u8>>)> {
    let whole = lived().disk().read(layout::STATE, 1 << 20).unwrap().unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] = 0;
    vec![
        ("deleted", None),
        ("emptied", Some(Vec::new())),
        ("cut", Some(whole[..whole.len() / 2].to_vec())),
        ("garbage", Some(vec![0; 600])),
        ("one byte", Some(flipped)),
    ]
}

fn damage(store: &Store<CrashDisk>, bytes: Option<&Vec<u8>>) {
    let disk = store.disk();
    disk.remove(layout::STATE).unwrap();
    if let Some(bytes) = bytes {
        disk.create_new(layout::STATE, bytes).unwrap();
        disk.sync(layout::STATE).unwrap();
    }
    disk.sync_dir("cmw").unwrap();
    assert!(matches!(store.document(), Err(StoreError::Damaged { .. })), "the damage is noticed");
}

/// The document is whole, and is what the audit tells, whose chain is whole too.
fn check(store: &Store<CrashDisk>, token: u64) {
    run(store, &askers()[0].0, &Command::VerifyInitialization(Vec::new()));
    let document = store.document().unwrap();
    let records = log::read_all(store.disk()).unwrap();
    log::verify(&records, &document.head).unwrap();
    assert_eq!(fold(&records, |_, _| {}).unwrap(), document.state);
    assert!(document.state.last.token > token, "a token could be given twice");
}

#[test]
fn a_rebuilt_state_is_what_the_audit_tells() {
    for (name, bytes) in damages() {
        let store = lived();
        assert_eq!(rebuild(&store).unwrap(), None, "nothing is done to a whole document");
        let before = store.snapshot().unwrap();
        damage(&store, bytes.as_ref());
        let rebuilt = rebuild(&store).unwrap().unwrap();
        let mut after = store.snapshot().unwrap();
        assert_eq!(after.last.token, before.last.token + 16);
        after.last = before.last;
        assert_eq!(after, before, "{name}");
        let kept = rebuilt.kept.map(|file| store.disk().read(&file, 1 << 20).unwrap().unwrap());
        assert_eq!(kept, bytes, "{name}: the damaged file is kept");
        let records = log::read_all(store.disk()).unwrap();
        assert!(
            matches!(records.last().unwrap().event, Event::Audit(AuditEvent::StateRebuilt { records: n, .. }) if n as usize == records.len() - 1)
        );
        check(&store, before.last.token);
    }
}

#[test]
fn tokens_only_grow_across_a_rebuild() {
    let store = lived();
    let mut last = store.snapshot().unwrap().last.token;
    for _ in 0..3 {
        damage(&store, None);
        rebuild(&store).unwrap();
        let token = store.snapshot().unwrap().last.token;
        assert!(token >= last + 16, "{token} after {last}");
        last = token;
    }
    // The last holder's grant is told again by the audit: only its release makes way for a new one.
    let all = askers();
    run(&store, &all[2].0, &Command::Release { token: None });
    run(
        &store,
        &all[1].0,
        &Command::Acquire { request: request(Priority::Normal), caller: None, stand_in: None },
    );
    assert_eq!(store.snapshot().unwrap().held().unwrap().token, last + 1);
}

#[test]
fn a_rebuild_can_stop_anywhere() {
    let mut cases = 0;
    for (name, bytes) in damages() {
        let damaged = lived();
        let token = damaged.snapshot().unwrap().last.token;
        // As after any publish: what was in the audit before it is on the disk.
        log::sync(damaged.disk(), &log::read_all(damaged.disk()).unwrap()).unwrap();
        damage(&damaged, bytes.as_ref());
        for n in 0.. {
            let stopped = copy(&damaged);
            stopped.disk().stop_after(n);
            let said = rebuild(&stopped).is_ok();
            let done = !stopped.disk().has_stopped();
            for how in Reboot::ALL {
                let back = copy(&stopped);
                back.disk().reboot(how);
                let again = rebuild(&back).unwrap_or_else(|e| panic!("{name}, step {n}, {how:?}: {e}"));
                assert!(!said || again.is_none(), "{name}, step {n}, {how:?}: done, and undone");
                check(&back, token);
                cases += 1;
            }
            if done {
                assert!(n > 8, "a rebuild takes more steps than {n}");
                break;
            }
        }
    }
    assert!(cases > 200, "{cases}");
}

#[test]
fn what_was_rebuilt_survives_a_power_cut() {
    // The last records were never synced: the lost document's outbox vouched for them.
    for how in Reboot::ALL {
        let store = lived();
        let token = store.snapshot().unwrap().last.token;
        damage(&store, None);
        rebuild(&store).unwrap().unwrap();
        store.disk().reboot(how);
        assert_eq!(rebuild(&store).unwrap(), None, "{how:?}: done, and undone");
        check(&store, token);
    }
}

#[test]
fn a_broken_audit_rebuilds_nothing() {
    let log = layout::log("write-lock-intents.json");
    for what in ["was changed", "is missing"] {
        let store = lived();
        damage(&store, Some(&b"garbage".to_vec()));
        let disk = store.disk();
        let whole = disk.read(&log, 1 << 20).unwrap().unwrap();
        let first_line = &whole[..=whole.iter().position(|b| *b == b'\n').unwrap()];
        disk.remove(&log).unwrap();
        if what == "was changed" {
            let text = String::from_utf8(first_line.to_vec()).unwrap();
            disk.append(&log, text.replacen("INFO", "HIGH", 1).as_bytes()).unwrap();
        }
        disk.append(&log, &whole[first_line.len()..]).unwrap();
        let role = askers()[1].0.actor.clone();
        let error = store.rebuild(&now().now, &|_: &State| role.clone()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(disk.read(layout::STATE, 100).unwrap().unwrap(), b"garbage", "nothing was changed");
        // The User, who is asked, gets what is known, and looks at it before anything moves.
        rebuild(&store).unwrap().unwrap();
        assert!(store.document().unwrap().state.system != FreezeState::Running);
    }
}

#[test]
fn lines_that_are_no_records_stop_no_rebuild() {
    let log = layout::log("write-lock-intents.json");
    for spoil in ["{}\n", "junk\n", "\n"] {
        let store = lived();
        let before = store.document().unwrap().seq;
        damage(&store, Some(&b"garbage".to_vec()));
        store.disk().append(&log, spoil.as_bytes()).unwrap();
        rebuild(&store).unwrap();
        assert!(store.document().unwrap().seq > before);
    }
}

#[test]
fn a_document_that_is_lost_with_its_audit_was_never_there() {
    let store = lived();
    store.disk().remove(layout::STATE).unwrap();
    for name in store.disk().list(layout::AUDIT).unwrap() {
        if name != "archive" {
            store.disk().remove(&layout::log(&name)).unwrap();
        }
    }
    assert!(matches!(rebuild(&store), Err(StoreError::NotInitialised)));
}
