//! Waiting, on both sides, and messages whose time is up.

use std::time::Instant;

use cmw::adapters::os::clock;
use cmw::domain::identity::actor::{Actor, Mailbox};
use cmw::domain::identity::role::Role;
use cmw::domain::mail::id::MessageId;
use cmw::domain::mail::message::Draft;
use cmw::store::disk::RealDisk;
use cmw::store::mail::registry::Registry;

use super::id;
use crate::support::{World, assert_transcript};

#[test]
fn a_sender_waits_until_it_is_seen_or_acknowledged() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    let text = world.transcript(|t| {
        t.agent("Dev-A", &format!("cmw-send @dev hello --wait 100ms --id {}", id("A1"))).ignored();
        let pending = from.spawn(&format!("cmw-send Dev-B seen? --wait 50s --id {}", id("B1")));
        to.ok("cmw-inbox wait --timeout 50s --quiet && until cmw-inbox show W2B1; do :; done");
        t.show(&pending.wait());
        let pending = from.spawn(&format!("cmw-send Dev-B ack? --ack --wait 50s --id {}", id("C1")));
        to.ok("until cmw-inbox show W2C1; do :; done");
        t.agent("Dev-A", &format!("cmw-send Dev-B ack? --ack --wait 1ms --id {}", id("C1"))).ignored();
        assert!(!pending.is_over(), "seen is not acknowledged");
        to.ok("cmw-inbox ack W2C1");
        t.show(&pending.wait());
        let pending = from.spawn(&format!("cmw-send ALL fail? --ack --wait 50s --id {}", id("D1")));
        to.ok("until cmw-inbox fail W2D1 --note 'not mine'; do :; done");
        for role in [
            "Orchestrator",
            "Librarian",
            "Planner-A",
            "Planner-B",
            "Architect-A",
            "Architect-B",
            "Architect-C",
        ] {
            world.agent(role).ok("cmw-inbox ack W2D1");
        }
        for role in ["QA-A", "QA-B", "Docs"] {
            world.agent(role).ok("cmw-inbox ack W2D1");
        }
        world.person().ok("cmw-inbox ack W2D1");
        t.show(&pending.wait());
        t.agent("Dev-A", &format!("cmw-send Dev-B late --ttl 1ms --wait 50s --id {}", id("E1"))).ignored();
        t.agent(
            "Dev-A",
            "cmw-send Dev-B x --wait 1ms --json | jq -c '[.code, .data.deliveries[0].state, .hint]'",
        )
        .ignored();
    });
    assert_transcript("mail-wait", &text);
}

#[test]
fn a_reader_waits_for_a_message_of_a_type() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    let output = to.fails(75, "cmw-inbox wait --timeout 50ms");
    assert!(output.stdout.is_empty() && output.stderr.contains("no message arrived within"), "{output}");
    let any = to.spawn("cmw-inbox wait --timeout 50s");
    let answer = to.spawn("cmw-inbox wait --type ANSWER --timeout 50s");
    from.ok("cmw-send QA-A 'for somebody else'");
    from.ok("cmw-send Dev-B what? --type QUESTION");
    let output = any.wait();
    assert!(output.code == 0 && output.stdout.contains("QUESTION"), "{output}");
    assert!(!answer.is_over());
    from.ok("cmw-send Dev-B that --type ANSWER");
    let output = answer.wait();
    assert!(output.stdout.contains("ANSWER") && !output.stdout.contains("QUESTION"), "{output}");
    to.ok("cmw-inbox next; cmw-inbox next");
    to.fails(75, "cmw-inbox wait --type ANSWER --timeout 50ms").ignored();
    to.fails(2, "cmw-inbox wait --type 'no type'").ignored();
}

#[test]
fn a_waiter_does_not_poll() {
    let world = World::ready();
    let waiter = world.agent("Dev-B").spawn("cmw-inbox wait --timeout 50s");
    let sender = world.agent("Dev-A").spawn("cmw-send Dev-B hello --wait 50s --type ANSWER");
    waiter.wait().ignored();
    let pid = sender.pid();
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).unwrap();
        line.split_ascii_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    let settled = || std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|w| w.contains("poll"));
    crate::support::agent::wait_until("the sender to sleep", settled);
    let before = switches();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(switches(), before);
    sender.kill().ignored();
}

#[test]
fn a_message_whose_sender_died_before_the_mailbox_wakes_the_reader() {
    let world = World::ready();
    let to = world.agent("Dev-B");
    world.agent("Dev-A").ok("cmw-send Dev-B first");
    to.ok("cmw-inbox next");
    let waiting = to.spawn("cmw-inbox wait --timeout 50s");
    std::thread::sleep(std::time::Duration::from_millis(100));
    let disk = RealDisk::open(&world.at("repo/.git")).unwrap();
    let role = |name| Role::parse(name).unwrap();
    let recipients = vec![Mailbox::Role(role("Dev-B"))];
    let id = MessageId::from_parts(1, 1);
    let mut draft =
        Draft::new(id, Actor::Role(role("Dev-A")), "Dev-B".to_owned(), recipients, clock::now().wall);
    draft.subject = "never copied".to_owned();
    let start = Instant::now();
    Registry::new(&disk, clock::boot_id()).append(&[draft.seal().unwrap()]).unwrap();
    let output = waiting.wait();
    assert!(output.stdout.contains("never copied"), "{output}");
    assert!(start.elapsed().as_secs() < 30, "woken, not timed out");
}

#[cfg(feature = "test-clock")]
#[test]
fn an_expired_message_leaves_unread_and_its_sender_sees_it() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    from.ok(&format!("cmw-send Dev-B soon --ttl 1h --id {}", id("A1")));
    from.ok(&format!("cmw-send Dev-B later --ttl 3h --id {}", id("B1")));
    world.pass_ms(2 * 3_600_000);
    let list = to.ok("cmw-inbox");
    assert!(list.contains("later") && !list.contains("soon") && list.contains("  2h  "), "{list}");
    assert_eq!(
        from.ok("cmw-inbox sent --json | jq -c '[.data[].deliveries[0].state]'"),
        "[\"queued\",\"expired\"]\n"
    );
    let output = to.fails(1, "cmw-inbox ack W2A1");
    assert!(output.stderr.contains("expired at"), "{output}");
    assert!(to.ok("cmw-inbox show W2A1").contains("soon"), "it can be looked up");
    // Taken up, it may still be acknowledged.
    to.ok("cmw-inbox show W2B1");
    world.pass_ms(2 * 3_600_000);
    to.ok("cmw-inbox ack W2B1");
    assert_eq!(
        from.ok("cmw-inbox sent --json | jq -c '[.data[].deliveries[0].state]'"),
        "[\"done\",\"expired\"]\n"
    );
}

#[test]
fn an_expired_message_is_not_waited_for() {
    let world = World::ready();
    let start = Instant::now();
    let output = world.agent("Dev-A").fails(1, "cmw-send Dev-B late --ttl 50ms --wait 50s");
    assert!(output.stderr.contains("Dev-B: expired"), "{output}");
    assert!(start.elapsed().as_secs() < 30);
    world.agent("Dev-B").fails(1, "cmw-inbox next").ignored();
    assert!(world.agent("Dev-A").ok("cmw-inbox sent").contains("expired"));
}
