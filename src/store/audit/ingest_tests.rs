//! Tests of turning the journal into events.

use std::collections::BTreeSet;

use crate::domain::audit::event::AuditEvent;
use crate::domain::lock::event::LockEvent;
use crate::domain::util::time::{BootId, BootTime, WallTime};
use crate::store::audit::ingest::*;
use crate::store::audit::journal::{append, append_at, read_chain, recent};
use crate::store::disk::RealDisk;

fn moment(ms: u64) -> BootTime {
    BootTime { boot: BootId("b".to_owned()), ms }
}

fn now(ms: u64) -> Now {
    Now { wall: WallTime(-5), boot: moment(ms) }
}

fn who() -> Actor {
    Actor::try_from("Dev-A".to_owned()).unwrap()
}

fn intent(token: u64, new: &str) -> JournalEntry {
    let (at, name, old) = (WallTime(i64::MAX / 2_000_000), "refs/heads/main".to_owned(), String::new());
    let (files, outside) = (Vec::new(), Vec::new());
    JournalEntry::Intent {
        at,
        when: moment(1_000),
        by: who(),
        token,
        name,
        old,
        new: new.to_owned(),
        files,
        outside,
        git: None,
        git_lock: None,
        document: 0,
    }
}

fn observed(token: u64, new: &str) -> JournalEntry {
    JournalEntry::Observed { at: WallTime(0), name: "refs/heads/main".to_owned(), new: new.to_owned(), token }
}

fn aborted(new: &str) -> JournalEntry {
    JournalEntry::Aborted {
        at: WallTime(0),
        name: "refs/heads/main".to_owned(),
        new: new.to_owned(),
        expired: false,
    }
}

fn journal(entries: &[JournalEntry]) -> (tempfile::TempDir, RealDisk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(dir.path()).unwrap();
    disk.ensure_dir("cmw").unwrap();
    disk.ensure_dir(layout::AUDIT).unwrap();
    append(&disk, entries).unwrap();
    (dir, disk)
}

/// Returns the commits and their verification, of the whole journal.
fn found(events: &[Event]) -> Vec<(String, Verification)> {
    let of = |event: &Event| {
        let Event::Lock(LockEvent::CommitVerified { commit, verification_status, .. }) = event else {
            return None;
        };
        Some((commit.clone(), *verification_status))
    };
    events.iter().filter_map(of).collect()
}

#[test]
fn each_movement_becomes_one_event() {
    let passed = |id: &str| (id.to_owned(), Verification::Passed);
    let entries = [
        intent(1, "a"),
        observed(1, "a"),
        // Refused by another hook, then tried again.
        intent(1, "b"),
        aborted("b"),
        intent(1, "b"),
        observed(1, "b"),
        // Tried twice; the first try has no outcome.
        intent(1, "c"),
        intent(1, "c"),
        observed(1, "c"),
        // Forward, back and forward again.
        intent(1, "a"),
        observed(1, "a"),
        // No lease was required, or there was no intent.
        intent(0, "d"),
        observed(0, "d"),
        observed(1, "e"),
        // The lease ended while git was moving the ref.
        intent(1, "f"),
        observed(2, "f"),
    ];
    let (_dir, disk) = journal(&entries);
    let all = ingest(&disk, 0, &now(2_000)).unwrap();
    let expected =
        [passed("a"), passed("b"), passed("c"), passed("a"), ("f".to_owned(), Verification::Failed)];
    assert_eq!(found(&all.events), expected);
    assert_eq!(all.offset, disk.size(layout::JOURNAL).unwrap().unwrap());
    assert_eq!(ingest(&disk, all.offset, &now(2_000)).unwrap().events, []);
}

#[test]
fn an_open_movement_holds_up_what_is_behind_it_but_not_for_ever() {
    let (_dir, disk) =
        journal(&[intent(1, "a"), observed(1, "a"), intent(1, "b"), intent(1, "c"), observed(1, "c")]);
    let first = ingest(&disk, 0, &now(60_999)).unwrap();
    assert_eq!(found(&first.events).len(), 1, "b may still move");
    let rest = ingest(&disk, first.offset, &now(61_000)).unwrap();
    assert_eq!(found(&rest.events), [("c".to_owned(), Verification::Passed)], "b came to nothing");
    let other_boot = Now { boot: BootTime { boot: BootId("c".to_owned()), ms: 0 }, ..now(0) };
    assert_eq!(found(&ingest(&disk, 0, &other_boot).unwrap().events).len(), 2, "regardless of the clocks");
}

#[test]
fn a_journal_that_lost_its_end_blocks_no_command() {
    let (_dir, disk) = journal(&[intent(1, "a"), observed(1, "a")]);
    let size = disk.size(layout::JOURNAL).unwrap().unwrap();
    let is_lost = |event: &Event| matches!(event, Event::Audit(AuditEvent::JournalLost { .. }));
    let short = ingest(&disk, size + 100, &now(2_000)).unwrap();
    assert!(short.events.iter().all(is_lost) && short.events.len() == 1 && short.offset == size);
    let inside = ingest(&disk, 5, &now(2_000)).unwrap();
    assert!(is_lost(&inside.events[0]) && inside.offset == size, "{inside:?}");
    disk.append(layout::JOURNAL, b"\0\0\0garbage\n").unwrap();
    append(&disk, &[intent(1, "b"), observed(1, "b")]).unwrap();
    let all = ingest(&disk, 0, &now(2_000)).unwrap();
    assert_eq!(found(&all.events).len(), 2);
    assert_eq!(all.events.iter().filter(|e| is_lost(e)).count(), 1);
}

