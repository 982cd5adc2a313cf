//! One sequence of checks: what `cmw why`, git's hooks and `cmw-commit` say of the same commit.

use crate::support::{Agent, World, gits};

const BARE: &str = "git -c core.hooksPath=/dev/null";

/// The first line of a refusal, without where it comes from.
fn first(text: &str) -> &str {
    let line = text
        .lines()
        .find(|line| line.contains("refused: "))
        .unwrap_or_else(|| panic!("no refusal in {text}"));
    line.trim_start_matches("cmw: ")
}

/// `main` is an integration branch, and moved past the hooks.
fn tainted(git: &std::path::Path) -> World {
    let world = World::with(git);
    world.person().ok("cmw-init --mode worktrees");
    world.unidentified().ok(&format!("{BARE} commit -q --allow-empty -m sneaky"));
    assert_eq!(world.person().run("cmw-audit verify").code, 1);
    world
}

fn all_say_the_same(who: &Agent, words: &str) {
    let why = who.run("cmw why");
    let commit = who.run("echo x >>a; git add a; git commit -q -m x");
    let ours = who.run("cmw-commit -m x -- a");
    assert_ne!(why.code, 0, "{why}");
    assert_ne!(commit.code, 0, "{commit}");
    assert_eq!(ours.code, why.code, "{why}{ours}");
    assert!(why.stdout.contains(words), "no {words:?} in {why}");
    assert_eq!(first(&why.stdout), first(&commit.stderr), "{why}{commit}");
    assert_eq!(first(&why.stdout), first(&ours.stderr), "{why}{ours}");
}

#[test]
fn a_tainted_branch_is_named_by_all() {
    for git in gits() {
        let world = tainted(&git);
        let dev = world.agent("Dev-A");
        all_say_the_same(&dev, "refs/heads/main moved from");
        let before = world.git(&["rev-parse", "main"]);
        dev.ok("cmw-lock acquire");
        all_say_the_same(&dev, "refs/heads/main moved from");
        assert_eq!(world.git(&["rev-parse", "main"]), before);
        let why = dev.run("cmw why --json").stdout;
        assert!(why.contains("bypassing the hooks (V1"), "{why}");
        // A branch of one's own is not landed on.
        let why = dev.ok("git stash -q; git switch -q -c agent/Dev-A/x; cmw why");
        assert!(why.contains("nothing is in your way"), "{why}");
        world.person().ok("cmw-audit adopt --all --reason seen");
        let why = dev.ok("git switch -q main; cmw why");
        assert!(why.contains("nothing is in your way"), "{why}");
        dev.ok("git commit -q --allow-empty -m fine");
    }
}

#[test]
fn a_tainted_branch_that_is_frozen_is_frozen_first() {
    for git in gits() {
        let world = tainted(&git);
        world.person().ok("cmw-freeze now --reason red");
        all_say_the_same(&world.agent("Dev-A"), "the system is frozen by User");
    }
}

#[test]
fn a_refused_commit_of_ours_takes_no_lock_and_is_recorded() {
    for git in gits() {
        let world = tainted(&git);
        let dev = world.agent("Dev-A");
        let refused = dev.run("echo x >>a; cmw-commit -m x -- a");
        assert_eq!(refused.code, 1, "{refused}");
        world.person().ok("cmw-lock acquire; cmw-lock release");
        let log = world.person().ok("cmw-audit log --all --role Dev-A");
        assert!(log.contains("LOCK_REFUSED") && log.contains("refs/heads/main moved"), "{log}");
        assert!(!log.contains("LOCK_GRANTED"), "{log}");
    }
}
