//! Tests of broken states: with any damage to our files or to the disk below them, protected refs are refused
//! with a remedy that works when it is typed, and everything else goes on; where git no longer runs our
//! hooks, movements are found.
//!
//! That a person gets out of a broken state by uninstalling stands in tests/hooks.rs, commits under a hook
//! that is being replaced in tests/hook_upgrade.rs, the ways out in tests/ways_out.rs.

use crate::support::damage::{BROKEN_STATE, HARMLESS, refs, restore, scene};
use crate::support::{Agent, Output, World, gits};

/// What the holder's commit is.
const COMMIT: &str = "git commit -q --allow-empty -m x";

/// Movements of protected refs, on the different ways by which git asks.
const MOVES: [&str; 4] = [
    COMMIT,
    "git commit -q --no-verify --allow-empty -m x",
    "git update-ref refs/heads/side main~1",
    "git push -q . +main~1:side",
];

/// What may lie in the way of the journal, and what it says then.
const BROKEN_JOURNAL: [(&str, &str); 5] = [
    ("its lock is a directory", "rm -f $L && mkdir $L"),
    ("its lock is a link to nowhere", "rm -f $L && ln -s /nonexistent/x $L"),
    ("it cannot be changed", "chattr +i $J"),
    ("the audit is a file", "rm -rf ../away && mv .git/audit ../away && echo x >.git/audit"),
    ("the audit is gone", "rm -rf .git/audit"),
];

/// The last command that an output names.
#[track_caller]
fn next_of(output: &Output) -> String {
    let said = output.all();
    let lines = said.lines().map(|line| line.trim_start_matches("remote: "));
    let next = lines.filter_map(|line| line.strip_prefix("next: ")).next_back();
    next.unwrap_or_else(|| panic!("no command to type in\n{output}")).to_owned()
}

/// Types what is named, and what that names, until the holder commits under the lock.
#[track_caller]
fn remedies_work(world: &World, what: &str, first: String) {
    let mut typed = Vec::new();
    let mut next = first;
    loop {
        assert!(!typed.contains(&next) && typed.len() < 5, "{what}: {next} does not help, after {typed:?}");
        let output = world.person().run(&next);
        typed.push(next);
        if world.agent("Dev-A").run(&format!("cmw-lock acquire && {COMMIT}")).code == 0 {
            return;
        }
        next = next_of(&output);
    }
}

/// Nothing protected moves; the remedy that is named.
#[track_caller]
fn refused(who: &Agent, world: &World, what: &str) -> String {
    let old = refs(world);
    let mut next = String::new();
    for line in MOVES {
        let output = who.run(line);
        assert_ne!(output.code, 0, "{what}\n{output}");
        assert_eq!(refs(world), old, "{what}\n{output}");
        assert!(!output.stderr.contains("--no-verify") && !output.stderr.contains("hooksPath"), "{output}");
        next = next_of(&output);
    }
    next
}

#[track_caller]
fn harmless_passes(world: &World, what: &str) {
    let old = refs(world);
    for line in HARMLESS {
        let output = world.agent("Dev-A").run(line);
        assert_eq!(output.code, 0, "{what}\n{output}");
        restore(world, &old);
    }
}

#[test]
fn every_broken_state_has_a_remedy_that_works() {
    for git in gits() {
        let world = scene(&git, "");
        world.agent("Dev-A").ok("cmw-lock acquire");
        for (what, damage, _) in BROKEN_STATE {
            world.unidentified().ok(&format!("S=.git/cmw/state.json; {damage}"));
            let next = refused(&world.agent("Dev-A"), &world, what);
            if *what == "newer" {
                // The newer program is what helps.
                assert_eq!(next, "cmw --version");
                world.person().ok("cmw --version; sed -i 's/\"format\":2/\"format\":1/' .git/cmw/state.json");
                world.agent("Dev-A").ok(COMMIT);
            } else {
                remedies_work(&world, what, next);
            }
        }
        assert_eq!(world.person().run("cmw-audit verify").code, 0, "{}", git.display());
    }
}

