//! Tests of the registry: numbers without gaps, segments, torn tails and damage.

use std::ops::ControlFlow;

use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::mail::message::{Body, Draft};
use crate::domain::util::time::WallTime;
use crate::store::disk::RealDisk;
use crate::store::mail::registry::*;

fn boot() -> BootId {
    BootId("this".to_owned())
}

fn message(n: u128, body: &str) -> SealedMessage {
    let id = MessageId::from_parts(1_763_334_000_000, n);
    let mut draft = Draft::new(id, Actor::System, "User".into(), vec![Mailbox::User], WallTime(0));
    draft.body = Body::text(body).unwrap();
    draft.seal().unwrap()
}

fn with(f: impl FnOnce(&RealDisk, &Registry<'_, RealDisk>)) {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(dir.path()).unwrap();
    f(&disk, &Registry::new(&disk, boot()).with_segment_bytes(2_000));
}

fn seqs_from(registry: &Registry<'_, RealDisk>, from: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    let scanned = registry.scan(from, &mut |record| {
        seqs.push(record.envelope.seq);
        Ok(ControlFlow::Continue(()))
    });
    scanned.unwrap();
    seqs
}

fn send(registry: &Registry<'_, RealDisk>, numbers: std::ops::RangeInclusive<u128>) {
    for n in numbers {
        registry.append(&[message(n, "some text")]).unwrap();
    }
}

#[test]
fn numbers_are_gapless_and_the_chain_verifies() {
    with(|disk, registry| {
        assert_eq!((registry.last_seq().unwrap(), registry.get(1).unwrap()), (0, None));
        assert_eq!(disk.list("").unwrap(), Vec::<String>::new(), "reading creates nothing");
        assert_eq!(registry.append(&[message(1, "a"), message(2, "b")]).unwrap(), [1, 2]);
        assert_eq!(registry.append(&[message(3, &"\u{1b}\n\"".repeat(80_000))]).unwrap(), [3]);
        assert_eq!(registry.append(&[]).unwrap(), Vec::<u64>::new());
        assert_eq!(registry.get(2).unwrap().unwrap().envelope, message(2, "b").numbered(2));
        assert!(registry.get(3).unwrap().unwrap().envelope.verify());
        assert_eq!((registry.get(0).unwrap(), registry.get(4).unwrap()), (None, None));
        let verified = registry.verify().unwrap();
        assert_eq!((verified.messages, verified.last_seq, verified.first_seq), (3, 3, 1));
        assert_eq!(verified.head, registry.get(3).unwrap().unwrap().chain);
    });
}

#[test]
fn a_torn_tail_is_cut_and_a_bad_line_is_damage() {
    with(|disk, registry| {
        send(registry, 1..=2);
        let whole = disk.size(CURRENT).unwrap().unwrap();
        disk.append(CURRENT, b"{\"seq\":3,\"prev\":\"torn").unwrap();
        assert_eq!(seqs_from(registry, 1), [1, 2]);
        assert_eq!(disk.size(CURRENT).unwrap(), Some(whole));
        disk.append(CURRENT, b"torn").unwrap();
        send(registry, 3..=3);
        assert_eq!(registry.verify().unwrap().messages, 3);
        // Garbage with a line end is not a torn write: nothing is cut, and nothing is appended.
        disk.append(CURRENT, b"garbage\n").unwrap();
        let before = disk.read(CURRENT, 1 << 20).unwrap();
        let refused = registry.append(&[message(4, "x")]).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
        assert_eq!(disk.read(CURRENT, 1 << 20).unwrap(), before);
    });
}

#[test]
fn any_flipped_byte_is_found() {
    with(|disk, registry| {
        send(registry, 1..=2);
        let size = disk.size(CURRENT).unwrap().unwrap();
        for offset in (0..size).step_by(7) {
            let byte = disk.read_at(CURRENT, offset, 1).unwrap()[0];
            disk.write_at(CURRENT, offset, &[byte ^ 1]).unwrap();
            let found = registry.verify();
            assert!(matches!(found, Err(StoreError::Damaged { .. } | StoreError::Newer { .. })), "{offset}");
            disk.write_at(CURRENT, offset, &[byte]).unwrap();
        }
        registry.verify().unwrap();
    });
}

