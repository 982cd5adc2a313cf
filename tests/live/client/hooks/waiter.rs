//! The process that wakes an idle client.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Client, Said, sent};
use crate::support::World;
use crate::support::agent::wait_until;

/// A waiter that sleeps.
fn waiter(client: &Client<'_>) -> Child {
    let child = client.begin("wait", json!({}));
    let me = format!("\"pid\":{}", child.id());
    wait_until("the waiter to wait", || {
        let record = client.world.at("repo/.git/cmw/clients").join(client.role).join("record");
        std::fs::read_to_string(record)
            .is_ok_and(|record| record.split("\"waiter\"").nth(1).is_some_and(|waiter| waiter.contains(&me)))
    });
    child
}

/// It has not ended for a while.
fn sleeps(child: &mut Child) {
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None);
}

/// It ends by itself, and gives the client nothing to do.
fn ends(mut child: Child) {
    wait_until("the waiter to end", || child.try_wait().unwrap().is_some());
    Said::of(child).nothing();
}

fn idle<'w>(world: &'w World, role: &'static str) -> Client<'w> {
    let client = Client::begun(world, role);
    client.event("Stop", json!({})).nothing();
    client
}

#[test]
fn mail_wakes_an_idle_client() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let mut waiter = waiter(&client);
    sleeps(&mut waiter);
    world.agent("Dev-B").ok("cmw-send Dev-A --subject 'wake up' 'there is work'");
    let said = Said::of(waiter);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(
        said.err.starts_with("cmw: 1 new message for Dev-A\n") && said.err.contains("  | there is work\n")
    );
    assert_eq!(sent(&world, "Dev-B")[0]["deliveries"][0]["seen"]["session"], "session-1");
    client.event("UserPromptSubmit", json!({"prompt": "<task-notification>"})).nothing();
}

#[test]
fn what_came_before_it_waits_is_told_at_once_and_what_is_low_never() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    world.agent("Dev-B").ok("cmw-send Dev-A --priority low --subject 'by the way' x");
    let mut sleeping = waiter(&client);
    sleeps(&mut sleeping);
    world.agent("Dev-B").ok("cmw-send Dev-A --subject now x");
    let said = Said::of(sleeping);
    assert!(said.code == 2 && said.err.contains("now") && said.err.contains("by the way"), "{said:?}");
    world.agent("Dev-B").ok("cmw-send Dev-A --subject before x");
    let said = client.event("wait", json!({}));
    assert!(said.code == 2 && said.err.contains("before"), "{said:?}");
}

#[test]
fn one_waiter_at_a_time() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let mut last = waiter(&client);
    for _ in 0..5 {
        let next = waiter(&client);
        ends(std::mem::replace(&mut last, next));
    }
    let together: Vec<Child> = (0..6).map(|_| client.begin("wait", json!({}))).collect();
    let mut together: Vec<Child> = together.into_iter().chain([last]).collect();
    wait_until("all but one to end", || {
        together.retain_mut(|child| child.try_wait().unwrap().is_none());
        together.len() <= 1
    });
    let mut left = together.pop().expect("one stays");
    sleeps(&mut left);
    world.agent("Dev-B").ok("cmw-send Dev-A --subject s x");
    assert_eq!(Said::of(left).code, 2);
}

#[test]
fn words_that_are_never_read_are_not_told() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let mut waiter = waiter(&client);
    // The client has died, and its end of the pipe with it.
    drop(waiter.stderr.take());
    world.agent("Dev-B").ok("cmw-send Dev-A --subject s x");
    wait_until("the waiter to end", || waiter.try_wait().unwrap().is_some());
    assert_eq!(waiter.wait().unwrap().code(), Some(0));
    assert_eq!(sent(&world, "Dev-B")[0]["deliveries"][0]["state"], "queued");
    assert!(client.batch().told().contains("(id "));
}

