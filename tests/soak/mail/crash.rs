//! Every short history of messages × every step at which it can stop × every way to come back.
//!
//! Each operation is a process of its own. A promise is what an operation returned before the stop;
//! what was cut off may have happened or not.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use crate::crash_disk::CrashDisk;
use crate::crash_disk::Faults;
use crate::crash_disk::Reboot;
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::actor::Mailbox;
use cmw::domain::identity::role::Role;
use cmw::domain::mail::id::MessageId;
use cmw::domain::mail::message::{Body, Draft, SealedMessage};
use cmw::domain::mail::receipt::WorkOutcome;
use cmw::domain::util::time::{BootId, WallTime};
use cmw::store::mail::inbox::{AckOutcome, Inbox};
use cmw::store::mail::mailbox::deliver;
use cmw::store::mail::registry::Registry;

const NOW: WallTime = WallTime(1_763_334_000_000);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    /// Dev-A to Dev-B.
    Send,
    /// Dev-A to Dev-B and User.
    Broadcast,
    /// The last message again, with its id.
    Resend,
    /// Dev-B looks.
    List,
    /// Dev-B takes up the next.
    Next,
    /// Dev-B acknowledges the oldest.
    Ack,
}

const OPS: [Op; 6] = [Op::Send, Op::Broadcast, Op::Resend, Op::List, Op::Next, Op::Ack];

/// What is promised to have happened, and what may have.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Promised,
    Perhaps,
}

#[derive(Clone, Debug, Default)]
struct Model {
    sent: BTreeMap<MessageId, (SealedMessage, Known)>,
    acked: BTreeMap<MessageId, Known>,
    last: Option<MessageId>,
}

#[derive(Clone, Copy)]
struct Config {
    segment_bytes: u64,
    /// Whether the mailboxes are read after the reboot before anything is sent.
    read_first: bool,
    #[cfg_attr(not(feature = "seeded-faults"), expect(dead_code, reason = "the seeded fault reads it"))]
    keep_torn_tails: bool,
}

fn role(name: &str) -> Mailbox {
    Mailbox::Role(Role::parse(name).unwrap())
}

fn message(n: u128, to: Vec<Mailbox>) -> SealedMessage {
    let from = Actor::Role(Role::parse("Dev-A").unwrap());
    let mut draft = Draft::new(MessageId::from_parts(NOW.0, n), from, "ALL".into(), to, NOW);
    draft.body = Body::text("line\n".repeat(20)).unwrap();
    draft.seal().unwrap()
}

fn registry(disk: &CrashDisk, boot: u32, config: Config) -> Registry<'_, CrashDisk> {
    let registry = Registry::new(disk, BootId(boot.to_string())).with_segment_bytes(config.segment_bytes);
    #[cfg(feature = "seeded-faults")]
    if config.keep_torn_tails {
        return registry.with_torn_tails_kept();
    }
    registry
}

/// One process. What it promised goes into the model; an error is left to the disk to explain.
fn run(op: Op, disk: &CrashDisk, boot: u32, config: Config, model: &mut Model) -> Result<(), String> {
    let registry = registry(disk, boot, config);
    let inbox = Inbox::open(&registry, role("Dev-B"));
    let text = |e: cmw::store::error::StoreError| format!("{op:?}: {e}: {:?}", std::error::Error::source(&e));
    match op {
        Op::Send | Op::Broadcast | Op::Resend => {
            let mut to = vec![role("Dev-B")];
            to.extend((op == Op::Broadcast).then_some(Mailbox::User));
            let again = model.last.filter(|_| op == Op::Resend).map(|id| model.sent[&id].0.clone());
            let sealed = again.unwrap_or_else(|| message(model.sent.len() as u128, to));
            let id = sealed.draft().id;
            model.last = Some(id);
            model.sent.entry(id).or_insert((sealed.clone(), Known::Perhaps));
            let batch = std::slice::from_ref(&sealed);
            let seqs = if op == Op::Resend { registry.append_once(batch, 0) } else { registry.append(batch) };
            let seqs = seqs.map_err(text)?;
            model.sent.insert(id, (sealed.clone(), Known::Promised));
            deliver(disk, &[sealed.numbered(seqs[0])]);
        }
        Op::List => drop(inbox.list(NOW).map_err(text)?),
        Op::Next => drop(inbox.claim_next("s1", NOW).map_err(text)?),
        Op::Ack => {
            let listing = inbox.list(NOW).map_err(text)?;
            let Some(first) = listing.messages.first() else { return Ok(()) };
            let id = first.envelope.id;
            model.acked.insert(id, Known::Perhaps);
            let acked = inbox.ack(id, WorkOutcome::Done, "", "s1", NOW).map_err(text)?;
            if !matches!(acked, AckOutcome::Now(_)) {
                return Err(format!("{id} was listed and could not be acknowledged: {acked:?}"));
            }
            model.acked.insert(id, Known::Promised);
        }
    }
    Ok(())
}