#[test]
fn another_programs_file_and_a_newer_format_are_left_alone() {
    for (text, newer) in [
        ("{\"messages\": []}\n", false),
        ("", false),
        ("{\"format\":1,", false),
        ("{\"format\":2,\"x\":1}\n", true),
    ] {
        with(|disk, registry| {
            disk.create_new(CURRENT, text.as_bytes()).unwrap();
            let error = registry.append(&[message(1, "x")]).unwrap_err();
            assert_eq!(matches!(error, StoreError::Newer { theirs: 2, ours: 1, .. }), newer, "{error}");
            assert!(newer || matches!(error, StoreError::Damaged { .. }), "{error}");
            assert_eq!(disk.read(CURRENT, 100).unwrap().unwrap(), text.as_bytes());
        });
    }
}

#[test]
fn a_damaged_index_is_rebuilt() {
    let damages: [fn(&RealDisk, &str); 5] = [
        |disk, path| disk.remove(path).unwrap(),
        |disk, path| disk.truncate(path, 40).unwrap(),
        |disk, path| disk.truncate(path, 0).unwrap(),
        |disk, path| disk.write_at(path, 30, b"garbage").unwrap(),
        |disk, path| disk.write_at(path, 0, &disk.read_at(path, 32, 32).unwrap()).unwrap(),
    ];
    for (n, damage) in damages.iter().enumerate() {
        with(|disk, registry| {
            send(registry, 1..=9);
            for first in disk.list("cmw/registry").unwrap().iter().filter(|n| n.ends_with(".idx")) {
                damage(disk, &format!("cmw/registry/{first}"));
            }
            for seq in [9, 1, 5, 2] {
                assert_eq!(registry.get(seq).unwrap().unwrap().envelope.seq, seq, "{n}");
            }
            assert_eq!(seqs_from(registry, 2), [2, 3, 4, 5, 6, 7, 8, 9], "{n}");
            for first in disk.list("cmw/registry").unwrap().iter().filter(|n| n.ends_with(".idx")) {
                damage(disk, &format!("cmw/registry/{first}"));
            }
            assert_eq!(registry.append_once(&[message(3, "some text")], 0).unwrap(), [3], "{n}");
            assert_eq!(registry.find(message(1, "").draft().id).unwrap().unwrap().envelope.seq, 1, "{n}");
            assert_eq!(registry.append(&[message(10, "x")]).unwrap(), [10], "{n}");
        });
    }
}

#[test]
fn a_wrong_tail_or_one_of_another_boot_is_made_again() {
    with(|disk, registry| {
        send(registry, 1..=3);
        let old = disk.read(TAIL, 1_000).unwrap().unwrap();
        send(registry, 4..=4);
        for bytes in [&old[..], b"garbage", &[0; 384]] {
            disk.write_at(TAIL, 0, bytes).unwrap();
            assert_eq!(registry.last_seq().unwrap(), 4);
        }
        let rebooted = Registry::new(disk, BootId("other".to_owned())).with_segment_bytes(2_000);
        assert_eq!(rebooted.peek().unwrap(), None);
        assert_eq!(rebooted.append(&[message(5, "x")]).unwrap(), [5]);
        assert_eq!(rebooted.verify().unwrap().messages, 5);
    });
}

#[test]
fn the_same_id_is_the_same_send() {
    with(|_, registry| {
        send(registry, 1..=20);
        assert_eq!(registry.append_once(&[message(2, "some text"), message(21, "x")], 0).unwrap(), [2, 21]);
        let twice = [message(22, "x"), message(22, "x")];
        assert_eq!(registry.append_once(&twice, 0).unwrap(), [22, 22]);
        // Ids below the floor are not searched: the caller knows that its message is newer.
        assert_eq!(registry.append_once(&[message(2, "some text")], 20).unwrap(), [23]);
        let other = registry.append_once(&[message(24, "x"), message(3, "other text")], 0).unwrap_err();
        assert!(matches!(other, StoreError::IdTaken { seq: 3, .. }), "{other}");
        let other = registry.append_once(&[message(25, "x"), message(25, "y")], 0).unwrap_err();
        assert!(matches!(other, StoreError::IdTaken { .. }), "{other}");
        assert_eq!(registry.last_seq().unwrap(), 23);
    });
}

