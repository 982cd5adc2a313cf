//! Tests of the inbox: visibility, acknowledgement, recovery after a crash.

use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::mail::message::{Body, Draft, SealedMessage};
use crate::domain::mail::receipt::DeliveryState;
use crate::domain::util::time::BootId;
use crate::store::disk::RealDisk;
use crate::store::mail::inbox::*;
use crate::store::mail::mail_query;
use crate::store::mail::mailbox::deliver;

const NOW: WallTime = WallTime(1_763_334_000_000);

fn role(name: &str) -> Mailbox {
    Mailbox::Role(Role::parse(name).unwrap())
}

fn draft(n: u128) -> Draft {
    let from = Actor::Role(Role::parse("Dev-A").unwrap());
    let mut draft =
        Draft::new(MessageId::from_parts(NOW.0, n), from, "Dev-B".into(), vec![role("Dev-B")], NOW);
    draft.subject = format!("number {n}");
    draft.body = Body::text("Quite a Text").unwrap();
    draft
}

fn message(n: u128) -> SealedMessage {
    draft(n).seal().unwrap()
}

fn with(f: impl FnOnce(&RealDisk, &Registry<'_, RealDisk>, &Inbox<'_, RealDisk>)) {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(dir.path()).unwrap();
    let registry = Registry::new(&disk, BootId("this".to_owned()));
    let inbox = Inbox::open(&registry, role("Dev-B"));
    f(&disk, &registry, &inbox);
}

fn subjects(inbox: &Inbox<'_, RealDisk>) -> Vec<String> {
    inbox.list(NOW).unwrap().messages.into_iter().map(|held| held.envelope.draft.subject).collect()
}

#[test]
fn what_is_shown_is_what_the_registry_has() {
    with(|disk, registry, inbox| {
        registry.append(&[message(1), message(2), message(3)]).unwrap();
        assert_eq!(subjects(inbox), ["number 1", "number 2", "number 3"]);
        let new = |n: usize| format!("messages/Dev-B/new/{}", inbox.files.names(MailDir::New).unwrap()[n]);
        // One file is changed, with a digest that matches; one is planted; one is a link; one was emptied.
        let mut forged = message(1).draft().clone();
        forged.subject = "forged".into();
        let name = new(0);
        disk.remove(&name).unwrap();
        disk.create_new(&name, forged.seal().unwrap().numbered(1).to_file().as_bytes()).unwrap();
        let planted = message(7).numbered(7);
        let path = format!("messages/Dev-B/cur/{}", file_name(7, planted.id));
        disk.ensure_dir("messages/Dev-B/cur").unwrap();
        disk.create_new(&path, planted.to_file().as_bytes()).unwrap();
        disk.create_new("messages/Dev-B/new/notes.txt", b"mine").unwrap();
        let second = new(1);
        disk.remove(&second).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", disk.path().join(&second)).unwrap();
        disk.truncate(&new(2), 0).unwrap();
        let listing = inbox.list(NOW).unwrap();
        let mut reasons: Vec<(&str, bool)> =
            listing.quarantined.iter().map(|q| (q.why.as_str(), q.restored.is_some())).collect();
        reasons.sort_unstable();
        let link = format!("{second} is a symbolic link, which cmw never creates");
        assert_eq!(
            reasons,
            [
                ("it differs from the registry", true),
                ("its name is not that of a message", false),
                (link.as_str(), true),
                ("the registry does not know it", false),
            ]
        );
        assert_eq!(subjects(inbox), ["number 1", "number 2", "number 3"]);
        assert_eq!(disk.list("messages/Dev-B/bad").unwrap().len(), 4);
        assert!(inbox.list(NOW).unwrap().quarantined.is_empty());
        // A file that a person reformats has the same content.
        let text = format!("{}\n", message(1).numbered(1).to_value());
        let name = new(0);
        disk.remove(&name).unwrap();
        disk.create_new(&name, text.as_bytes()).unwrap();
        assert_eq!(inbox.list(NOW).unwrap().quarantined, []);
    });
}