#[test]
fn every_broken_journal_has_a_remedy_that_works() {
    for git in gits() {
        let world = scene(&git, "");
        world.agent("Dev-A").ok("cmw-lock acquire");
        for (n, (what, damage)) in BROKEN_JOURNAL.into_iter().enumerate() {
            let names = "J=.git/audit/journal.jsonl; L=.git/cmw/journal.lock";
            let done = world.unidentified().run(&format!("{names}; {damage}"));
            if done.code != 0 && damage.starts_with("chattr") {
                eprintln!("not tried: {what}: {done}");
                continue;
            }
            assert_eq!(done.code, 0, "{done}");
            if n == 0 {
                harmless_passes(&world, what);
            }
            let next = refused(&world.agent("Dev-A"), &world, what);
            for line in ["git tag new", "git stash", "git switch -q --detach", COMMIT, "git gc -q"] {
                world.agent("Dev-A").ok(line);
            }
            world.git(&["switch", "-q", "main"]);
            world.git(&["tag", "-d", "new"]);
            remedies_work(&world, what, next);
            world.person().ok("cmw-init");
        }
    }
}

/// Ways in which git comes not to ask us, and the words of `cmw-doctor`.
const NOT_ASKED: [(&str, &str, &str); 4] = [
    ("the authority is gone", "rm .git/cmw/hooks/reference-transaction", "reference-transaction is missing"),
    ("all hooks are gone", "rm -r .git/cmw/hooks", "pre-commit is missing"),
    ("they may not be run", "chmod -x .git/cmw/hooks/*", "pre-commit is not executable"),
    ("everything is gone", "rm -r .git/cmw", "it is missing, and it was there"),
];

#[test]
fn what_moves_while_git_does_not_ask_is_found() {
    for git in gits() {
        let world = scene(&git, "");
        let person = world.person();
        for (n, (what, damage, words)) in NOT_ASKED.into_iter().enumerate() {
            world.unidentified().ok(damage);
            world.agent("Dev-B").ok("git status && git stash && git tag found");
            let moved = world.agent("Dev-B").run("git update-ref refs/heads/side $(git rev-parse side~1)");
            // Git's guard, where there is one, may refuse it.
            let passed = moved.code == 0;
            let doctor = person.run("cmw-doctor");
            assert!(doctor.code != 0 && doctor.stdout.contains(words), "{what}\n{doctor}");
            let looked = person.run("cmw-audit verify");
            assert_eq!(looked.code == 0, !passed, "{what}\n{looked}");
            if n < 3 && passed {
                assert!(looked.stdout.contains("refs/heads/side moved from"), "{what}\n{looked}");
                assert!(looked.stdout.contains("(the hook "), "the cause is not named: {what}\n{looked}");
            }
            remedies_work(&world, what, next_of(&doctor));
            let again = person.run("cmw-audit verify");
            assert_eq!(again.stdout.contains("refs/heads/side moved from"), passed, "{what}\n{again}");
            let open = person.run("cmw-audit verify --json");
            let open: serde_json::Value = serde_json::from_str(&open.stdout).unwrap();
            let open = open["data"]["violations"].as_array().unwrap().clone();
            assert_eq!(open.len(), usize::from(passed), "{what}\n{again}");
            for violation in open {
                person.ok(&format!("cmw-audit adopt V{} --reason 'I looked'", violation["id"]));
            }
            assert_eq!(person.run("cmw-audit verify").code, 0, "{what}");
            assert_ne!(world.agent("Dev-B").run("git branch x").code, 0, "{what}: guarded again");
            world.git(&["tag", "-d", "found"]);
            world.agent("Dev-A").ok("git update-ref refs/heads/side main");
        }
    }
}

/// How mounts of one's own are to be had here: a shell command to put in front, or why there are none.
fn mounts(world: &World) -> Result<&'static str, String> {
    let mut why = String::new();
    for way in ["unshare -m", "unshare -Urm"] {
        let tried =
            world.unidentified().run(&format!("{way} sh -c 'mount -t tmpfs none ../home && echo it works'"));
        if tried.stdout.contains("it works") {
            return Ok(way);
        }
        why = tried.stderr;
    }
    Err(why)
}

