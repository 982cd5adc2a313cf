//! Tests of undelivered messages: the sender and the person are told.

use serde_json::{Value, json};

use super::{Client, sent};
use crate::support::agent::wait_until;
use crate::support::{Agent, World};

/// Two registered roles; Dev-B is the one that looks.
fn registered() -> World {
    let world = World::ready();
    for role in ["Dev-A", "Dev-B"] {
        world.agent(role).ok("cmw-heartbeat register");
    }
    world
}

/// Dev-B looks once, this much later.
fn looks_after(world: &World, ms: i64) {
    world.pass_ms(ms);
    let looking = world.agent("Dev-B").spawn("cmw-heartbeat run");
    std::thread::sleep(std::time::Duration::from_millis(700));
    looking.kill().ignored();
}

fn state(world: &World) -> String {
    sent(world, "Dev-B")[0]["deliveries"][0]["state"].as_str().unwrap().to_owned()
}

/// The subjects of the notes of undelivered messages in a mailbox.
fn told(who: &Agent) -> Vec<String> {
    let list = who.ok("cmw-inbox list --all --json");
    let list = serde_json::from_str::<Value>(&list).unwrap()["data"].clone();
    let of = |message: &&Value| message["type"] == "MESSAGE_UNDELIVERED";
    let subject = |message: &Value| message["subject"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().filter(of).map(subject).collect()
}

#[test]
fn an_unseen_message_is_reported_once_to_the_sender_and_the_person() {
    let world = registered();
    world.agent("Dev-B").ok("cmw-send Dev-A --subject first x; cmw-send Dev-A --subject second x");
    looks_after(&world, 50_000);
    assert_eq!(state(&world), "queued", "not yet");
    looks_after(&world, 20_000);
    assert_eq!(state(&world), "undelivered");
    for _ in 0..3 {
        looks_after(&world, 60_000);
    }
    for who in [world.person(), world.agent("Dev-B")] {
        let told = told(&who);
        assert!(
            matches!(told.as_slice(), [one] if one.starts_with("2 unseen by Dev-A: ") && one.ends_with(" first")),
            "{told:?}"
        );
    }
    let screen = world.person().ok("cmw");
    assert!(screen.contains("UNDELIVERED  Dev-A 2"), "{screen}");
    let log = world.person().ok("cmw-audit log");
    assert_eq!(log.matches("MESSAGES_UNDELIVERED").count(), 1, "{log}");
    // It is late, and not lost.
    let client = Client::of(&world, "Dev-A");
    assert!(client.event("SessionStart", json!({"source": "startup"})).told().contains("second"));
    assert_eq!(state(&world), "seen");
    let screen = world.person().ok("cmw");
    assert!(!screen.contains("Dev-A 2"), "{screen}");
    let shown = world.agent("Dev-B").ok("cmw-inbox sent");
    assert!(shown.contains(", undelivered ") && shown.contains(", seen "), "{shown}");
}

#[test]
fn who_is_at_work_has_more_time() {
    let world = registered();
    let client = Client::begun(&world, "Dev-A");
    client.event("UserPromptSubmit", json!({"prompt": "x"})).nothing();
    world.agent("Dev-B").ok("cmw-send Dev-A --subject s x");
    looks_after(&world, 590_000);
    assert_eq!(state(&world), "queued");
    looks_after(&world, 20_000);
    assert_eq!(state(&world), "undelivered");
}

#[test]
fn who_was_told_or_need_not_be_is_not_reported() {
    let world = registered();
    let client = Client::begun(&world, "Dev-A");
    let other = world.agent("Dev-B");
    other.ok("for i in $(seq 60); do cmw-send -q Dev-A --subject s \"$(printf '%0300d' $i)\"; done");
    assert!(client.batch().told().contains(" more: "));
    assert!(!client.batch().told().contains(" more: "));
    looks_after(&world, 3_600_000);
    assert_eq!(state(&world), "notified", "it knows that there is mail");
    other.ok("cmw-send Dev-A --priority low --subject s x");
    looks_after(&world, 3_600_000);
    assert_eq!(state(&world), "queued", "that can wait");
    other.ok("cmw-send Dev-A --subject s x");
    world.person().ok("cmw pause Dev-A");
    looks_after(&world, 3_600_000);
    assert_eq!(state(&world), "queued", "the person wants it quiet");
    other.ok("cmw-send Dev-A --ttl 1m --subject s x");
    world.person().ok("cmw resume");
    looks_after(&world, 3_600_000);
    assert_ne!(state(&world), "undelivered", "it is of no use any more");
}

#[test]
fn who_waits_is_told_when_it_was_seen_or_is_late() {
    let world = registered();
    let client = Client::begun(&world, "Dev-A");
    let sending = world.agent("Dev-B").spawn("cmw-send Dev-A --wait 20s --subject s x");
    let new = world.at("repo/.git/messages/Dev-A/new");
    let arrives = || wait_until("it to arrive", || std::fs::read_dir(&new).is_ok_and(|dir| dir.count() > 0));
    arrives();
    assert!(client.batch().told().contains("(id "));
    assert_eq!(sending.wait().code, 0);
    let sending = world.another("Dev-B-2", "Dev-B").spawn("cmw-send Dev-A --wait 5m --subject s x");
    arrives();
    client.event("Stop", json!({"agent_id": "none of its turns ends"})).nothing();
    looks_after(&world, 700_000);
    let said = sending.wait();
    assert_eq!(said.code, 75, "{said}");
    assert!(said.stderr.contains("undelivered, the User is notified"), "{said}");
}