#[test]
fn a_mailbox_goes_from_new_to_done() {
    with(|disk, registry, inbox| {
        let seqs = registry.append(&[message(1), message(2)]).unwrap();
        let envelopes = [message(1).numbered(seqs[0]), message(2).numbered(seqs[1])];
        assert!(deliver(disk, &envelopes).is_empty());
        assert_eq!(inbox.files.names(MailDir::New).unwrap().len(), 2);
        inbox.mark_announced(&[], &[&envelopes[0]], "s", "hook", NOW).unwrap();
        let state = || mail_query::deliveries(registry, &envelopes[0]).unwrap()[0].1.state();
        assert_eq!(state(), DeliveryState::Notified);
        assert_eq!(inbox.claim_next("s", NOW).unwrap().message.unwrap().seq, 1);
        assert_eq!(inbox.claim(envelopes[0].id, "s", NOW).unwrap().message, None);
        assert_eq!(state(), DeliveryState::Seen);
        assert!(inbox.show(envelopes[0].id, NOW).unwrap().unwrap().claimed);
        let ack = || inbox.ack(envelopes[0].id, WorkOutcome::Failed, "no time", "s", NOW).unwrap();
        assert!(matches!(ack(), AckOutcome::Now(_)));
        let AckOutcome::AlreadyAcknowledged(stamp) = ack() else { panic!("once is enough") };
        assert!(matches!(stamp.step, ReceiptStep::Acknowledged { outcome: WorkOutcome::Failed, .. }));
        assert_eq!(state(), DeliveryState::Failed);
        assert_eq!(subjects(inbox), ["number 2"]);
        let unknown = MessageId::from_parts(1, 1);
        assert_eq!(inbox.ack(unknown, WorkOutcome::Done, "", "s", NOW).unwrap(), AckOutcome::Unknown);
        // A late sender finds the reader ahead, and delivers nothing twice.
        assert!(deliver(disk, &envelopes).is_empty());
        assert_eq!(subjects(inbox), ["number 2"]);
        let sent = mail_query::sent(registry, &message(1).draft().from, 5).unwrap();
        let states: Vec<_> = sent.iter().map(|s| (s.envelope.seq, s.deliveries[0].1.state())).collect();
        assert_eq!(states, [(2, DeliveryState::Queued), (1, DeliveryState::Failed)]);
    });
}

#[test]
fn what_expires_leaves_and_says_so() {
    with(|_, registry, inbox| {
        let mut soon = draft(1);
        soon.expires_at = Some(WallTime(NOW.0 + 10));
        let sealed = soon.seal().unwrap();
        registry.append(&[sealed.clone(), message(2)]).unwrap();
        assert_eq!(subjects(inbox).len(), 2);
        let later = inbox.list(WallTime(NOW.0 + 11)).unwrap();
        assert_eq!(later.messages.len(), 1);
        let delivery = &mail_query::deliveries(registry, &sealed.numbered(1)).unwrap()[0].1;
        assert_eq!(delivery.state(), DeliveryState::Expired);
        assert_eq!(subjects(inbox).len(), 1, "it does not come back when the clock is set back");
    });
}

#[test]
fn an_interrupted_acknowledgement_is_finished() {
    with(|_, registry, inbox| {
        registry.append(&[message(1)]).unwrap();
        let envelope = inbox.list(NOW).unwrap().messages.remove(0).envelope;
        let step = ReceiptStep::Acknowledged {
            outcome: WorkOutcome::Done,
            note: String::new(),
            session: "s".into(),
        };
        let place = inbox.catch_up().unwrap();
        inbox.receipts.append(&receipt(&envelope, &place, NOW, step)).unwrap();
        assert_eq!(inbox.files.names(MailDir::New).unwrap().len(), 1);
        assert_eq!(subjects(inbox), Vec::<String>::new());
        let again = inbox.ack(envelope.id, WorkOutcome::Done, "", "s", NOW).unwrap();
        assert!(matches!(again, AckOutcome::AlreadyAcknowledged(_)));
    });
}

