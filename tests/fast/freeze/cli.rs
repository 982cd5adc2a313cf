//! Tests of `cmw-freeze`: its output, and that git moves no branch for any actor while all else works.

use crate::support::{World, assert_transcript, gits};

#[test]
fn frozen_and_thawed() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock acquire --files a").ignored();
        t.agent("Dev-B", "cmw-lock acquire --purpose tests").ignored();
        t.agent("Dev-A", "cmw-freeze now --reason 'I am stuck'").ignored();
        t.unidentified("cmw-freeze now --reason 'I am nobody'").ignored();
        t.agent("Dev-A", "cmw-freeze status").ignored();
        t.agent("Librarian", "cmw-freeze now --reason 'the build is red'").ignored();
        t.agent("Librarian", "cmw-freeze now --reason 'still red'").ignored();
        t.agent("Dev-A", "cmw-freeze status").ignored();
        t.agent("Dev-A", "cmw-lock status").ignored();
        t.agent("Dev-A", "cmw-lock acquire").ignored();
        t.agent("Dev-A", "cmw-lock release").ignored();
        t.agent("Dev-A", "cmw-lock run --wait 100ms -- true").ignored();
        t.agent("Dev-A", "git commit --allow-empty -m x").ignored();
        t.agent("Orchestrator", "cmw-freeze thaw --reason 'go on'").ignored();
        t.agent("Librarian", "cmw-freeze thaw --reason 'go on'").ignored();
        t.person("cmw-freeze thaw --reason 'the build is green'").ignored();
        t.person("cmw-freeze thaw --reason 'once more'").ignored();
        t.agent("Dev-B", "cmw-lock acquire").ignored();
    });
    assert_transcript("frozen", &text);
}

#[test]
fn nothing_moves_while_it_is_frozen_and_nothing_else_breaks() {
    for git in gits() {
        let world = World::ready_with(&git, "");
        let (dev, person) = (world.agent("Dev-A"), world.person());
        dev.ok("git branch agent/Dev-A/x && cmw-lock acquire");
        person.ok("cmw-freeze now --reason 'wait'");
        let picture = world.picture();
        for line in [
            "git commit -q --allow-empty -m x",
            "git commit -q --allow-empty --no-verify -m x",
            "git branch new",
            "git branch agent/Dev-A/y",
            "git branch -D agent/Dev-A/x",
            "git push -q . :agent/Dev-A/x",
        ] {
            for who in [&dev, &person, &world.unidentified()] {
                let output = who.run(line);
                assert_ne!(output.code, 0, "\n{output}");
                assert!(output.stderr.contains("the system is frozen by User"), "\n{output}");
                assert!(output.stderr.lines().any(|l| l.starts_with("next: cmw")), "\n{output}");
            }
        }
        assert_eq!(world.picture(), picture);
        for line in [
            "echo x >>a && git stash -q && git stash pop -q && git checkout -q a",
            "git switch -q --detach && git switch -q main",
            "git fetch -q . main && git gc -q && git reset -q --hard && git status",
            "git tag t",
        ] {
            dev.ok(line);
        }
        person.ok("cmw-freeze thaw --reason 'go on'");
        dev.ok("cmw-lock acquire && git commit -q --allow-empty -m x && git branch agent/Dev-A/y");
    }
}