/// What happens below the audit, the one that does not outlive the mounts last: what is set up, how that ends, words, remedy.
const DISKS: [(&str, &str, &str, &str); 2] = [
    (
        "for d in audit cmw; do mount --bind .git/$d .git/$d && mount -o remount,bind,ro .git/$d || exit; done",
        "for d in audit cmw; do mount -o remount,bind,rw .git/$d || exit; done",
        "Read-only file system",
        "mount | grep -w ro",
    ),
    (
        "cp -a .git/audit/. ../saved && mount -t tmpfs -o size=256k,mode=700 none .git/audit && \
         cp -a ../saved/. .git/audit && { head -c 1m /dev/zero >.git/audit/fill 2>/dev/null || :; }",
        "rm .git/audit/fill",
        "No space left on device",
        "df -h .",
    ),
];

#[test]
fn a_full_or_read_only_disk_stops_protected_refs_only() {
    for git in gits() {
        let world = scene(&git, "");
        let way = match mounts(&world) {
            Ok(way) => way,
            Err(why) => {
                eprintln!("not tried: no mounts of one's own here: {why}");
                return;
            }
        };
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire");
        for (broken, mended, words, remedy) in DISKS {
            // What was allocated already takes a few lines more.
            let script = format!(
                "set -e\nmkdir -p ../saved\n{broken}\n\
                 n=0; while {COMMIT} 2>../said; do n=$((n+1)); [ $n -lt 60 ]; done\n\
                 cat ../said; echo ==\n\
                 for f in 1 2; do ! git commit -q --no-verify --allow-empty -m x 2>/dev/null; done\n\
                 echo s >>a; git stash -q; git stash pop -q; git checkout -q -- a\n\
                 git switch -q --detach; {COMMIT}; git switch -q main; git gc -q; git status\n\
                 git fetch -q ../other '+refs/heads/*:refs/remotes/other/*'; git worktree add -q --detach ../t\n\
                 git worktree remove ../t; {remedy} >/dev/null\n{mended}\n{COMMIT}\n\
                 cmw-lock renew; cmw-audit verify\n"
            );
            world.write("script", script);
            let output = dev.run(&format!("{way} sh ../script"));
            assert_eq!(output.code, 0, "{broken}\n{output}");
            let refusal = output.stdout.split("==").next().unwrap();
            assert!(refusal.contains(words) && refusal.contains(&format!("next: {remedy}")), "{output}");
            assert_eq!(output.stderr.matches("Resource busy").count(), 0, "{output}");
        }
    }
}

#[test]
fn a_limit_on_the_size_of_files_refuses_and_loses_nothing() {
    for git in gits() {
        let world = scene(&git, "");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire");
        let all =
            "for i in $(seq 60); do echo \"create refs/heads/many$i HEAD\"; done | git update-ref --stdin";
        dev.ok(&format!(
            "{all}; git for-each-ref --format='delete %(refname)' 'refs/heads/many*' | git update-ref --stdin"
        ));
        assert!(world.read("repo/.git/audit/journal.jsonl").len() > 40_000);
        let old = refs(&world);
        // With the signal a write past the limit kills, without it the write fails.
        for (signal, words) in [("", ""), ("trap '' XFSZ;", "File too large")] {
            let output =
                dev.run(&format!("{signal} ulimit -f 64; git commit -q --no-verify --allow-empty -m x"));
            assert!(output.code != 0 && output.stderr.contains(words), "{output}");
            dev.ok(
                "ulimit -f 64; git stash; git reset -q --hard; git switch -q --detach; git switch -q main",
            );
            assert_eq!(refs(&world), old, "{output}");
        }
        dev.ok(COMMIT);
        assert_eq!(world.person().run("cmw-audit verify").code, 0);
    }
}

/// Worktrees mode: `main` is protected, `side` and `topic` are not, Dev-B has a branch of its own, and a
/// rebase that has stopped is left in a work tree.
fn work_trees(git: &std::path::Path) -> World {
    let world = scene(git, "--mode worktrees");
    let own = world.agent("Dev-B");
    own.ok("git worktree add -q -b agent/Dev-B/x ../linked side && git branch topic side");
    own.ok("git worktree add -q ../stopped clash; cd ../stopped; ! git rebase -q main 2>/dev/null");
    world
}