#[test]
fn a_reader_of_another_history_starts_again() {
    with(|disk, registry, inbox| {
        registry.append(&[message(1), message(2)]).unwrap();
        assert_eq!(subjects(inbox).len(), 2);
        inbox.ack(message(1).draft().id, WorkOutcome::Done, "", "s", NOW).unwrap();
        // The registry is restored from a backup that had only the first message.
        disk.rename("message-registry.json", "kept").unwrap();
        for name in disk.list("cmw/registry").unwrap() {
            disk.remove(&format!("cmw/registry/{name}")).unwrap();
        }
        registry.append(&[message(1), message(5), message(6)]).unwrap();
        let listing = inbox.list(NOW).unwrap();
        let ids: Vec<_> = listing.messages.iter().map(|held| held.envelope.id).collect();
        assert_eq!(ids, [message(5).draft().id, message(6).draft().id]);
        assert_eq!(listing.quarantined.len(), 1, "the second message is no longer in the registry");
    });
}

#[test]
fn deleted_files_come_back_by_recheck() {
    with(|disk, registry, inbox| {
        registry.append(&[message(1), message(2), message(3)]).unwrap();
        inbox.ack(message(1).draft().id, WorkOutcome::Done, "", "s", NOW).unwrap();
        for name in inbox.files.names(MailDir::New).unwrap() {
            disk.remove(&inbox.files.path(MailDir::New, &name)).unwrap();
        }
        assert_eq!(subjects(inbox), Vec::<String>::new());
        inbox.verify_all().unwrap();
        assert_eq!(subjects(inbox), ["number 2", "number 3"]);
    });
}

#[test]
fn threads_and_search_know_the_archive() {
    with(|_, registry, inbox| {
        let mut answer = draft(2).replying_to(message(1).draft());
        answer.subject = "An Answer".into();
        registry.append(&[message(1), message(3), answer.seal().unwrap()]).unwrap();
        inbox.ack(message(1).draft().id, WorkOutcome::Done, "", "s", NOW).unwrap();
        let seqs = |found: Vec<Envelope>| found.iter().map(|e| e.seq).collect::<Vec<_>>();
        let id = draft(2).id;
        assert_eq!(seqs(mail_query::thread(registry, &role("Dev-B"), id).unwrap()), [1, 3]);
        assert_eq!(seqs(mail_query::thread(registry, &role("Docs"), id).unwrap()), Vec::<u64>::new());
        let search = |text, limit| seqs(mail_query::search(registry, &role("Dev-B"), text, limit).unwrap());
        assert_eq!(search("quite A TEXT", 2), [3, 2]);
        assert_eq!(search("an answer", 9), [3]);
        assert_eq!(mail_query::search(registry, &Mailbox::User, "text", 9).unwrap(), []);
    });
}

#[test]
fn two_readers_claim_each_message_once() {
    const COUNT: u128 = 200;
    let dir = tempfile::tempdir().unwrap();
    let boot = || BootId("this".to_owned());
    let claimed: Vec<u64> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let disk = RealDisk::open(dir.path()).unwrap();
                    let registry = Registry::new(&disk, boot());
                    let inbox = Inbox::open(&registry, role("Dev-B"));
                    let mut mine = Vec::new();
                    while mine.last() != Some(&u64::try_from(COUNT).unwrap()) {
                        let Some(envelope) = inbox.claim_next("s", NOW).unwrap().message else {
                            if registry.last_seq().unwrap() == u64::try_from(COUNT).unwrap() {
                                break;
                            }
                            continue;
                        };
                        mine.push(envelope.seq);
                        let acked = inbox.ack(envelope.id, WorkOutcome::Done, "", "s", NOW).unwrap();
                        assert!(matches!(acked, AckOutcome::Now(_)), "{acked:?}");
                    }
                    mine
                })
            })
            .collect();
        let disk = RealDisk::open(dir.path()).unwrap();
        let registry = Registry::new(&disk, boot());
        for n in 0..COUNT {
            let seq = registry.append(&[message(n)]).unwrap()[0];
            drop(deliver(&disk, &[message(n).numbered(seq)]));
        }
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    let disk = RealDisk::open(dir.path()).unwrap();
    let registry = Registry::new(&disk, boot());
    let inbox = Inbox::open(&registry, role("Dev-B"));
    let mut all = claimed;
    while let Some(envelope) = inbox.claim_next("s", NOW).unwrap().message {
        all.push(envelope.seq);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<u64>>());
}
