//! Tests of an agent's mail when its client dies, is limited, forgets, or rests for long.

use std::time::{Duration, Instant};

use cmw::adapters::os::process;
use cmw::store::disk::{Disk, RealDisk};

use super::lab::Lab;
use super::model::Fault;
use super::sight::{Used, is_slow_run};

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn short_a_client_is_told_which_role_it_plays() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A", "Dev-B"]);
    for role in ["Dev-A", "Dev-B"] {
        lab.turn(role, "SAY: hello");
        let system = &lab.model.requests(role)[0].system;
        assert!(system.contains(role) && system.contains("cmw-inbox"), "{system}");
    }
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn killed_and_resumed_it_gets_what_it_has_not_acknowledged() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.turn("Dev-A", "RUN: echo before the end");
    let (done, _) = lab.send("Orchestrator", "Dev-A", &["--ack"], "to be done");
    lab.until_told("Dev-A", "to be done");
    lab.wait("Dev-A", "the turn to end", || lab.events("Dev-A", "Stop").len() > 1);
    lab.turn("Dev-A", &format!("RUN: cmw-inbox ack {done}"));
    lab.send("Orchestrator", "Dev-A", &["--ack"], "still to be done");
    lab.until_told("Dev-A", "still to be done");
    lab.until_turns("Dev-A", 4);
    for (options, subject) in [(&["--priority", "high"][..], "urgent and seen"), (&[], "plain and seen")] {
        lab.send("Orchestrator", "Dev-A", options, subject);
        lab.until_told("Dev-A", subject);
    }
    lab.until_shown("Dev-A", "idle");
    let session = lab.session("Dev-A");
    lab.kill("Dev-A");
    lab.send("Orchestrator", "Dev-A", &[], "while it was gone");
    let had = lab.model.requests("Dev-A").len();
    lab.tool("cmw-session", &["start", "Dev-A"]).ok();
    lab.until_ready("Dev-A");
    assert_eq!(lab.session("Dev-A"), session, "the same session goes on");
    assert_eq!(lab.events("Dev-A", "SessionStart").pop().unwrap()["source"], "resume");
    lab.turn("Dev-A", "RUN: echo after the end");
    let after = &lab.model.requests("Dev-A")[had..];
    assert!(after[0].all().contains("before the end"), "it remembers: {}", lab.report("Dev-A"));
    let again = |text: &str| after.iter().filter(|request| request.tells(text)).count();
    for (text, times) in [
        (": still to be done (", 1),
        (": urgent and seen (", 1),
        (": while it was gone (", 1),
        (": plain and seen (", 0),
        (&done[done.len() - 8..], 0),
    ] {
        assert_eq!(again(text), times, "{text}: {}", lab.report("Dev-A"));
    }
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn after_a_usage_limit_it_still_wakes() {
    const LIMITED: Duration = Duration::from_secs(15);
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.turn("Dev-A", "SAY: hello");
    lab.model.fail("Dev-A", 100, Fault::Limit(LIMITED));
    lab.type_prompt("Dev-A", "SAY: too much");
    lab.wait("Dev-A", "the turn to fail", || !lab.events("Dev-A", "StopFailure").is_empty());
    let failed = &lab.events("Dev-A", "StopFailure")[0];
    assert_eq!(failed["error"], "rate_limit", "{failed}");
    let limited = lab.model.requests("Dev-A").len();
    lab.until_shown("Dev-A", "limit_reached");
    let begin = lab.model.requests("Dev-A")[limited - 1].at;
    lab.send("Orchestrator", "Dev-A", &[], "when there is use again");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(lab.model.requests("Dev-A").len(), limited, "no use is tried while there is none");
    lab.model.fail("Dev-A", 0, Fault::Overloaded);
    let told = lab.until_told("Dev-A", "when there is use again");
    let after = told.at - begin;
    println!("limited for {LIMITED:?}, told after {} ms", after.as_millis());
    assert!(after + Duration::from_secs(1) > LIMITED, "it waits for the end that the client was told");
    lab.until_shown("Dev-A", "idle");
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn what_it_was_told_in_a_turn_that_a_limit_stopped_is_done_afterwards() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.turn("Dev-A", "SAY: hello");
    lab.model.fail("Dev-A", 1, Fault::Limit(Duration::from_secs(5)));
    lab.send("Orchestrator", "Dev-A", &["--subject", "a task"], "do this\nRUN: echo worked");
    let told = lab.until_told("Dev-A", ": a task");
    assert_eq!(told.status, 429);
    lab.until_shown("Dev-A", "limit_reached");
    let after = lab.until_told("Dev-A", "Go on with what you were doing");
    println!("gone on with {} ms after it was stopped", (after.at - told.at).as_millis());
    lab.until_done("Dev-A", "worked");
    lab.until_turns("Dev-A", 2);
    lab.until_shown("Dev-A", "idle");
    assert_eq!(
        lab.times_told("Dev-A", ": a task"),
        1,
        "{}",
        lab.model.requests("Dev-A").pop().unwrap().all()
    );
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(lab.model.count_containing("Dev-A", "Go on with what you were doing"), 1);
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn no_second_waiter_stays() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    let waiters = || {
        let all = lab.processes().into_iter().filter(|(_, words)| words.contains("claude wait"));
        all.map(|(pid, _)| pid).collect::<Vec<u32>>()
    };
    let settled = |what: &str, n: usize| lab.wait("Dev-A", what, || waiters().len() == n);
    settled("a waiter", 1);
    for n in 0..4 {
        lab.turn("Dev-A", &format!("RUN: echo turn {n}"));
        std::thread::sleep(Duration::from_secs(1));
        settled("one waiter", 1);
    }
    lab.send("Orchestrator", "Dev-A", &[], "and one by mail");
    lab.until_told("Dev-A", "and one by mail");
    lab.wait("Dev-A", "the turn to end", || lab.events("Dev-A", "Stop").len() > 4);
    std::thread::sleep(Duration::from_secs(1));
    settled("one waiter", 1);
    lab.kill("Dev-A");
    settled("no waiter", 0);
    lab.tool("cmw-session", &["start", "Dev-A"]).ok();
    lab.until_ready("Dev-A");
    settled("a waiter again", 1);
    lab.keys("Dev-A", "/exit", &["Enter"]);
    settled("no waiter after a farewell", 0);
    let client = lab.instance("Dev-A").process;
    lab.wait("Dev-A", "the client to be gone", || !process::is_alive(&client));
    lab.tool("cmw-session", &["start", "Dev-A"]).ok();
    settled("a waiter once more", 1);
    let begun = Instant::now();
    lab.tool("cmw-session", &["down"]).ok();
    println!("an idle client is gone {} ms after cmw-session down", begun.elapsed().as_millis());
    settled("no waiter when all is over", 0);
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn a_waiter_outlives_that_its_record_is_busy_for_a_while() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.until_waiters("Dev-A", 1);
    let disk = RealDisk::open(&lab.repo.join(".git")).unwrap();
    let busy = disk.lock("cmw/clients/Dev-A/lock", 5_000).unwrap();
    lab.send("Orchestrator", "Dev-A", &[], "while it is busy");
    std::thread::sleep(Duration::from_secs(4));
    drop(busy);
    lab.until_told("Dev-A", "while it is busy");
    assert_eq!(lab.model.count_containing("Dev-A", "MESSAGE from Orchestrator: while it is busy"), 1);
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn a_turn_that_the_person_breaks_off_loses_no_mail() {
    if !is_slow_run("two minutes") {
        return;
    }
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    // The client refuses a long sleep by itself.
    lab.type_prompt("Dev-A", "RUN: while [ ! -e never ]; do sleep 0.2; done");
    lab.until_told("Dev-A", "-e never");
    std::thread::sleep(Duration::from_secs(1));
    lab.keys("Dev-A", "", &["Escape"]);
    lab.wait("Dev-A", "the turn to be broken off", || lab.screen("Dev-A").contains("Interrupted"));
    let (_, sent) = lab.send("Orchestrator", "Dev-A", &[], "after the break");
    // No hook tells of it; what the client was doing is in doubt for two minutes.
    let told =
        lab.model.wait_for("Dev-A", Duration::from_secs(180), |request| request.tells("after the break"));
    let told = told.unwrap_or_else(|_| panic!("{}", lab.report("Dev-A")));
    println!("after a turn that was broken off: {} s after it was sent", (told.at - sent).as_secs());
    assert_eq!(lab.model.count_containing("Dev-A", "after the break"), 1);
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn a_compacted_session_wakes_and_is_told_again_what_is_open() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    tell_two(&lab);
    lab.turn("Dev-A", "RUN: echo one");
    lab.keys("Dev-A", "/compact", &["Enter"]);
    let is_compacted = || lab.events("Dev-A", "SessionStart").iter().any(|e| e["source"] == "compact");
    lab.wait("Dev-A", "the conversation to be compacted", is_compacted);
    lab.wait("Dev-A", "the client to be idle", || lab.screen("Dev-A").contains("Compacted"));
    std::thread::sleep(Duration::from_secs(1));
    lab.send("Orchestrator", "Dev-A", &[], "after it was compacted");
    let told = lab.until_told("Dev-A", "after it was compacted");
    assert!(!told.all().contains("RUN: echo one"), "it was compacted: {}", told.all());
    assert!(told.all().contains("seen before") && told.all().contains(": still open"), "{}", told.all());
    assert_eq!(lab.times_told("Dev-A", "number two"), 0, "what is done with is not told again");
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn a_cleared_session_wakes_and_is_told_again_what_is_open() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    tell_two(&lab);
    let session = lab.session("Dev-A");
    lab.keys("Dev-A", "/clear", &["Enter"]);
    let is_cleared = || lab.events("Dev-A", "SessionStart").iter().any(|e| e["source"] == "clear");
    lab.wait("Dev-A", "another session to begin", is_cleared);
    assert_ne!(lab.session("Dev-A"), session);
    std::thread::sleep(Duration::from_secs(1));
    let (id, _) = lab.send("Orchestrator", "Dev-A", &[], "after it was cleared");
    let told = lab.until_told("Dev-A", "after it was cleared");
    assert!(!told.all().contains("SAY: hello"), "it was cleared: {}", told.all());
    assert!(told.all().contains("seen before") && told.all().contains(": still open"), "{}", told.all());
    assert_eq!(lab.times_told("Dev-A", "number two"), 0, "what is done with is not told again");
    assert_eq!(lab.receipt("Orchestrator", &id, "Dev-A")["seen"]["session"], lab.session("Dev-A").as_str());
    std::thread::sleep(Duration::from_secs(1));
    lab.until_waiters("Dev-A", 1);
}

/// Two turns with a message each; one of them wants an acknowledgement and gets none.
#[track_caller]
fn tell_two(lab: &Lab) {
    lab.turn("Dev-A", "SAY: hello");
    for (n, options) in
        [&["--subject", "still open", "--ack"][..], &["--subject", "number two"]].iter().enumerate()
    {
        lab.send("Orchestrator", "Dev-A", options, "read this");
        lab.until_told("Dev-A", options[1]);
        lab.until_turns("Dev-A", n + 2);
    }
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn an_eleven_minute_idle_session_wakes() {
    if !is_slow_run("eleven minutes") {
        return;
    }
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.turn("Dev-A", "SAY: good night");
    std::thread::sleep(Duration::from_secs(5));
    lab.until_waiters("Dev-A", 1);
    let waiter = lab.waiters()[0];
    let before = Used::by(waiter);
    std::thread::sleep(Duration::from_secs(11 * 60));
    let after = Used::by(waiter);
    println!("the waiter, before and after eleven minutes: {before:?} {after:?}");
    // It looks once a minute.
    assert!(after.ticks - before.ticks <= 10, "it used no time to speak of");
    assert!(after.sleeps - before.sleeps < 200, "it slept");
    let (_, sent) = lab.send("Orchestrator", "Dev-A", &[], "good morning");
    let told = lab.until_told("Dev-A", "good morning");
    println!("after eleven minutes: {} ms after it was sent", (told.at - sent).as_millis());
    assert_eq!(lab.model.count_containing("Dev-A", "good morning"), 1);
}
