//! Every way in which the enforcement can be off is found by `cmw-doctor`, by the live self-test and in the
//! status; and what happened meanwhile is one violation with its cause.

use crate::support::{World, gits};

/// Ways to switch the hooks off, what doctor calls it, how it is undone, and whether git then moves refs
/// without asking.
const WAYS: &[(&str, &str, &str, bool)] = &[
    ("git config core.hooksPath .husky/_", "core.hooksPath is .husky/_", "cmw-init --adopt-hooks", true),
    ("git config --unset core.hooksPath", "core.hooksPath is not set", "cmw-init", true),
    (
        "git config extensions.worktreeConfig true; git config --worktree core.hooksPath /dev/null",
        "core.hooksPath is /dev/null",
        "config --worktree --unset-all core.hooksPath",
        true,
    ),
    (
        "git config includeIf.onbranch:main.path $PWD/.git/extra; printf '[core]\\nhooksPath = /nowhere\\n' >.git/extra",
        "core.hooksPath is /nowhere",
        "cmw-init",
        true,
    ),
    ("rm .git/cmw/hooks/reference-transaction", "reference-transaction is missing", "cmw-doctor --fix", true),
    (
        "chmod -x .git/cmw/hooks/reference-transaction",
        "reference-transaction is not executable",
        "cmw-doctor --fix",
        true,
    ),
    (
        "rm .git/cmw/hooks/reference-transaction; ln -s /nowhere .git/cmw/hooks/reference-transaction",
        "reference-transaction is a link",
        "cmw-doctor --fix",
        true,
    ),
    (
        "rm .git/cmw/hooks/reference-transaction; : >.git/cmw/hooks/reference-transaction; chmod +x .git/cmw/hooks/reference-transaction",
        "reference-transaction is not this version's program",
        "cmw-doctor --fix",
        true,
    ),
    (
        "rm .git/cmw/hooks/reference-transaction; printf '#!/bin/sh\\nexit 0\\n' >.git/cmw/hooks/reference-transaction; chmod +x .git/cmw/hooks/reference-transaction",
        "reference-transaction is not this version's program",
        "cmw-doctor --fix",
        true,
    ),
    ("chmod g+w .git/cmw/hooks", "others may write to cmw/hooks", "chmod go-w", false),
    (
        "git config core.logAllRefUpdates false",
        "leaves no trace",
        "git config core.logAllRefUpdates true",
        false,
    ),
    (
        "git config cmw.check.lock warn && cmw-init",
        "by policy the check lock only warns",
        "git config cmw.check.lock enforce",
        false,
    ),
];

#[test]
fn doctor_finds_every_way_in_which_the_enforcement_is_off() {
    for git in gits() {
        for (script, words, next, moves) in WAYS {
            let world = World::ready_with(&git, "");
            let person = world.person();
            let fine = person.run("cmw-doctor --verbose");
            assert!(fine.stdout.contains("a forbidden ref update is refused"), "{fine}");
            assert_eq!(fine.code, 0, "{fine}");
            person.ok(script);
            let output = person.run("cmw-doctor --verbose");
            let all = format!("{}{}", output.stdout, output.stderr);
            assert!(all.contains(words), "no {words:?} in {output}");
            assert!(all.contains(next), "no {next:?} in {output}");
            assert_eq!(all.contains("git moved a ref without running cmw's hooks"), *moves, "{output}");
            if !moves {
                continue;
            }
            assert_ne!(output.code, 0, "{output}");
            assert_eq!(world.git(&["for-each-ref", "refs/heads/cmw-selftest"]), "", "nothing of it stays");
            // The self-test itself is no violation, and what it shows is recorded.
            let output = person.run("cmw-audit verify");
            assert!(output.code == 1 && output.stdout.contains("violations: 0 open"), "{script}: {output}");
            assert!(output.stdout.contains("THE HOOKS DO NOT WORK"), "{script}: {output}");
            let status = person.run("cmw");
            assert!(
                status.stdout.contains("NOT INSTALLED") || status.stdout.contains("FAILED THE TEST"),
                "{status}"
            );
            assert!(person.ok("cmw-audit log --severity high").contains("SELF_TESTED"), "{script}");
        }
    }
}

