//! Tests of taint: nothing of a violation's branch goes elsewhere until the person adopts it.

use crate::support::{Agent, World, gits};

const BARE: &str = "git -c core.hooksPath=/dev/null";

/// `main`, `side` (one commit of its own), `clean` (another); a bare remote `origin` that has `main`.
fn scene(git: &std::path::Path, mode: &str) -> World {
    let world = World::with(git);
    for branch in ["side", "clean"] {
        world.git(&["switch", "-q", "-c", branch, "main"]);
        world.write(&format!("repo/{branch}"), branch);
        world.git(&["add", branch]);
        world.git(&["commit", "-q", "-m", branch]);
    }
    world.git(&["switch", "-q", "main"]);
    world.git(&["clone", "-q", "--bare", ".", "../origin"]);
    world.git(&["remote", "add", "origin", "../origin"]);
    world.git(&["update-ref", "-d", "refs/heads/nothing"]);
    world.person().ok(&format!("git config cmw.lock.auto false; cmw-init --preset solo --mode {mode}"));
    world
}

fn refused(who: &Agent, line: &str, words: &str) {
    let output = who.run(line);
    assert_ne!(output.code, 0, "{output}");
    assert!(output.stderr.contains(words), "no {words:?} in {output}");
    assert!(output.stderr.contains("next: cmw-audit violations"), "{output}");
}

#[test]
fn a_tainted_branch_is_not_pushed_under_any_name() {
    for git in gits() {
        let world = scene(&git, "shared");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire");
        world
            .unidentified()
            .ok(&format!("git switch -q side; {BARE} commit -q --allow-empty -m sneaky; git switch -q main"));
        assert_eq!(world.person().run("cmw-audit verify").code, 1);
        for line in [
            "git push -q origin side",
            "git push -q origin side:harmless",
            "git push -q origin $(git rev-parse side):refs/heads/other",
            "git push -q --all origin",
            "git push -q origin main side",
        ] {
            refused(&dev, line, "refs/heads/side moved from");
        }
        assert_eq!(world.git_in("origin", &["for-each-ref", "refs/heads/harmless", "refs/heads/other"]), "");
        dev.ok("git push -q origin clean && git push -q origin main && git push -q origin side~1:refs/heads/before");
        dev.ok("git fetch -q origin && git branch new clean && git merge -q --no-edit clean");
        world.person().ok("cmw-audit adopt V1 --reason seen");
        dev.ok("git push -q origin side side:harmless");
    }
}

#[test]
fn what_was_put_back_stops_only_that_branch() {
    for git in gits() {
        let world = scene(&git, "shared");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire");
        world.unidentified().ok(&format!("{BARE} update-ref refs/heads/side main; {BARE} tag -f t main"));
        assert_eq!(world.person().run("cmw-audit verify").code, 1);
        refused(&dev, "git push -q -f origin side", "refs/heads/side moved from");
        // The commit that it was put back to is free for every role.
        dev.ok("git branch new; git push -q origin new main clean; git merge -q --no-edit clean");
    }
}

#[test]
fn where_each_has_a_branch_nothing_lands_on_a_tainted_one() {
    for git in gits() {
        let world = scene(&git, "worktrees");
        let dev = world.agent("Dev-A");
        dev.ok("git switch -q -c agent/Dev-A/x; git commit -q --allow-empty -m mine");
        world.unidentified().ok(&format!("git switch -q main; {BARE} commit -q --allow-empty -m sneaky"));
        assert_eq!(world.person().run("cmw-audit verify").code, 1);
        dev.ok("cmw-lock acquire");
        refused(&dev, "git merge -q --no-edit agent/Dev-A/x", "refs/heads/main moved from");
        refused(&dev, "git commit -q --allow-empty -m x", "refs/heads/main moved from");
        // A commit on a role's own branch is no landing.
        dev.ok("git switch -q agent/Dev-A/x; git commit -q --allow-empty -m more; git switch -q main");
        world.person().ok("cmw-audit adopt --all --reason seen");
        dev.ok("git merge -q --no-edit agent/Dev-A/x");
        assert_eq!(world.person().run("cmw-audit verify").code, 0);
    }
}

#[test]
fn branches_that_the_policy_does_not_protect_are_not_compared() {
    for git in gits() {
        let world = scene(&git, "worktrees");
        world
            .unidentified()
            .ok(&format!("{BARE} branch -f side main; {BARE} branch more; {BARE} branch -D clean"));
        assert_eq!(world.person().run("cmw-audit verify").code, 0);
        // From now on they are protected, as they stand; that is recorded.
        world.person().ok("git config cmw.mode shared && cmw-init && cmw-lock acquire && cmw-lock release");
        assert_eq!(world.person().run("cmw-audit verify").code, 0);
        let log = world.person().ok("cmw-audit log --all --event REFS_BASELINED");
        assert!(log.contains("protected from now on"), "{log}");
        world.unidentified().ok(&format!("{BARE} branch -f more side~0"));
        world.unidentified().ok(&format!("{BARE} branch -q yet-another"));
        assert_eq!(world.person().run("cmw-audit verify").code, 1);
    }
}

#[test]
fn what_moved_a_moment_ago_is_neither_merged_nor_pushed_from_another_branch() {
    for git in gits() {
        let world = scene(&git, "shared");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire; echo 1 >>a; git commit -q -a -m one; git switch -q clean");
        // No command has compared the refs yet.
        let sneaky =
            format!("git switch -q main; {BARE} commit -q --allow-empty -m sneaky; git switch -q clean");
        world.unidentified().ok(&sneaky);
        refused(&dev, "git merge -q --no-edit main", "refs/heads/main moved from");
        assert_eq!(world.git(&["status", "--porcelain"]), "", "nothing was touched");
        world.person().ok("cmw-audit adopt --all --reason seen");
        world.unidentified().ok(&sneaky);
        refused(&dev, "git branch new main", "refs/heads/main moved from");
        world.person().ok("cmw-audit adopt --all --reason seen");
        world.unidentified().ok(&sneaky);
        refused(&dev, "git push -q origin main", "refs/heads/main moved from");
        assert_eq!(world.person().run("cmw-audit verify").stdout.matches("refs/heads/main moved").count(), 1);
    }
}

#[test]
fn the_taint_stays_with_the_commit_wherever_it_has_got_to() {
    for git in gits() {
        let world = scene(&git, "shared");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire");
        world.unidentified().ok(&format!("{BARE} commit -q --allow-empty -m sneaky"));
        assert_eq!(world.person().run("cmw-audit verify").code, 1);
        // A movement around the hooks takes it to another branch, and is found as well.
        world.unidentified().ok(&format!("{BARE} branch -f clean main"));
        assert_eq!(world.person().run("cmw-audit verify").code, 1);
        world.person().ok("cmw-audit adopt V2 --reason 'the branch may be there'");
        refused(&dev, "git push -q -f origin clean", "refs/heads/main moved from");
        refused(&dev, "git branch more clean", "refs/heads/main moved from");
        world.person().ok("cmw-audit adopt V1 --reason seen");
        dev.ok("git push -q -f origin clean && git branch more clean");
    }
}
