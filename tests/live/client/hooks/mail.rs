//! Mail as a model is given it.

use serde_json::json;

use super::{Client, sent};
use crate::support::World;

#[test]
fn where_there_is_nothing_nothing_is_said() {
    let world = World::ready();
    let client = Client::of(&world, "Dev-A");
    client.event("SessionStart", json!({"source": "startup"})).nothing();
    for event in ["UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolBatch", "Stop", "Notification"] {
        client.event(event, json!({"tool_name": "Bash", "tool_input": {"command": "ls"}})).nothing();
    }
    client.event("SessionEnd", json!({"reason": "other"})).nothing();
}

#[test]
fn a_message_is_told_once_and_the_sender_knows_which_session_saw_it() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    // Within a turn, where as a rule there is nothing to say.
    client.event("UserPromptSubmit", json!({"prompt": "go"})).nothing();
    client.batch().nothing();
    world.agent("Dev-B").ok("cmw-send Dev-A --subject 'which port?' 'the test server'");
    let told = client.batch().told();
    assert!(
        told.starts_with("cmw: 1 new message for Dev-A\n[NORMAL] MESSAGE from Dev-B: which port? (id "),
        "{told}"
    );
    assert!(told.contains("\n  | the test server\n"), "{told}");
    client.batch().nothing();
    client.event("Stop", json!({})).nothing();
    let receipts = &sent(&world, "Dev-B")[0]["deliveries"][0];
    assert_eq!((&receipts["state"], &receipts["seen"]["session"]), (&json!("seen"), &json!("session-1")));
    assert!(receipts["seen"]["waited_ms"].as_u64().unwrap() < 60_000, "{receipts}");
}

#[test]
fn what_is_named_is_notified_once_and_what_had_no_room_comes_next() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    let other = world.agent("Dev-B");
    other.ok(
        "for i in $(seq 50); do cmw-send -q Dev-A --subject \"number $i\" \"$(printf '%0500d' $i)\"; done",
    );
    let told = client.batch().told();
    assert!(
        told.starts_with("cmw: 50 new messages for Dev-A\n") && told.contains(" more: cmw-inbox list\n"),
        "{told}"
    );
    assert!(told.len() <= 2_048, "{}", told.len());
    let states = || {
        let all = sent(&world, "Dev-B");
        let state = |m: &serde_json::Value| m["deliveries"][0]["state"].as_str().unwrap().to_owned();
        all.as_array().unwrap().iter().map(state).collect::<Vec<String>>()
    };
    let named = told.matches("(id ").count();
    assert_eq!(states().iter().filter(|state| *state == "notified").count(), named);
    assert!((10..50).contains(&named), "{told}");
    let next = client.batch().told();
    assert!(next.starts_with(&format!("cmw: {} new messages for Dev-A\n", 50 - named)), "{next}");
    for line in next.lines().filter(|line| line.contains("(id ")) {
        assert!(!told.contains(line), "{line} is told twice");
    }
    assert_eq!(named + next.matches("(id ").count(), 50, "{next}");
    client.batch().nothing();
    assert_eq!(states(), vec!["notified"; 50]);
    let all = sent(&world, "Dev-B");
    // It reads one itself, and gets no second word of it.
    let id = all[3]["id"].as_str().unwrap();
    world.agent("Dev-A").ok(&format!("cmw-inbox show {id}"));
    client.batch().nothing();
    assert_eq!(sent(&world, "Dev-B")[3]["deliveries"][0]["state"], "seen");
}

#[test]
fn what_is_of_low_priority_waits_until_a_turn_begins_anyway() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    let other = world.agent("Dev-B");
    other.ok("cmw-send Dev-A --priority low --subject 'by the way' x");
    client.batch().nothing();
    client.event("Stop", json!({})).nothing();
    assert!(client.event("UserPromptSubmit", json!({"prompt": "go"})).told().contains("by the way"));
    other.ok("cmw-send Dev-A --priority low --subject 'and this' x && cmw-send Dev-A --subject normal x");
    let told = client.batch().told();
    assert!(told.contains("and this") && told.contains("normal"), "it comes along: {told}");
}

#[test]
fn a_session_that_begins_is_told_what_is_unread_and_what_is_still_open() {
    let world = World::ready();
    let other = world.agent("Dev-B");
    other.ok("cmw-send Dev-A --ack --subject 'a task' do && cmw-send Dev-A --subject 'a word' hello");
    let client = Client::of(&world, "Dev-A");
    let first = client.event("SessionStart", json!({"source": "startup"})).told();
    assert!(
        first.contains("a task") && first.contains("a word") && !first.contains("seen before"),
        "{first}"
    );
    client.batch().nothing();
    for (session, source) in [("session-1", "compact"), ("session-2", "clear"), ("session-2", "resume")] {
        client.session.set(session);
        let again = client.event("SessionStart", json!({"source": source})).told();
        assert!(again.contains("a task") && again.contains("seen before"), "{again}");
        assert!(!again.contains("a word"), "nothing is to be done about that: {again}");
        client.batch().nothing();
    }
    let id = sent(&world, "Dev-B")[1]["id"].as_str().unwrap().to_owned();
    world.agent("Dev-A").ok(&format!("cmw-inbox ack {id}"));
    client.event("SessionStart", json!({"source": "resume"})).nothing();
}