#[test]
fn it_ends_with_its_session() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let first = waiter(&client);
    client.event("SessionEnd", json!({"reason": "exit"})).nothing();
    ends(first);
    client.event("SessionStart", json!({"source": "startup"})).nothing();
    let second = waiter(&client);
    client.session.set("session-2");
    client.event("SessionStart", json!({"source": "clear"})).nothing();
    ends(second);
}

#[test]
fn it_ends_with_its_client() {
    let world = World::ready();
    let dev = world.agent("Dev-A");
    let hook = |event: &str| {
        format!("echo '{{\"session_id\":\"s\",\"source\":\"startup\"}}' | cmw-hook claude {event}")
    };
    // A client of its own process: it begins, becomes idle, starts its waiter and sleeps.
    let client = dev.spawn(&format!(
        "bash -c \"{}; {}; {} & sleep 600\"",
        hook("SessionStart").replace('"', "\\\""),
        hook("Stop").replace('"', "\\\""),
        hook("wait").replace('"', "\\\"")
    ));
    let waiter = || {
        let record = std::fs::read_to_string(world.at("repo/.git/cmw/clients/Dev-A/record")).ok()?;
        let pid = record.split("\"waiter\":{\"pid\":").nth(1)?.split(',').next()?.to_owned();
        std::path::Path::new("/proc").join(pid).exists().then_some(())
    };
    wait_until("the waiter to be there", || waiter().is_some());
    client.kill().ignored();
    wait_until("the waiter to be gone", || waiter().is_none());
}

#[test]
fn it_sleeps() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let mut waiter = waiter(&client);
    let used = |what: &str| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", waiter.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = used("voluntary_ctxt_switches");
    std::thread::sleep(Duration::from_secs(3));
    let woken = used("voluntary_ctxt_switches") - before;
    assert!(woken <= 2, "it was at work {woken} times in three seconds");
    let memory_kb = used("VmRSS");
    println!("a waiter uses {memory_kb} kB");
    waiter.kill().unwrap();
    waiter.wait().unwrap();
}

#[test]
fn who_works_is_told_by_the_waiter_only_after_a_long_silence() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    client.event("UserPromptSubmit", json!({"prompt": "x"})).nothing();
    world.agent("Dev-B").ok("cmw-send Dev-A --subject s x");
    let mut sleeping = waiter(&client);
    sleeps(&mut sleeping);
    client.ahead_ms.set(119_000);
    let mut next = waiter(&client);
    ends(sleeping);
    // Within a second or so two minutes are over.
    let began = Instant::now();
    wait_until("the doubt to win", || next.try_wait().unwrap().is_some());
    assert_eq!(Said::of(next).code, 2);
    assert!(began.elapsed() < Duration::from_secs(30), "two minutes were not waited for");
}

#[test]
fn a_limit_is_respected_until_its_end() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let until = cmw::domain::util::time::WallTime(cmw::adapters::os::clock::now().wall.0 + 3_600_000);
    let words = json!({"error": "rate_limit", "last_assistant_message": format!("limit; resets at {until}")});
    client.event("StopFailure", words).nothing();
    world.agent("Dev-B").ok("cmw-send Dev-A --subject s x");
    let mut sleeping = waiter(&client);
    sleeps(&mut sleeping);
    client.ahead_ms.set(3_600_001);
    assert_eq!(client.event("wait", json!({})).code, 2);
    ends(sleeping);
}

#[test]
fn a_limits_end_is_read_as_the_client_tells_it() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let now_min = cmw::adapters::os::clock::now().wall.0 / 60_000;
    let end_min = now_min + 130;
    // India is ahead by five hours and a half, all the year.
    let (hour, minute) = ((end_min + 330) / 60 % 24, (end_min + 330) % 60);
    let half = if hour < 12 { "am" } else { "pm" };
    let shown = format!("{}:{minute:02}{half} (Asia/Kolkata)", (hour + 11) % 12 + 1);
    let words = format!("You've hit your session limit \u{b7} resets {shown}");
    // The service's own words say nothing of it.
    let said = json!({"error": "rate_limit", "error_details": "429", "last_assistant_message": words});
    client.event("StopFailure", said).nothing();
    let until = cmw::domain::util::time::WallTime(end_min * 60_000).to_string();
    let record = world.read("repo/.git/cmw/clients/Dev-A/record");
    assert!(record.contains(&format!("\"until\":\"{until}\"")), "{shown}: {record}");
}

