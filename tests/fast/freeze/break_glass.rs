//! Tests of `cmw-bypass break-glass`: only the person moves branches without the lock for a while, and all
//! roles are told.
#![cfg(feature = "test-clock")]

use crate::support::{Agent, World, assert_transcript, gits};
use serde_json::Value;

const COMMIT: &str = "git commit -q --allow-empty -m x";

fn records(world: &World, event: &str) -> Vec<Value> {
    let text = ["security-events.log", "write-lock-intents.json"]
        .map(|log| world.files("repo/.git/audit").remove(log).unwrap_or_default());
    let text = text.concat();
    let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).filter(|v: &Value| v["event"] == event).collect()
}

#[track_caller]
fn refused(who: &Agent, line: &str) {
    let output = who.run(line);
    assert!(output.code != 0 && output.stderr.contains("refused: "), "\n{output}");
}

/// Dev-A holds the lock and no other role commits.
fn scene(git: &std::path::Path) -> (World, Agent) {
    let world = World::ready_with(git, "--roles 4");
    world.agent("Dev-A").ok("cmw-lock acquire --files b");
    let person = world.person();
    refused(&person, COMMIT);
    (world, person)
}

#[test]
fn what_is_said() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.person("cmw-bypass status").ignored();
        t.person("cmw-bypass break-glass").ignored();
        t.person("cmw-bypass break-glass --reason x --for 2h").ignored();
        t.agent("Dev-A", "cmw-bypass break-glass --reason 'I want it'").ignored();
        t.agent("Librarian", "cmw-bypass break-glass --reason 'I want it'").ignored();
        t.unidentified("cmw-bypass break-glass --reason 'I want it'").ignored();
        t.person("cmw-bypass break-glass --reason 'the site is down'").ignored();
        t.agent("Dev-A", "cmw-bypass status").ignored();
        t.agent("Dev-A", "cmw-bypass break-glass end").ignored();
        t.person("cmw why").ignored();
        t.person("cmw bypass break-glass end").ignored();
        t.person("cmw-bypass break-glass end").ignored();
    });
    assert_transcript("bypass", &text);
}

#[test]
fn only_the_person_moves_branches() {
    for git in gits() {
        let (world, person) = scene(&git);
        person.ok("cmw-bypass break-glass --reason 'the site is down' --for 5m");
        person.ok(COMMIT);
        person
            .ok("git commit -q --no-verify --allow-empty -m x && git branch new && git branch -f new HEAD~1");
        for who in [
            world.agent("Dev-B"),
            world.agent("Librarian"),
            world.agent("Orchestrator"),
            world.unidentified(),
        ] {
            for line in [COMMIT, "git commit -q --no-verify --allow-empty -m x", "git branch -f new HEAD"] {
                let refused = who.run(line);
                assert_ne!(refused.code, 0, "\n{refused}");
            }
        }
        // An agent stays an agent whatever sign it sets, also at the person's terminal.
        for line in ["CLAUDECODE=1", "CLAUDE_ROLE=Dev-B", "TMUX_PANE=%1"] {
            assert_ne!(person.run(&format!("{line} {COMMIT}")).code, 0, "{line}");
        }
        // The lock is where it was, and its holder goes on.
        world.agent("Dev-A").ok(COMMIT);
        world.agent("Dev-A").ok("cmw-lock release");
        let journal = world.read("repo/.git/audit/journal.jsonl");
        let entries: Vec<Value> = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let by_user: Vec<&Value> =
            entries.iter().filter(|e| e["kind"] == "intent" && e["by"] == "User").collect();
        assert_eq!(by_user.len(), 4, "each movement is journaled: {by_user:?}");
        assert!(by_user.iter().all(|e| e["token"] == 0), "{by_user:?}");
        let [record] = &records(&world, "BREAK_GLASS")[..] else { panic!("one record") };
        assert_eq!((&record["severity"], &record["by"]), (&"HIGH".into(), &"User".into()));
        assert!(
            world
                .agent("Dev-B")
                .ok("cmw-inbox list --all --json")
                .contains("moves branches without the lock")
        );
    }
}

#[test]
fn it_ends_by_time_and_by_word() {
    for git in gits() {
        let (world, person) = scene(&git);
        person.ok("cmw-bypass break-glass --reason x --for 2m");
        // The wall clock decides nothing.
        person.ok(&format!("CMW_TEST_WALL_MS=999999999999 {COMMIT}"));
        world.pass_ms(119_000);
        person.ok(COMMIT);
        world.pass_ms(1_000);
        refused(&person, COMMIT);
        refused(&person, &format!("CMW_TEST_WALL_MS=-999999999 {COMMIT}"));
        assert!(person.ok("cmw-bypass status").contains("not active"));
        world.agent("Dev-A").ok("cmw-lock renew");
        assert_eq!(records(&world, "BREAK_GLASS_ENDED").len(), 1, "the next command records it");
        person.ok("cmw-bypass break-glass --reason x");
        person.ok(COMMIT);
        person.ok("cmw-bypass break-glass end");
        refused(&person, COMMIT);
        assert_eq!(records(&world, "BREAK_GLASS_ENDED").len(), 2);
    }
}

#[test]
fn it_passes_a_soft_freeze_and_no_hard_one() {
    for git in gits() {
        let (world, person) = scene(&git);
        person.ok("cmw-freeze now --reason soft && cmw-bypass break-glass --reason x");
        person.ok(COMMIT);
        refused(&world.agent("Dev-A"), COMMIT);
        let said = person.run("cmw-freeze now --hard --reason hard && cmw-bypass break-glass --reason x");
        assert!(
            said.stderr.contains("hard freeze still applies") && said.stderr.contains("cmw-freeze thaw"),
            "{said}"
        );
        let refused = person.run(COMMIT);
        assert!(refused.code != 0 && refused.stderr.contains("main.lock': File exists"), "{refused}");
        person.ok("cmw-freeze thaw --reason x");
        person.ok(COMMIT);
    }
}

#[test]
fn it_is_loud() {
    let (world, person) = scene(&gits()[0]);
    person.ok("cmw-bypass break-glass --reason 'the site is down'");
    let words = "BREAK-GLASS by User until ";
    for (code, line) in
        [(0, "cmw"), (1, "cmw-doctor"), (75, "cmw why"), (0, "cmw since"), (1, "cmw-bypass status")]
    {
        let said = world.agent("Dev-B").fails(code, line).all();
        assert!(said.contains(words) && said.contains("the site is down"), "{line}: {said}");
    }
    assert!(person.ok("cmw").contains("next: cmw-bypass break-glass end"));
    person.ok("cmw-bypass break-glass end");
    for line in ["cmw", "cmw why"] {
        assert!(!world.agent("Dev-B").run(line).all().contains("BREAK-GLASS"), "{line}");
    }
}

#[test]
fn a_refusal_is_recorded() {
    let world = World::ready();
    for who in [world.agent("Dev-A"), world.agent("Librarian"), world.unidentified()] {
        let refused = who.fails(77, "cmw-bypass break-glass --reason x");
        assert!(refused.stderr.contains("break-glass is not for"), "{refused}");
    }
    world.agent("Dev-A").fails(77, "cmw-bypass break-glass --reason x --as User").ignored();
    let refused = records(&world, "LOCK_REFUSED");
    assert_eq!(refused.iter().filter(|r| r["action"] == "break-glass").count(), 3, "{refused:?}");
    assert_eq!(records(&world, "BREAK_GLASS"), [Value::Null; 0]);
}
