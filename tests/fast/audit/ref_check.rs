//! Tests of the comparison of refs: no false finding for names taken over, transactions of which git leaves
//! out a part, damaged anchors, concurrent writers. Real git, each installed version.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{World, gits};

/// Three commits, and a branch beside `main`; the files store.
fn scene(git: &std::path::Path, mode: &str) -> World {
    let world = World::with(git);
    for text in ["second", "third"] {
        world.write("repo/a", text);
        world.git(&["commit", "-q", "-a", "-m", text]);
    }
    world.git(&["branch", "side", "HEAD~1"]);
    let init = format!("git config cmw.lock.auto false; git config cmw.mode {mode}; cmw-init --preset solo");
    world.person().ok(&init);
    world
}

#[track_caller]
fn assert_whole(world: &World, after: &str) {
    let output = world.person().run("cmw-audit verify");
    assert_eq!(output.code, 0, "{after}, {}\n{output}", world.git(&["--version"]));
}

/// A git that asks no hook.
const BARE: &str = "git -c core.hooksPath=/dev/null";

#[test]
fn a_name_that_was_there_before_may_be_taken_over() {
    for git in gits() {
        let world = scene(&git, "shared");
        let holder = world.agent("Dev-A");
        holder.ok("cmw-lock acquire");
        for script in [
            "git branch e1 side; git branch e2; git branch -M e1 e2; git branch -M e2 e1",
            "git branch n1 side; git branch -m n1 n2; git branch n1; git branch -m n1 n3",
            "git branch m1; git branch -D m1; git branch m2 side; git branch -m m2 m1; git branch -f m1 HEAD; git branch -D m1",
            "n=$(printf 'b\\377x'); git branch \"$n\"; git branch -f \"$n\" HEAD~1; git branch -m \"$n\" $(printf 'c\\377y')",
            "git branch 'say\"so'; git branch -f 'say\"so' HEAD~1",
            "git tag t; git tag -d t; git tag t HEAD~1; git tag -d t; git tag -a -m x t",
            "git config core.logAllRefUpdates always; git tag l; git tag -f l HEAD~1; git config --unset core.logAllRefUpdates",
            // Git leaves out the first and carries out the second.
            "git push -q . main:p side:p/x 2>/dev/null; git fetch -q . main:f side:f/x 2>/dev/null; true",
        ] {
            holder.ok(script);
            assert_whole(&world, script);
        }
    }
}

#[test]
fn what_git_put_back_is_known() {
    for git in gits() {
        let world = scene(&git, "shared");
        world.agent("Dev-A").ok("cmw-lock acquire; git branch x; git branch -D x");
        // As after a rename that failed: git runs no hook, and writes no line into the reflog.
        world.unidentified().ok("git rev-parse main >.git/refs/heads/x");
        assert_whole(&world, "put back");
        world.unidentified().ok(&format!("{BARE} update-ref refs/heads/x side"));
        assert_eq!(world.person().run("cmw-audit verify").code, 1, "but nothing else");
    }
}

#[test]
fn a_renamed_branch_that_moves_on_around_the_hooks_is_found() {
    for git in gits() {
        let world = scene(&git, "shared");
        world.agent("Dev-A").ok("cmw-lock acquire; git branch x; git branch -m x y");
        world.unidentified().ok(&format!("{BARE} update-ref refs/heads/y side"));
        let output = world.person().run("cmw-audit verify");
        assert!(output.code == 1 && output.stdout.contains("violations: 1 open"), "{output}");
    }
}

#[test]
fn a_git_that_is_killed_before_it_tells_what_it_did_is_no_violation() {
    for git in gits() {
        let world = scene(&git, "shared");
        // Killed when the ref has moved and the journal does not know it yet: the outcome is cut off.
        world.agent("Dev-A").ok("cmw-lock acquire; git branch fresh; git tag fresh");
        world.unidentified().ok("J=.git/audit/journal.jsonl; grep -v '\"observed\"' $J >x; cat x >$J; rm x");
        let output = world.person().run("cmw-audit verify");
        assert!(!output.stdout.contains("fresh"), "{output}");
    }
}

#[test]
fn a_damaged_anchor_stops_no_check() {
    let world = scene(&gits()[0], "shared");
    assert_whole(&world, "at first");
    world.unidentified().ok(&format!("{BARE} update-ref refs/heads/side main~2"));
    for value in ["garbage", &"1".repeat(40)] {
        world.write("repo/.git/refs/cmw/anchor", format!("{value}\n"));
        let output = world.person().run("cmw-audit verify");
        assert!(output.code == 1 && output.stdout.contains("1 UNREADABLE"), "{output}");
        assert!(output.stdout.contains("refs/heads/side moved from"), "{output}");
    }
}

#[test]
fn looking_while_others_work_finds_nothing() {
    let world = scene(&gits()[0], "worktrees");
    let over = AtomicBool::new(false);
    let script = "for i in 1 2 3 4 5 6; do b=agent/$CLAUDE_ROLE/$i; git branch $b && git branch -m $b $b-x && git branch -f $b-x HEAD~1 && git branch -D $b-x || exit; cmw-heartbeat beat; done";
    std::thread::scope(|scope| {
        let agents: Vec<_> = ["Dev-A", "Dev-B", "QA-A"].map(|role| world.agent(role)).into();
        let working: Vec<_> =
            agents.into_iter().map(|agent| scope.spawn(move || drop(agent.run(script)))).collect();
        let looker = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_whole(&world, "meanwhile");
            }
        });
        working.into_iter().for_each(|agent| agent.join().unwrap());
        over.store(true, Ordering::Relaxed);
        looker.join().unwrap();
    });
    assert_whole(&world, "afterwards");
}

#[test]
fn what_stands_behind_much_else_is_counted() {
    let huge = "head -c 2097152 /dev/zero | tr '\\0' x >>$J; echo >>$J";
    for damage in ["head -n 4 $J >x; cat x >$J; rm x", huge] {
        let world = scene(&gits()[0], "shared");
        let commits = "for i in 1 2 3 4 5 6; do git commit -q --allow-empty -m $i; done";
        world.agent("Dev-A").ok(&format!("cmw-lock acquire; {commits}; cmw-lock renew"));
        assert_whole(&world, "at first");
        let bypass = format!("{BARE} update-ref refs/heads/side main");
        world.unidentified().ok(&format!("J=.git/audit/journal.jsonl; {damage}; {bypass}"));
        let output = world.person().run("cmw-audit verify");
        assert!(output.code == 1 && output.stdout.contains("refs/heads/side"), "{damage}\n{output}");
    }
}

#[test]
fn what_cannot_be_counted_yet_is_no_success() {
    let world = scene(&gits()[0], "shared");
    world.agent("Dev-A").ok("cmw-lock acquire; git commit -q --allow-empty -m x");
    // As when a git was killed just before it told what it did.
    let kill = "sed -i '$d' .git/audit/journal.jsonl";
    world.unidentified().ok(&format!("{kill}; {BARE} update-ref refs/heads/side main"));
    for _ in 0..2 {
        let output = world.person().run("cmw-audit verify");
        assert!(output.code == 1 && output.stderr.contains("next: cmw-audit"), "{output}");
    }
}
