//! Transcripts of `cmw` and `cmw-freeze`: the one screen, the umbrella, the freeze.

use crate::support::{World, assert_transcript};
use serde_json::Value;

#[test]
fn the_screen_in_each_situation() {
    let world = World::new();
    let text = world.transcript(|t| {
        t.person("cmw").ignored();
        t.person("cmw-init --quiet").ignored();
        t.person("cmw").ignored();
        t.note("Two are at work, a third is not in the room any more.");
        t.agent("Orchestrator", "cmw-heartbeat register --quiet > /dev/null").ignored();
        t.agent("Dev-A", "cmw-heartbeat register --quiet > /dev/null").ignored();
        t.agent("QA-A", "cmw-heartbeat register --quiet > /dev/null").ignored();
        t.agent("Dev-A", "cmw-heartbeat beat --task \"$(printf 'fix \\033[2Jthe login')\"").ignored();
        t.agent("Dev-A", "cmw-lock acquire --files a --purpose login --quiet").ignored();
        t.agent("Dev-B", "cmw-lock acquire --files b --quiet").ignored();
        world.agent("QA-A").kill();
        t.person("cmw | sed -E 's/[0-9]+s /0s /'").ignored();
        t.agent("Dev-A", "cmw | tail -n 1").ignored();
        t.note("Frozen: the first line says so.");
        t.agent("Librarian", "cmw-freeze now --reason 'who moved main?'").ignored();
        t.person("cmw | head -n 3").ignored();
        t.person("cmw-freeze thaw --reason 'it was me' --quiet > /dev/null").ignored();
        t.note("Another tool took over the hooks; then the state is damaged.");
        t.person("git config core.hooksPath .husky && cmw | sed -n '2p;$p' | cut -c1-48").ignored();
        t.person("echo garbage > .git/cmw/state.json; cmw").ignored();
    });
    assert_transcript("cmw-screen", &text);
}

#[test]
fn few_and_many_roles() {
    let world = World::ready_with(&crate::support::gits()[0], "--roles 2");
    let text = world.transcript(|t| {
        t.person("cmw").ignored();
        t.person("cmw-init --roles 40 --quiet && cmw").ignored();
    });
    assert_transcript("cmw-roles", &text);
}

#[test]
fn the_umbrella() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw lock acquire --files a").ignored();
        t.agent("Dev-A", "cmw --quiet lock status").ignored();
        t.agent("Dev-A", "git cmw lock release").ignored();
        t.person("cmw lokc").ignored();
        t.person("cmw ../lock").ignored();
        t.person("cmw --help").ignored();
        t.person("cmw help lock | head -n 1").ignored();
        t.person("cmw --version; cmw lock --version").ignored();
        t.person("cmw --nonsense").ignored();
        t.note("A tool of one's own, on PATH.");
        world.write_program("bin/cmw-hello", "#!/bin/sh\necho \"hello $*\"\n");
        t.person("PATH=\"$PATH:$PWD/../bin\" cmw hello you").ignored();
        t.note("Outside of a repository.");
        t.person("cd / && cmw").ignored();
    });
    assert_transcript("cmw-umbrella", &text);
}

#[test]
fn a_freeze_from_its_beginning_to_its_end() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock acquire --quiet").ignored();
        t.agent("Dev-B", "cmw-lock acquire --quiet").ignored();
        t.person("cmw-freeze status").ignored();
        t.agent("Orchestrator", "cmw-freeze now --reason 'I want it'").ignored();
        t.agent("Librarian", "cmw-freeze now --reason ' '").ignored();
        t.agent("Librarian", "cmw-freeze now --reason 'main moved without the lock'").ignored();
        t.agent("Librarian", "cmw-freeze now --reason again").ignored();
        t.person("cmw-freeze status").ignored();
        t.person("cmw-freeze status --json").ignored();
        t.agent("Dev-A", "cmw-lock acquire").ignored();
        t.agent("Dev-A", "git commit --allow-empty -qm x").ignored();
        t.agent("Librarian", "cmw-freeze thaw --reason 'looks fine'").ignored();
        t.person("cmw-freeze thaw --reason 'hook was reinstalled' | sed 's/after [0-9]*s/after [AGE]/'")
            .ignored();
        t.person("cmw-freeze thaw --reason again").ignored();
        t.person("cmw-freeze status; cmw-lock queue").ignored();
    });
    assert_transcript("freeze", &text);
}

#[test]
fn the_guides_fields_are_in_the_json() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-heartbeat register");
    world.agent("Dev-A").ok("cmw-heartbeat beat --task 'write the parser'");
    let all: Value = serde_json::from_str(&world.person().ok("cmw --json")).unwrap();
    let data = &all["data"];
    assert_eq!((&all["v"], &all["ok"], &data["system_status"]), (&1.into(), &true.into(), &"RUNNING".into()));
    assert_eq!(data["instances"].as_object().unwrap().len(), 12);
    let role = &data["instances"]["Dev-A"];
    assert_eq!((&role["status"], &role["current_task"]), (&"ALIVE".into(), &"write the parser".into()));
    // Its registration was acknowledged by mail, which it has not read yet.
    assert_eq!((&role["pending_work"], &role["unread"]), (&0.into(), &1.into()));
    for time in [&data["timestamp"], &role["last_heartbeat"]] {
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }
    assert_eq!(data["instances"]["Dev-B"]["status"], "NEVER_SEEN");
    assert!(world.files("repo/.git/messages/Dev-A/new").len() == 1, "looking claims nothing");
    world.person().ok("cmw-freeze now --reason r");
    let all: Value = serde_json::from_str(&world.person().ok("cmw --json")).unwrap();
    assert_eq!(
        (&all["data"]["system_status"], &all["data"]["frozen"]["reason"]),
        (&"FROZEN".into(), &"r".into())
    );
}

#[test]
fn looking_writes_nothing() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-heartbeat register");
    let before = world.files("repo/.git");
    world.person().ok("cmw");
    world.person().ok("cmw --json");
    world.person().ok("cmw-doctor");
    assert!(world.files("repo/.git") == before, "cmw and cmw-doctor only look");
}