/// The state changes before its message is delivered: the waiter may wake in between.
fn is_told(world: &World, kind: &str) {
    wait_until(kind, || world.agent("Dev-A").run("cmw-inbox list --all").stdout.contains(kind));
}

#[test]
fn a_paused_role_is_left_alone_until_it_is_resumed() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let mut sleeping = waiter(&client);
    world.person().ok("cmw pause Dev-A --reason quiet");
    world.agent("Dev-B").ok("cmw-send Dev-A --subject work x");
    sleeps(&mut sleeping);
    world.person().ok("cmw resume Dev-A");
    let said = Said::of(sleeping);
    assert!(said.code == 2 && said.err.contains("work"), "{said:?}");
    is_told(&world, "INSTANCE_RESUMED");
}

#[test]
fn a_freeze_wakes_and_other_mail_does_not_until_the_thaw() {
    let world = World::ready();
    let client = idle(&world, "Dev-A");
    let frozen = waiter(&client);
    world.person().ok("cmw-freeze now --reason look");
    let said = Said::of(frozen);
    assert!(said.code == 2 && said.err.contains("SYSTEM_FREEZE"), "{said:?}");
    client.event("Stop", json!({})).nothing();
    let mut sleeping = waiter(&client);
    world.agent("Dev-B").ok("cmw-send Dev-A --subject work x");
    sleeps(&mut sleeping);
    world.person().ok("cmw-freeze thaw --reason looked");
    let said = Said::of(sleeping);
    assert!(said.code == 2 && said.err.contains("work"), "{said:?}");
    is_told(&world, "SYSTEM_UNFROZEN");
}

#[test]
fn a_role_that_can_be_woken_is_there_for_an_offer() {
    let world = World::ready();
    world.agent("Dev-B").ok("cmw-lock acquire --estimate 10m");
    let client = idle(&world, "Dev-A");
    let refused = client.shell("git commit -m x");
    assert!(refused.code == 2 && refused.err.contains("number 1 in the queue"), "{refused:?}");
    client.event("Stop", json!({})).nothing();
    // Two minutes later it is still known to be there, by its waiter alone.
    client.ahead_ms.set(120_000);
    world.pass_ms(120_000);
    let beat = || std::fs::read(world.at("repo/.git/cmw/beats/Dev-A")).ok();
    let before = beat();
    let waiter = waiter(&client);
    wait_until("a sign of life from the waiter", || beat() != before);
    world.agent("Dev-B").ok("cmw-lock release");
    let said = Said::of(waiter);
    assert!(said.code == 2 && said.err.contains("WRITE_LOCK_OFFERED"), "{said:?}");
    world.agent("Dev-A").ok("echo x >>a && cmw-commit -m x -- a");
}

#[test]
fn the_doctor_sees_that_nothing_would_wake_a_client() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-heartbeat register");
    let client = idle(&world, "Dev-A");
    let mut waiter = waiter(&client);
    world.pass_ms(61_000);
    let watched = world.person().run("cmw-doctor").all();
    assert!(!watched.contains("no process would wake it"), "{watched}");
    waiter.kill().unwrap();
    waiter.wait().unwrap();
    let alone = world.person().run("cmw-doctor").all();
    assert!(alone.contains("the client of Dev-A is idle, and no process would wake it"), "{alone}");
    assert!(alone.contains("cmw-session stop Dev-A && cmw-session start Dev-A"), "{alone}");
}