#[test]
fn a_flood_is_taken_in_portions() {
    let ids: Vec<String> = (0..5_000).map(|i| format!("{i:040}")).collect();
    let entries = ids.iter().map(|id| intent(1, id)).chain(ids.iter().map(|id| observed(1, id)));
    let (_dir, disk) = journal(&entries.collect::<Vec<_>>());
    let (mut offset, mut seen, mut portions) = (0, Vec::new(), 0);
    loop {
        let portion = ingest(&disk, offset, &now(2_000)).unwrap();
        assert!(portion.events.len() <= EVENTS_MAX);
        if portion.offset == offset {
            break;
        }
        (offset, portions) = (portion.offset, portions + 1);
        seen.extend(found(&portion.events).into_iter().map(|(id, _)| id));
    }
    assert_eq!(seen, ids, "each once, in order");
    assert!(portions >= 25);
}

#[test]
fn the_same_refusal_again_says_nothing_new() {
    let no = |action: &str| JournalEntry::Refused {
        at: WallTime(0),
        by: who(),
        action: action.to_owned(),
        why: "x".to_owned(),
    };
    let (_dir, disk) = journal(&[no("a"), no("a"), no("b"), no("a")]);
    assert_eq!(ingest(&disk, 0, &now(0)).unwrap().events.len(), 3);
}

#[test]
fn each_line_is_chained_to_the_one_before() {
    let (_dir, disk) = journal(&[intent(1, "a"), observed(1, "a")]);
    append(&disk, &[intent(1, "b")]).unwrap();
    append(&disk, &[observed(1, "b")]).unwrap();
    let whole = read_chain(&disk, &[2].into()).unwrap();
    assert_eq!((whole.lines, whole.entries.len(), whole.faults.len()), (4, 4, 0));
    assert_eq!(whole.end, disk.size(layout::JOURNAL).unwrap().unwrap());
    assert!(whole.head().len() == 64 && whole.hashes[&2].len() == 64);
    let text = String::from_utf8(disk.read(layout::JOURNAL, 1 << 20).unwrap().unwrap()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let faults = |text: &str| {
        let (_dir, disk) = journal(&[]);
        disk.append(layout::JOURNAL, text.as_bytes()).unwrap();
        let faults = read_chain(&disk, &BTreeSet::new()).unwrap().faults;
        faults.into_iter().map(|(line, _)| line).collect::<Vec<u64>>()
    };
    assert_eq!(faults(&text), [0_u64; 0]);
    assert_eq!(faults(&lines[1..].concat()), [1], "the first lines are gone");
    assert_eq!(faults(&[lines[0], lines[1], lines[3]].concat()), [3], "one is gone");
    assert_eq!(faults(&text.replacen("\"new\":\"a\"", "\"new\":\"x\"", 1)), [2], "one was changed");
    assert_eq!(faults(&[lines[1], lines[0], lines[2], lines[3]].concat()), [1, 2, 3], "two changed places");
    let old = format!("{}\n{}", serde_json::to_string(&intent(1, "z")).unwrap(), lines[0]);
    assert_eq!(faults(&old), [2], "behind lines of an earlier version the chain goes on from them");
    let (_dir, disk) = journal(&[]);
    disk.append(layout::JOURNAL, old.split_inclusive('\n').next().unwrap().as_bytes()).unwrap();
    append(&disk, &[intent(1, "a")]).unwrap();
    assert_eq!(read_chain(&disk, &BTreeSet::new()).unwrap().faults, []);
}

#[test]
fn what_was_read_to_its_end_may_be_appended_to() {
    let (_dir, disk) = journal(&[intent(1, "a")]);
    let end = disk.size(layout::JOURNAL).unwrap().unwrap();
    let concerns = |entry: &JournalEntry| entry.names().any(|name| name == "a");
    assert!(append_at(&disk, end, concerns, &[observed(1, "b")]).unwrap());
    assert!(append_at(&disk, end, |_| false, &[observed(1, "c")]).unwrap(), "it grew by another ref");
    assert!(!append_at(&disk, end, |_| true, &[observed(1, "a")]).unwrap(), "another process was faster");
    assert_eq!(read_chain(&disk, &BTreeSet::new()).unwrap().lines, 3);
}

#[test]
fn the_end_of_the_journal_tells_where_a_ref_must_be() {
    let many: Vec<JournalEntry> =
        (0..500).flat_map(|i| [intent(1, &i.to_string()), observed(1, &i.to_string())]).collect();
    let (_dir, disk) = journal(&many);
    let (book, end) = recent(&disk, "refs/heads/main").unwrap();
    assert_eq!(end, disk.size(layout::JOURNAL).unwrap().unwrap());
    assert!(book.find_unauthorized("refs/heads/main", "499").is_none());
    assert_eq!(book.find_unauthorized("refs/heads/main", "498").unwrap().was, "499");
    assert!(
        recent(&disk, "refs/heads/other").unwrap().0.find_unauthorized("refs/heads/other", "1").is_none()
    );
}