#[test]
fn the_end_of_a_turn_is_none_while_there_is_mail() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    world.agent("Dev-B").ok("cmw-send Dev-A --subject late x");
    assert!(client.event("Stop", json!({"stop_hook_active": false})).told().contains("late"));
    assert_eq!(activity(&world), "working");
    client.event("Stop", json!({"stop_hook_active": true})).nothing();
    assert_eq!(activity(&world), "idle");
}

#[test]
fn what_a_client_does_is_known() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    for (event, more, expected) in [
        ("UserPromptSubmit", json!({"prompt": "x"}), "working"),
        ("Notification", json!({"notification_type": "permission_prompt"}), "needs_permission"),
        ("PreToolUse", json!({"tool_name": "Bash", "tool_input": {"command": "ls"}}), "working"),
        ("Notification", json!({"notification_type": "elicitation_dialog"}), "needs_input"),
        ("Notification", json!({"notification_type": "of another version"}), "needs_input"),
        ("PostToolBatch", json!({}), "working"),
        ("StopFailure", json!({"error": "rate_limit"}), "limit_reached"),
        ("UserPromptSubmit", json!({"prompt": "x"}), "working"),
        ("StopFailure", json!({"error": "server_error"}), "failed"),
        ("Stop", json!({}), "idle"),
        ("PostToolBatch", json!({"agent_id": "a1"}), "idle"),
        ("SessionEnd", json!({"reason": "exit"}), "ended"),
    ] {
        client.event(event, more).nothing();
        assert_eq!(activity(&world), expected, "{event}");
    }
}

/// What Dev-A's client does, as its record says.
fn activity(world: &World) -> String {
    let record = world.read("repo/.git/cmw/clients/Dev-A/record");
    let json = record.split_once(' ').unwrap().1;
    let value: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    value["activity"].as_str().unwrap().to_owned()
}

#[test]
fn a_part_of_the_agent_is_told_nothing_and_takes_nothing() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    world.agent("Dev-B").ok("cmw-send Dev-A --subject s x");
    client.event("PostToolBatch", json!({"agent_id": "a1"})).nothing();
    assert!(client.batch().told().contains("(id "));
}

#[test]
fn a_second_session_of_a_role_splits_no_mailbox() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    let other = world.agent("Dev-A");
    // Its parent is another process than this one.
    let event = |name: &str| {
        other.run(&format!(
            "printf '%s' '{{\"session_id\":\"other\",\"source\":\"startup\"}}' | cmw-hook claude {name}"
        ))
    };
    let told = event("SessionStart").stdout;
    assert!(told.contains("this is a second session of Dev-A") && told.contains("session-1"), "{told}");
    world.agent("Dev-B").ok("cmw-send Dev-A --subject s x");
    for name in ["UserPromptSubmit", "PostToolBatch", "Stop", "wait"] {
        assert_eq!(event(name).all(), "", "{name}");
    }
    assert!(client.batch().told().contains("(id "), "the first one gets it");
    client.event("SessionEnd", json!({})).nothing();
    assert_eq!(event("SessionStart").all(), "", "now it may have the role, and there is nothing");
    client.batch().nothing();
}

#[test]
fn who_speaks_for_another_role_is_told_nothing() {
    let world = World::ready();
    world.agent("Dev-B").ok("cmw-send Dev-A --subject s x");
    let stranger = world.unidentified();
    let said = stranger.run("printf '%s' '{\"session_id\":\"s\"}' | cmw-hook claude SessionStart");
    assert_eq!((said.code, said.all()), (0, String::new()));
    assert_eq!(sent(&world, "Dev-B")[0]["deliveries"][0]["state"], "queued");
}

#[test]
fn while_frozen_only_what_belongs_to_it_comes_and_the_rest_afterwards() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    world.agent("Dev-B").ok("cmw-send Dev-A --subject before x");
    world.person().ok("cmw-freeze now --reason 'look at this'");
    world.agent("Dev-B").ok("cmw-send Dev-A --subject during x");
    let told = client.batch().told();
    assert!(told.contains("SYSTEM_FREEZE") && told.contains("look at this"), "{told}");
    assert!(!told.contains("before") && !told.contains("during"), "{told}");
    client.batch().nothing();
    world.person().ok("cmw-freeze thaw --reason looked");
    let told = client.batch().told();
    for words in ["before", "during", "SYSTEM_UNFROZEN"] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("SYSTEM_FREEZE "), "{told}");
    client.batch().nothing();
}

#[test]
fn hooks_side_by_side_tell_each_message_once() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    world.agent("Dev-B").ok("for i in $(seq 20); do cmw-send -q Dev-A --subject \"n$i.\" x; done");
    let hooks: Vec<_> = (0..12).map(|_| client.begin("PostToolBatch", json!({}))).collect();
    let said: Vec<String> = hooks.into_iter().map(|hook| super::Said::of(hook).out).collect();
    assert_eq!(said.iter().filter(|out| !out.is_empty()).count(), 1, "{said:?}");
    client.batch().nothing();
}