/// Others are asked with these, and nothing is decided here.
const PASSES: [&str; 8] = [
    "git fetch -q ../other '+refs/heads/*:refs/remotes/other/*'",
    "git push -q --dry-run ../other HEAD:refs/heads/main",
    "git push -q ../other HEAD:refs/tags/pushed$(date +%s%N)",
    "git push -q ../other HEAD:refs/cmw/test$(date +%s%N)",
    "git -C ../linked checkout -q --detach && git -C ../linked rebase -q main && git -C ../linked checkout -q -",
    "git -C ../linked commit -q --allow-empty -m x --dry-run || git -C ../linked status",
    "git -C ../linked merge -q --squash main~1",
    "cd ../linked && git stash list && git switch -q --detach && git commit -q --allow-empty -m x && git switch -q -",
];

#[test]
fn what_may_be_protected_counts_as_protected_while_the_state_cannot_be_read() {
    for git in gits() {
        let world = work_trees(&git);
        let dev = world.agent("Dev-B");
        world.unidentified().ok("echo garbage >.git/cmw/state.json");
        for line in PASSES {
            dev.ok(line);
        }
        let all = || refs(&world) + &world.git_in("other", &["for-each-ref", "refs/heads"]);
        let old = all();
        // Who acts and what the mode leaves free stands in the state.
        for line in [
            "cd ../linked && git commit -q --allow-empty -m x",
            "cd ../linked && git commit -q --no-verify --allow-empty -m x",
            "cd ../linked && git cherry-pick ahead; git cherry-pick --abort; false",
            "cd ../linked && git rebase -q main",
            "git switch -q topic && git commit -q --amend -m x",
            "git switch -q main && git branch -f topic main",
            "git push -q ../other side:refs/heads/topic",
            "git push -q . side:refs/heads/topic2",
        ] {
            let output = dev.run(line);
            assert!(output.code != 0 && next_of(&output) == "cmw-doctor --fix", "{output}");
            assert_eq!(all(), old, "{output}");
        }
        assert!(!world.at("repo/.git/worktrees/linked/rebase-merge").exists(), "nothing was begun");
        dev.ok("cd ../stopped && git rebase --abort && git status");
        assert_eq!(all(), old);
        remedies_work(&world, "worktrees", "cmw-doctor --fix".to_owned());
        dev.ok("cd ../linked && git rebase -q main && git push -q ../other HEAD:refs/heads/topic");
    }
}

#[test]
fn a_branch_that_is_never_compared_needs_no_journal() {
    for git in gits() {
        let world = work_trees(&git);
        let dev = world.agent("Dev-B");
        world.agent("Dev-A").ok("cmw-lock acquire");
        world.unidentified().ok("rm -f .git/cmw/journal.lock && mkdir .git/cmw/journal.lock");
        for line in PASSES {
            dev.ok(line);
        }
        dev.ok("git switch -q topic && git commit -q --allow-empty -m x && git rebase -q --no-ff HEAD~1");
        dev.ok("git push -q ../other topic && git push -q . topic:topic2 && git branch -D topic2 && git switch -q main");
        // An unrecorded movement of its own branch would look like another actor's.
        let own = dev.run("cd ../linked && git commit -q --allow-empty -m x");
        assert!(own.code != 0 && next_of(&own) == "cmw-doctor", "{own}");
        let next = refused_in(&world, "git commit -q --allow-empty -m x");
        remedies_work(&world, "worktrees", next);
        world.person().run("cmw-init").ignored();
        assert_eq!(
            world.person().run("cmw-audit verify --json").stdout.matches("refs/heads/topic").count(),
            0
        );
    }
}

/// What the holder is refused, and with what remedy.
#[track_caller]
fn refused_in(world: &World, line: &str) -> String {
    let output = world.agent("Dev-A").run(line);
    assert_ne!(output.code, 0, "{output}");
    next_of(&output)
}