/// What a mailbox shows; checks what can be said of any listing.
fn shown(inbox: &Inbox<'_, CrashDisk>) -> Result<BTreeSet<MessageId>, String> {
    let listing = inbox.list(NOW).map_err(|e| format!("list: {e}"))?;
    if !listing.quarantined.is_empty() {
        return Err(format!("quarantined without a cause: {:?}", listing.quarantined));
    }
    let ids: Vec<MessageId> = listing.messages.iter().map(|held| held.envelope.id).collect();
    let set: BTreeSet<MessageId> = ids.iter().copied().collect();
    if set.len() != ids.len() || !listing.messages.iter().all(|held| held.envelope.verify()) {
        return Err(format!("shown twice, or unverified: {ids:?}"));
    }
    Ok(set)
}

fn check_promises(
    model: &Model,
    mailbox: &Mailbox,
    shown: &BTreeSet<MessageId>,
    acked: &BTreeMap<MessageId, Known>,
) -> Result<(), String> {
    for (id, (sealed, known)) in &model.sent {
        let mine = sealed.draft().is_for(mailbox);
        match (acked.get(id), shown.contains(id)) {
            (_, true) if !mine => return Err(format!("{mailbox} is shown {id}, which is for others")),
            (Some(Known::Promised), true) => return Err(format!("{mailbox}: {id} came again")),
            (None, false) if mine && *known == Known::Promised => {
                return Err(format!("{mailbox}: {id} was acknowledged as sent and is lost"));
            }
            _ => {}
        }
    }
    match shown.iter().find(|id| !model.sent.contains_key(id)) {
        Some(id) => Err(format!("{mailbox} is shown {id}, which was never sent")),
        None => Ok(()),
    }
}

/// Everything that must hold after a reboot, whatever was cut off.
fn check(disk: &CrashDisk, boot: u32, config: Config, model: &Model) -> Result<(), String> {
    let none = BTreeMap::new();
    let (ours, user) = (role("Dev-B"), Mailbox::User);
    {
        let registry = registry(disk, boot, config);
        registry.verify().map_err(|e| format!("verify: {e}"))?;
    }
    if config.read_first {
        let registry = registry(disk, boot, config);
        let (inbox, other) = (Inbox::open(&registry, ours.clone()), Inbox::open(&registry, user.clone()));
        check_promises(model, &ours, &shown(&inbox)?, &model.acked)?;
        check_promises(model, &user, &shown(&other)?, &none)?;
    }
    // Life goes on: another message, then Dev-B takes up and acknowledges whatever is there.
    let mut model = model.clone();
    let mut next = message(99, vec![ours.clone(), user.clone()]);
    let seqs = registry(disk, boot, config).append(std::slice::from_ref(&next));
    let seqs = seqs.map_err(|e| format!("the next send: {e}"))?;
    deliver(disk, &[next.numbered(seqs[0])]);
    model.sent.insert(next.draft().id, (next.clone(), Known::Promised));
    let mut done = model.acked.clone();
    {
        let registry = registry(disk, boot, config);
        let inbox = Inbox::open(&registry, ours.clone());
        let mut taken = BTreeSet::new();
        while let Some(envelope) = inbox.claim_next("s2", NOW).map_err(|e| format!("claim: {e}"))?.message {
            if !taken.insert(envelope.id) {
                return Err(format!("{} was taken up twice", envelope.id));
            }
        }
        let waiting = shown(&inbox)?;
        if !taken.is_subset(&waiting) || !waiting.contains(&next.draft().id) {
            return Err(format!("taken up {taken:?}, waiting {waiting:?}"));
        }
        for id in waiting {
            for again in [false, true] {
                let acked =
                    inbox.ack(id, WorkOutcome::Done, "", "s2", NOW).map_err(|e| format!("ack: {e}"))?;
                if again != matches!(acked, AckOutcome::AlreadyAcknowledged(_))
                    || acked == AckOutcome::Unknown
                {
                    return Err(format!("acknowledging {id}, again: {again}: {acked:?}"));
                }
            }
            done.insert(id, Known::Promised);
        }
    }
    // Then the power fails, and everything is sent again by a sender that is not sure.
    disk.reboot(Reboot::PowerLost);
    let registry = registry(disk, boot + 1, config);
    registry.verify().map_err(|e| format!("verify after the second power cut: {e}"))?;
    let (inbox, other) = (Inbox::open(&registry, ours.clone()), Inbox::open(&registry, user.clone()));
    check_promises(&model, &ours, &shown(&inbox)?, &done)?;
    check_promises(&model, &user, &shown(&other)?, &none)?;
    let all: Vec<SealedMessage> = model.sent.values().map(|(sealed, _)| sealed.clone()).collect();
    let seqs = registry.append_once(&all, 0).map_err(|e| format!("sending again: {e}"))?;
    if seqs.iter().collect::<BTreeSet<_>>().len() != all.len()
        || registry.last_seq().unwrap() < all.len() as u64
    {
        return Err(format!("sent again under numbers {seqs:?}"));
    }
    for known in model.sent.values_mut() {
        known.1 = Known::Promised;
    }
    check_promises(&model, &ours, &shown(&inbox)?, &done)?;
    check_promises(&model, &user, &shown(&other)?, &none)?;
    // The same id with other content is refused.
    next = message(99, vec![ours]);
    match registry.append_once(&[next], 0) {
        Err(cmw::store::error::StoreError::IdTaken { .. }) => Ok(()),
        other => Err(format!("a taken id gave {other:?}")),
    }
}

