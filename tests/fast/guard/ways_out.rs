//! A person is never locked out, whatever is broken: each way out works, and each leaves evidence. Breaking
//! the glass stands in tests/break_glass.rs, and beside a session in tests/session/escapes.rs.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use crate::support::damage::scene;
use crate::support::{World, gits};
use serde_json::Value;

/// The records of one kind, wherever the audit keeps them.
fn records(world: &World, event: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for (name, bytes) in world.files("repo/.git/audit") {
        let is_log = name.ends_with(".log") || name == "write-lock-intents.json";
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().filter(|_| is_log).map(|line| serde_json::from_str::<Value>(line).unwrap());
        found.extend(lines.filter(|record| record["event"] == event));
    }
    found
}

/// The open violations, as the person's verify tells them.
fn open(world: &World) -> Vec<Value> {
    let output = world.person().run("cmw-audit verify --json");
    let answer: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"));
    answer["data"]["violations"].as_array().unwrap().clone()
}

#[test]
fn the_plain_git_way_works_without_our_programs_and_shows_afterwards() {
    for git in gits() {
        for looks_first in [false, true] {
            let world = scene(&git, "");
            let person = world.person();
            world.agent("Dev-A").ok("cmw-lock acquire");
            // The programs are broken, the hooks with them.
            world
                .unidentified()
                .ok("for h in .git/cmw/hooks/*; do echo broken >$h.x; chmod +x $h.x; mv $h.x $h; done");
            assert_ne!(person.run("git commit -q --allow-empty -m x").code, 0);
            person.ok("git config --unset core.hooksPath; rm -r .git/cmw/hooks");
            person.ok("git commit -q --allow-empty -m mine && git branch new && git branch -D side");
            if looks_first {
                assert_ne!(person.run("cmw-audit verify").code, 0);
            }
            person.ok("cmw-init");
            let found = open(&world);
            let [one] = &found[..] else { panic!("one cause is one violation: {found:#?}") };
            let names: Vec<&str> =
                one["refs"].as_array().unwrap().iter().map(|place| place["name"].as_str().unwrap()).collect();
            for name in ["refs/heads/main", "refs/heads/new", "refs/heads/side"] {
                assert!(names.contains(&name), "{name} is not in {names:?}");
            }
            let said = person.run("cmw-audit verify");
            assert!(said.code == 1 && said.stdout.contains("(the hook pre-commit is missing)"), "{said}");
            // Guarded again, and who was not the person does not clear it.
            assert_ne!(world.agent("Dev-B").run("git branch x").code, 0);
            world.agent("Dev-A").fails(77, "cmw-audit adopt V1 --reason mine").ignored();
            person.ok("cmw-audit adopt V1 --reason 'the programs were broken'");
            let [adopted] = &records(&world, "VIOLATIONS_ADOPTED")[..] else { panic!("one record") };
            assert_eq!((&adopted["by"], &adopted["severity"]), (&"User".into(), &"WARNING".into()));
            assert_eq!(adopted["reason"], "the programs were broken");
            assert_eq!(open(&world), [] as [Value; 0]);
            world
                .agent("Dev-A")
                .ok("cmw-lock acquire && git commit -q --allow-empty -m x && git push -q ../other main:main");
        }
    }
}

#[test]
fn uninstalled_and_set_up_again_it_begins_anew() {
    for git in gits() {
        let world = scene(&git, "");
        let person = world.person();
        let first = world.unidentified().ok("jq -r .state.repo_id .git/cmw/state.json");
        world.agent("Dev-A").ok("cmw-lock acquire && git commit -q --allow-empty -m x");
        person.ok("cmw-audit verify");
        assert_ne!(person.run("git branch x").code, 0);
        world.agent("Dev-B").fails(77, "cmw-init --uninstall").ignored();
        person.ok("cmw-init --uninstall");
        person.ok("git commit -q --allow-empty -m mine && git branch new && git tag -d old");
        person.ok("cmw-init");
        // What moved between is where it begins; that it began anew shows in its name.
        assert_eq!(open(&world), [] as [Value; 0]);
        assert_ne!(world.unidentified().ok("jq -r .state.repo_id .git/cmw/state.json"), first);
        assert_ne!(world.agent("Dev-B").run("git branch x").code, 0, "guarded again");
        world.agent("Dev-A").ok("cmw-lock acquire && git commit -q --allow-empty -m x");
    }
}

#[test]
fn what_becomes_protected_is_said_to_be_as_it_is() {
    for git in gits() {
        let world = scene(&git, "--mode worktrees");
        let person = world.person();
        world.agent("Dev-A").ok("git branch topic/x");
        person.ok("git config --add cmw.protect main; git config --add cmw.protect 'topic/**'; cmw-init");
        let of = |why: &str| {
            let all = records(&world, "REFS_BASELINED");
            all.into_iter().filter(|record| record["why"] == why).collect::<Vec<Value>>()
        };
        world.agent("Dev-A").ok("cmw-lock acquire");
        let [listed] = &of("protected from now on")[..] else { panic!("{:?}", of("protected from now on")) };
        assert_eq!((&listed["refs"], &listed["by"]), (&1.into(), &"User".into()));
        assert_ne!(world.agent("Dev-B").run("git branch -f topic/x main~1").code, 0);
        assert_eq!(open(&world), [] as [Value; 0]);
        world.unidentified().ok("git -c core.hooksPath=/dev/null update-ref refs/heads/topic/x main~1");
        assert_eq!(open(&world).len(), 1, "it is compared from then on");
        // The mode protects what the list did not.
        person.ok("cmw-audit adopt V1 --reason x; git config cmw.mode shared; cmw-init; cmw-lock status; cmw-audit verify");
        world.agent("Dev-A").ok("cmw-lock renew");
        assert_eq!(of("protected from now on").len(), 2, "{:?}", of("protected from now on"));
        assert_eq!(open(&world), [] as [Value; 0]);
    }
}