#[test]
fn a_diversion_in_one_linked_work_tree_is_found_from_any_other() {
    for git in gits() {
        let world = World::ready_with(&git, "");
        world.git(&["worktree", "add", "-q", "--detach", "../linked"]);
        let person = world.person();
        assert!(person.ok("cmw-doctor --verbose").contains("in all 2 work trees"));
        person.ok("git config extensions.worktreeConfig true; git -C ../linked config --worktree core.hooksPath /dev/null");
        let output = person.run("cmw-doctor");
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(output.code != 0 && all.contains("linked: core.hooksPath is /dev/null"), "{output}");
        assert!(all.contains("linked: git moved a ref without running cmw's hooks"), "{output}");
    }
}

#[test]
fn a_tool_that_took_over_the_hooks_is_one_cause_for_every_committer() {
    for git in gits() {
        let world = World::with(&git);
        world.git(&["branch", "one"]);
        world.git(&["branch", "two"]);
        world.person().ok("cmw-init");
        // As its own installation does it.
        world.agent("Dev-A").ok("git config core.hooksPath .husky/_");
        world.agent("Dev-A").ok("git commit -q --allow-empty -m a; git branch -f one");
        world.agent("Dev-B").ok("git branch -f two; git branch three");
        let output = world.person().run("cmw-audit verify");
        assert_eq!(output.code, 1, "{output}");
        assert!(output.stdout.contains("git looks for hooks in .husky/_"), "{output}");
        assert!(output.stdout.contains("violations: 1 open, 1 of them new"), "{output}");
        for name in ["main", "one", "two", "three"] {
            assert!(output.stdout.contains(&format!("refs/heads/{name} ")), "{output}");
        }
    }
}

#[test]
fn the_self_test_and_its_age_stand_in_the_status() {
    let world = World::ready();
    let person = world.person();
    assert!(person.ok("cmw").contains("installed, not tested yet"));
    person.ok("cmw-doctor");
    assert!(person.ok("cmw").contains("installed, not tested yet"), "doctor only looks");
    assert!(person.ok("cmw-audit verify").contains("self-test: the hooks work in the work tree"));
    assert!(person.ok("cmw").contains("installed, tested"), "{}", person.ok("cmw"));
    let log = person.ok("cmw-audit log --all --event SELF_TESTED");
    assert_eq!(log.lines().count(), 1, "{log}");
    person.ok("cmw-audit verify");
    assert_eq!(person.ok("cmw-audit log --all --event SELF_TESTED").lines().count(), 1, "not again at once");
    // The holder is refused too, and none of it is recorded as a refusal.
    let holder = world.agent("Dev-A");
    holder.ok("cmw-lock acquire");
    let output = holder.run("git update-ref refs/heads/cmw-selftest HEAD");
    assert!(output.code != 0 && output.stderr.contains("this ref never moves"), "{output}");
    holder.ok("cmw-lock release");
    assert!(!person.ok("cmw-audit log --all").contains("never moves"));
}

#[test]
fn checks_run_while_no_command_does() {
    let world = World::ready();
    let agent = world.agent("Dev-A");
    agent.ok("cmw-heartbeat register");
    world.unidentified().ok("git -c core.hooksPath=/dev/null commit -q --allow-empty -m sneaky");
    let beating = agent.spawn("cmw-heartbeat run --every 1s");
    let person = world.person();
    crate::support::agent::wait_until("the look", || {
        person.run("cmw").stdout.contains("VIOLATIONS 1: V1 refs/heads/main moved")
    });
    crate::support::agent::wait_until("the self-test", || {
        person.run("cmw").stdout.contains("hooks  installed, tested")
    });
    crate::support::agent::wait_until("the anchor", || {
        world.git(&["for-each-ref", "--format=%(subject)", "refs/cmw"]).contains("cmw anchor")
    });
    beating.kill().ignored();
    let grant = world.agent("Dev-B");
    world.unidentified().ok("git -c core.hooksPath=/dev/null commit -q --allow-empty -m again");
    grant.ok("cmw-lock acquire");
    let shown = person.run("cmw-audit violations").stdout;
    assert!(shown.contains("in 2 movements"), "a grant checks the branch that is checked out: {shown}");
}