#[test]
fn a_segment_is_rolled_and_a_missing_current_one_is_made_again() {
    with(|disk, registry| {
        send(registry, 1..=12);
        let closed = segment::closed(disk).unwrap();
        assert!(closed.len() >= 2, "{closed:?}");
        assert_eq!(seqs_from(registry, 3), (3..=12).collect::<Vec<_>>());
        for seq in 1..=12 {
            assert_eq!(registry.get(seq).unwrap().unwrap().envelope.seq, seq);
        }
        let mut back = Vec::new();
        let collect = &mut |record: &StoredMessage| {
            back.push(record.envelope.seq);
            Ok(if back.len() < 10 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        registry.scan_back("some text", collect).unwrap();
        assert_eq!(back, (3..=12).rev().collect::<Vec<_>>());
        registry.scan_back("no such text", &mut |_| panic!("nothing contains it")).unwrap();
        // Interrupted between the two renames of a roll:
        let last = registry.last_seq().unwrap();
        let first = registry.tail().unwrap().first;
        disk.rename(CURRENT, &Segment::closed(first, last).path).unwrap();
        unsynced::write(disk, "cmw/registry/synced", &0_u8).unwrap();
        assert_eq!(registry.append(&[message(13, "x")]).unwrap(), [13]);
        let verified = registry.verify().unwrap();
        assert_eq!((verified.messages, verified.segments), (13, closed.len() as u64 + 2));
    });
}

#[test]
fn a_segment_that_was_closed_after_more_came_is_read_up_to_the_tail_that_was_seen() {
    with(|_, registry| {
        send(registry, 1..=2);
        let seen = registry.tail().unwrap();
        send(registry, 3..=12);
        assert!(segment::closed(registry.disk()).unwrap()[0].last > Some(seen.last));
        for from in 1..=2 {
            let mut seqs = Vec::new();
            let collect = &mut |record: &StoredMessage| {
                seqs.push(record.envelope.seq);
                Ok(ControlFlow::Continue(()))
            };
            registry.scan_to(&seen, from, collect).unwrap();
            assert_eq!(seqs, (from..=2).collect::<Vec<_>>());
        }
    });
}

#[test]
fn other_bytes_say_nothing_about_a_record_that_is_looked_for() {
    let mut line = Vec::new();
    segment::push_line(&mut line, 7, Digest::ZERO, &message(7, "some text"));
    assert!(read::lacks(&line, 7, "other text") && !read::lacks(&line, 7, "some text"));
    assert!(!read::lacks(&line, 6, "other text"), "it is another record's line");
    assert!(!read::lacks(b"", 7, "x") && !read::lacks(&line[9..], 7, "other text"));
}

#[test]
fn lost_segments_are_missed() {
    with(|disk, registry| {
        send(registry, 1..=12);
        let closed = segment::closed(disk).unwrap();
        disk.rename(&closed[1].path, "kept").unwrap();
        let gap = (closed[1].first, closed[1].last.unwrap());
        assert_eq!(registry.verify().unwrap().missing, [gap], "the audit says whether that is known");
        disk.rename("kept", &closed[1].path).unwrap();
        disk.rename(CURRENT, "kept").unwrap();
        let refused = registry.append(&[message(13, "x")]).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
        disk.rename("kept", CURRENT).unwrap();
        // The oldest segment may be in the archive.
        disk.rename(&closed[0].path, "archived").unwrap();
        let first = closed[0].last.unwrap() + 1;
        assert_eq!(registry.verify().unwrap().first_seq, first);
        assert_eq!(seqs_from(registry, 1)[0], first);
        assert_eq!(registry.get(1).unwrap(), None);
    });
}

#[test]
fn twelve_senders_lose_nothing() {
    const EACH: u128 = 100;
    let dir = tempfile::tempdir().unwrap();
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let sender = |sender: u128| {
            let path = dir.path();
            move || {
                // Each with a disk of its own, as a process would have.
                let disk = RealDisk::open(path).unwrap();
                let registry = Registry::new(&disk, boot()).with_segment_bytes(60_000);
                let send = |n| registry.append(&[message(sender * EACH + n, "text")]).unwrap();
                (0..EACH).flat_map(send).collect::<Vec<u64>>()
            }
        };
        let senders: Vec<_> = (0..12).map(|n| scope.spawn(sender(n))).collect();
        // A concurrent reader sees appends and rolls, and never an error or a gap.
        let disk = RealDisk::open(dir.path()).unwrap();
        let registry = Registry::new(&disk, boot()).with_segment_bytes(60_000);
        let mut seen = 0;
        while seen < 1_200 {
            let seqs = seqs_from(&registry, seen + 1);
            assert!(seqs.iter().copied().eq(seen + 1..=seen + seqs.len() as u64), "{seqs:?}");
            seen += seqs.len() as u64;
            assert!(seen == 0 || registry.get(seen / 2 + 1).unwrap().is_some());
        }
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (1..=1_200).collect::<Vec<u64>>());
    let disk = RealDisk::open(dir.path()).unwrap();
    let verified = Registry::new(&disk, boot()).verify().unwrap();
    assert!(verified.messages == 1_200 && verified.segments > 5, "{verified:?}");
}