/// Tries every history up to this length, stopping in its last operation; gives the number of cases.
fn explore(depth: usize, faults: Faults, config: Config) -> Result<usize, String> {
    let disk = CrashDisk::new();
    disk.lie(faults);
    std::thread::scope(|scope| {
        let disk = &disk;
        let start = |op| move || extend(op, &mut Vec::new(), depth, disk, &Model::default(), config);
        let threads: Vec<_> = OPS.into_iter().map(|op| scope.spawn(start(op))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

/// The histories that begin with `history` and go on with `op`.
fn extend(
    op: Op,
    history: &mut Vec<Op>,
    depth: usize,
    before: &CrashDisk,
    model: &Model,
    config: Config,
) -> Result<usize, String> {
    history.push(op);
    let mut cases = 0;
    let mut stop = 0;
    let finished = loop {
        let (disk, mut after) = (before.copy(), model.clone());
        disk.stop_after(stop);
        let result = run(op, &disk, 1, config, &mut after);
        let stopped = disk.has_stopped();
        for how in Reboot::ALL {
            let disk = disk.copy();
            disk.reboot(how);
            let boot = if how == Reboot::Killed { 1 } else { 2 };
            check(&disk, boot, config, &after)
                .map_err(|e| format!("{history:?} stopped before step {stop}, {how:?}: {e}"))?;
            cases += 1;
        }
        if !stopped {
            result.map_err(|e| format!("{history:?} failed without a stop: {e}"))?;
            disk.reboot(Reboot::Killed);
            break (disk, after);
        }
        stop += 1;
    };
    if history.len() < depth {
        for next in OPS {
            cases += extend(next, history, depth, &finished.0, &finished.1, config)?;
        }
    }
    history.pop();
    Ok(cases)
}

const PLAIN: Config = Config { segment_bytes: 1 << 20, read_first: true, keep_torn_tails: false };
const SHORT_SEGMENTS: Config = Config { segment_bytes: 1, ..PLAIN };

#[test]
fn a_message_acknowledged_as_sent_is_readable_until_acknowledged_as_processed_exactly_once() {
    let cases = explore(3, Faults::default(), PLAIN).unwrap();
    println!("{cases} cases");
    assert!(cases > 15_000, "only {cases} cases");
}

#[test]
fn the_same_holds_while_segments_are_rolled() {
    let mut cases = explore(2, Faults::default(), SHORT_SEGMENTS).unwrap();
    cases += explore(2, Faults::default(), Config { read_first: false, ..SHORT_SEGMENTS }).unwrap();
    println!("{cases} cases");
    assert!(cases > 6_000, "only {cases} cases");
}

#[test]
fn a_disk_that_lies_is_noticed() {
    let lies = [
        Faults { ignore_sync: true, ..Faults::default() },
        Faults { ignore_sync_dir: true, ..Faults::default() },
    ];
    for faults in lies {
        let found = explore(2, faults, PLAIN).expect_err("the lie must be noticed");
        println!("{faults:?}: {found}");
    }
}

#[cfg(feature = "seeded-faults")]
#[test]
fn a_store_that_keeps_torn_tails_is_noticed() {
    let config = Config { keep_torn_tails: true, ..PLAIN };
    println!("{}", explore(2, Faults::default(), config).expect_err("the fault must be noticed"));
}

#[test]
fn a_failed_sync_is_reported_and_never_taken_for_durable() {
    use cmw::store::error::StoreError;
    let disk = CrashDisk::new();
    let registry = registry(&disk, 1, PLAIN);
    let to = || vec![role("Dev-B")];
    registry.append(&[message(1, to())]).unwrap();
    disk.lie(Faults { fail_sync: true, ..Faults::default() });
    let failed = registry.append(&[message(2, to())]);
    assert!(matches!(failed, Err(StoreError::Unconfirmed { .. })), "{failed:?}");
    // The disk says yes from now on, but it has forgotten what it could not write: who comes second
    // must not be told that the first one's bytes are safe.
    disk.lie(Faults::default());
    let inbox = Inbox::open(&registry, role("Dev-B"));
    assert!(matches!(inbox.list(NOW), Err(StoreError::Unconfirmed { .. })));
    // The next send writes them again.
    assert_eq!(registry.append_once(&[message(2, to()), message(3, to())], 0).unwrap(), [2, 3]);
    assert_eq!(shown(&inbox).unwrap().len(), 3);
    disk.reboot(Reboot::PowerLost);
    assert_eq!(registry.verify().unwrap().messages, 3);
}

/// Runs one operation after a message was sent and read, stopped at each step, its process killed
/// there; looks; then the power fails, and looks again.
fn look_twice(op: Op, again: impl Fn(&BTreeSet<MessageId>, &Inbox<'_, CrashDisk>)) {
    for stop in 0..60 {
        let (disk, mut model) = (CrashDisk::new(), Model::default());
        for op in [Op::Send, Op::List] {
            run(op, &disk, 1, PLAIN, &mut model).unwrap();
        }
        disk.stop_after(stop);
        let _ = run(op, &disk, 1, PLAIN, &mut model);
        disk.reboot(Reboot::Killed);
        let before = shown(&Inbox::open(&registry(&disk, 1, PLAIN), role("Dev-B"))).unwrap();
        for how in [Reboot::PowerLost, Reboot::InPlaceKept] {
            let disk = disk.copy();
            disk.reboot(how);
            again(&before, &Inbox::open(&registry(&disk, 2, PLAIN), role("Dev-B")));
        }
    }
}

#[test]
fn what_was_shown_does_not_vanish() {
    look_twice(Op::Send, |before, inbox| assert!(before.is_subset(&shown(inbox).unwrap())));
}

#[test]
fn what_was_taken_for_acknowledged_stays_so() {
    look_twice(Op::Ack, |before, inbox| assert_eq!(*before, shown(inbox).unwrap()));
    let id = message(0, vec![role("Dev-B")]).draft().id;
    look_twice(Op::Ack, |before, inbox| {
        let acked = inbox.ack(id, WorkOutcome::Done, "", "s", NOW).unwrap();
        assert_eq!(before.contains(&id), matches!(acked, AckOutcome::Now(_)), "{acked:?}");
    });
}

#[test]
fn a_full_disk_appends_nothing() {
    use cmw::store::error::StoreError;
    let disk = CrashDisk::new();
    let registry = registry(&disk, 1, PLAIN);
    registry.append(&[message(1, vec![role("Dev-B")])]).unwrap();
    disk.lie(Faults { full: true, ..Faults::default() });
    let refused = registry.append(&[message(2, vec![role("Dev-B")])]);
    assert!(matches!(refused, Err(StoreError::NotWritten { .. })), "{refused:?}");
    assert_eq!(registry.verify().unwrap().messages, 1);
}

#[test]
fn with_nothing_new_nothing_is_written() {
    let disk = CrashDisk::new();
    let registry = registry(&disk, 1, PLAIN);
    let inbox = Inbox::open(&registry, role("Dev-B"));
    let steps_of = |f: &dyn Fn()| {
        let before = disk.steps();
        f();
        disk.steps() - before
    };
    assert_eq!(steps_of(&|| drop(inbox.list(NOW).unwrap())), 0, "nothing was ever sent");
    registry.append(&[message(1, vec![role("Dev-B")])]).unwrap();
    assert!(steps_of(&|| drop(inbox.list(NOW).unwrap())) > 0);
    assert_eq!(steps_of(&|| drop(inbox.list(NOW).unwrap())), 0);
    assert_eq!(
        steps_of(&|| drop(Inbox::open(&registry, role("Dev-C")).mark_announced(&[], &[], "s", "hook", NOW))),
        2
    );
    assert!(inbox.claim_next("s", NOW).unwrap().message.is_some());
    assert_eq!(steps_of(&|| drop(inbox.list(NOW).unwrap())), 0);
    assert_eq!(steps_of(&|| drop(inbox.claim_next("s", NOW).unwrap())), 0);
}
