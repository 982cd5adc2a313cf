//! The hooks that refuse before anything is touched, and pushes in both directions, with real git, each
//! git that is there (docs/hooks.md).

use std::path::Path;

use crate::support::{Agent, Output, World, gits};

/// Two commits on `main`; `ahead` is one further, `side` went its own way; `../other` has them all.
fn scene(git: &Path, args: &str) -> World {
    let world = World::with(git);
    world.write("repo/a", "first\nsecond\n");
    world.git(&["commit", "-q", "-a", "-m", "second"]);
    world.git(&["tag", "old", "HEAD~1"]);
    for (branch, start) in [("ahead", "main"), ("side", "main~1")] {
        world.git(&["switch", "-q", "-c", branch, start]);
        world.write(&format!("repo/{branch}.txt"), "x\n");
        world.git(&["add", &format!("{branch}.txt")]);
        world.git(&["commit", "-q", "-m", branch]);
    }
    world.git(&["switch", "-q", "main"]);
    world.git(&["clone", "-q", "--mirror", ".", "../other"]);
    world.person().ok(&format!("git config cmw.lock.auto false && cmw-init {args}"));
    world
}

/// What a work tree is like, with what a command that stopped half way leaves in its git directory.
fn picture(world: &World) -> String {
    let left = ["ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"];
    let there: Vec<&str> =
        left.into_iter().filter(|name| world.at(&format!("repo/.git/{name}")).exists()).collect();
    format!("{}{there:?}", world.picture())
}

/// Runs what must be refused once, with these words and a command to type.
#[track_caller]
fn refused(who: &Agent, line: &str, words: &str) -> Output {
    let output = who.run(line);
    assert_ne!(output.code, 0, "\n{output}");
    assert!(output.stderr.contains(words), "no {words:?} in\n{output}");
    assert_eq!(output.stderr.matches("refused: ").count(), 1, "one refusal, not several:\n{output}");
    assert!(next(&output).starts_with("cmw"), "no command to type in\n{output}");
    assert!(!output.stderr.contains("no-verify") && !output.stderr.contains("hooksPath"), "\n{output}");
    output
}

/// The same, when nothing more is to be said of it.
#[track_caller]
fn no(who: &Agent, line: &str, words: &str) {
    refused(who, line, words).ignored();
}

/// The command that is to be typed next.
fn next(output: &Output) -> String {
    let line =
        |line: &str| Some(line.trim_start_matches("remote: ").strip_prefix("next: ")?.trim_end().to_owned());
    output.stderr.lines().find_map(line).unwrap_or_default()
}

/// Entries of the journal of a kind, as they stand there.
fn journal(world: &World, kind: &str) -> Vec<String> {
    let text = world.read("repo/.git/audit/journal.jsonl");
    let kind = format!("\"kind\":\"{kind}\"");
    text.lines().filter(|line| line.contains(&kind)).map(str::to_owned).collect()
}

const HELD: &str = "Dev-A has the write lock";

#[test]
fn what_git_commits_of_others_is_refused_once_and_early() {
    for git in gits() {
        for (before, line, hook) in [
            ("echo x >>a; git add a", "git commit -q -m x", "pre-commit"),
            ("echo x >>a; git add a", "git commit -q --no-verify -m x", "prepare-commit-msg"),
            ("", "git commit -q --no-verify --allow-empty -m x", "prepare-commit-msg"),
            ("", "git cherry-pick side", "prepare-commit-msg"),
            ("", "git revert --no-edit HEAD", "prepare-commit-msg"),
            ("git format-patch -q --stdout -1 side >../patch", "git am -q ../patch", "applypatch-msg"),
            ("", "git -c core.editor=: rebase -q side", "pre-rebase"),
            ("", "git merge -q ahead", "reference-transaction"),
            ("", "git merge -q --no-ff -m m side", "reference-transaction"),
            ("", "GIT_REFLOG_ACTION=mine git merge -q --no-ff -m m side", "pre-merge-commit"),
            ("", "GIT_REFLOG_ACTION=mine git merge -q --no-ff --no-verify -m m side", "prepare-commit-msg"),
        ] {
            let world = scene(&git, "");
            world.agent("Dev-A").ok("cmw-lock acquire");
            let other = world.agent("Dev-B");
            other.run(before).ignored();
            let refs = world.git(&["for-each-ref"]);
            no(&other, line, HELD);
            assert_eq!(world.git(&["for-each-ref"]), refs, "{line}");
            let refused = journal(&world, "refused");
            assert_eq!(refused.len(), 1, "{line}: {refused:?}");
            assert!(refused[0].contains(&format!("\"action\":\"{hook}\"")), "{line}: {refused:?}");
            // A freeze stops the person too.
            other
                .run("git merge --abort; git cherry-pick --abort; git am --abort; git reset -q --hard")
                .ignored();
            world.agent("Dev-A").ok("cmw-lock release");
            world.person().ok("cmw-freeze now --reason audit");
            other.run(before).ignored();
            no(&world.person(), line, "the system is frozen by User");
        }
    }
}

#[test]
fn the_message_hook_starts_no_git_for_the_holder_and_warns_once() {
    for git in gits() {
        let world = scene(&git, "");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire");
        for line in ["commit -q --no-verify -am x", "cherry-pick side", "revert --no-edit HEAD"] {
            dev.ok(&format!(
                "rm -f ../trace; echo x >>a; GIT_TRACE2=$HOME/../trace git {line}; git reset -q"
            ));
            let trace = world.read("trace");
            assert!(trace.contains("prepare-commit-msg"), "it was asked: {trace}");
            for started in ["diff-index", "diff-tree", "merge-base", "rev-list"] {
                assert!(!trace.contains(started), "{line}: {started} in {trace}");
            }
            dev.ok("git checkout -q -- a");
        }
        dev.ok("cmw-lock release");
        world.person().ok("git config cmw.check.lock warn && cmw-init");
        let output = dev.run("echo x >>a; git commit -q -am x");
        assert_eq!((output.code, output.stderr.matches("cmw: warning").count()), (0, 2), "\n{output}");
        let output = dev.run("echo x >>a; git commit -q --no-verify -am x");
        assert_eq!((output.code, output.stderr.matches("cmw: warning").count()), (0, 1), "\n{output}");
    }
}

#[test]
fn a_rebase_is_refused_before_it_begins_and_never_in_its_middle() {
    for git in gits() {
        let world = scene(&git, "");
        let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
        other.ok("git worktree add -q -b agent/Dev-B/x ../linked main~1");
        dev.ok("cmw-lock acquire");
        let before = picture(&world);
        for line in ["git rebase -q side", "git rebase -q main side", "git rebase -q --apply side"] {
            no(&other, line, HELD);
            assert_eq!(picture(&world), before, "{line}");
        }
        other.ok("git switch -q --detach && git rebase -q side && git switch -q main");
        // Its own branch is its own business, wherever it stands, until everything stops.
        other.cd("linked").ok("echo y >y && git add y && git commit -q -m y && git rebase -q main");
        no(&other, "git rebase -q ahead side", HELD);
        world.person().ok("cmw-lock force-release --reason test && cmw-freeze now --reason audit");
        no(&other, "git rebase -q ahead", "the system is frozen by User");
        world.person().ok("cmw-freeze thaw --reason done");
        other.cd("repo");
        // One that is under way goes on; only its end is refused, and finishes later.
        dev.ok("cmw-lock acquire && echo z >side.txt && git add side.txt && git commit -q -m z");
        dev.ok("echo u >u && git add u && git commit -q -m u && ! git rebase -q side && cmw-lock release");
        other.ok("cmw-lock acquire");
        let refused = dev.run("git checkout -q --theirs side.txt; git add side.txt; git rebase --continue");
        assert!(refused.code != 0 && refused.stderr.contains("Dev-B has the write lock"), "\n{refused}");
        assert_eq!(world.git(&["log", "--format=%s", "-3", "HEAD"]), "u\nz\nsecond", "its picks are made");
        other.ok("cmw-lock release");
        dev.ok("cmw-lock acquire && git rebase --continue");
        assert_eq!(world.git(&["log", "--format=%s", "-4", "main"]), "u\nz\nsecond\nside");
        // Nor does one that is given up.
        dev.ok(
            "echo v >side.txt && git commit -q -am v && ! git rebase -q -x false HEAD~1 && cmw-lock release",
        );
        other.ok("cmw-lock acquire");
        let asked = journal(&world, "refused").len();
        other.ok("cmw-lock release");
        no(&dev, "git checkout -q -f main; git commit -q --no-verify --allow-empty -m x", "and it is free");
        let refused = journal(&world, "refused");
        assert!(refused[asked..].iter().all(|line| line.contains("reference-transaction")), "{refused:?}");
        dev.ok("git rebase --abort");
        assert_eq!(world.git(&["log", "--format=%s", "-1", "HEAD"]), "v");
    }
}

#[test]
fn a_merge_is_refused_before_it_touches_anything() {
    for git in gits() {
        let world = scene(&git, "");
        let other = world.agent("Dev-B");
        world.agent("Dev-A").ok("cmw-lock acquire");
        world.git(&["worktree", "add", "-q", "-b", "tree", "../tree", "main~1"]);
        let before = picture(&world);
        for line in [
            "git merge -q ahead",
            "git merge -q --no-ff -m m side",
            "git merge -q --ff-only ahead",
            "git merge -q -n --no-verify -m m side",
            "git -c x.y=z merge -q --no-ff -m m side",
            "git merge -q -m m side ahead",
            "git pull -q --no-rebase . side",
            "git pull -q --no-rebase --ff-only . ahead",
            "cd ../tree; git merge -q ahead",
        ] {
            no(&other, line, HELD);
            assert_eq!(picture(&world), before, "{line}");
        }
        assert_eq!(world.git_in("tree", &["status", "--porcelain"]), "");
        // Without what git says of itself it is refused when it has merged, and can be undone.
        for line in ["git merge -q ahead", "git merge -q --no-ff -m m side"] {
            no(&other, &format!("GIT_REFLOG_ACTION=mine {line}"), HELD);
            assert_ne!(picture(&world), before, "{line}: this was early");
            other.ok("git reset -q --hard; rm -f .git/ORIG_HEAD");
            assert_eq!(picture(&world), before, "{line}");
        }
        // What makes no commit is no business of the lock's.
        for line in [
            "git merge -q --no-commit --no-ff side && git merge --abort",
            "git merge -q --sq side && git reset -q --hard",
            "git merge -q side~1 && git pull -q . main",
            "git config branch.main.mergeOptions '--no-ff --no-commit' && git merge -q side && git merge --abort",
        ] {
            other.ok(line);
        }
    }
}

#[test]
fn a_merge_takes_a_free_lock_and_waits_for_one_that_is_held() {
    for git in gits() {
        let world = scene(&git, "");
        world.person().ok("git config --unset cmw.lock.auto && cmw-init");
        let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
        dev.ok("cmw-lock acquire --files zzz");
        let before = picture(&world);
        for line in ["git merge -q ahead", "git merge -q --no-ff -m m side"] {
            let output = refused(&other, line, "you are number 1 in the queue");
            assert_eq!(next(&output), format!("cmw-lock run -- {line}"));
            assert_eq!(picture(&world), before, "{line}");
        }
        let state = world.read("repo/.git/cmw/state.json");
        assert!(state.contains(r#""files":["side.txt"]"#), "it waits for what the merge brings: {state}");
        dev.ok("cmw-lock release");
        other.ok("git merge -q ahead");
        assert_eq!(other.ok("cmw-lock status"), "the write lock is free\n");
        other.ok("git merge -q --no-ff -m m side && git reset -q --hard");
    }
}

/// What is pushed to another repository, and whether that needs the lock, in both modes.
const PUSHES: &[(&str, bool)] = &[
    ("+side:main", true),
    (":main", true),
    ("side:refs/heads/release/1", true),
    ("+side:refs/tags/old", true),
    (":refs/tags/old", true),
    ("side:refs/notes/x", true),
    ("side:refs/replace/1111111111111111111111111111111111111111", true),
    ("side:refs/heads/agent/QA-A/x", true),
    ("side:refs/heads/agent/x", true),
    ("side:refs/heads/topic +side:main", true),
    ("side:refs/heads/agent/Dev-B/x", false),
    ("side:refs/heads/topic", false),
    ("+main~1:side", false),
    (":side", false),
    ("side:refs/tags/new", false),
];

fn there(world: &World) -> String {
    world.git_in("other", &["for-each-ref", "--format=%(refname) %(objectname)"])
}

#[test]
fn a_push_needs_the_lock_for_what_others_build_on() {
    let both = |git| [(git, "--mode shared"), (git, "--mode worktrees")];
    for (git, mode) in gits().iter().flat_map(both) {
        let world = scene(git, mode);
        world.git_in("other", &["config", "receive.denyDeleteCurrent", "ignore"]);
        let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
        dev.ok("cmw-lock acquire");
        let before = there(&world);
        let restore = || drop(world.git(&["push", "-q", "--mirror", "../other"]));
        for (refs, needs) in PUSHES {
            let line = format!("git push -q ../other {refs}");
            if *needs {
                let output = refused(&other, &line, HELD);
                assert_eq!(next(&output), format!("cmw-lock run -- {line}"));
                assert_eq!(there(&world), before, "{line}");
                other.ok(&format!("git push -n -q ../other {refs} && git push --dry-run -q ../other {refs}"));
            } else {
                other.ok(&line);
                assert_ne!(there(&world), before, "{line}");
            }
            restore();
            dev.ok(&line);
            restore();
        }
        // What is checked out does not matter; what is pushed does.
        other.ok("git switch -q --detach && git push -q ../other HEAD:topic; git switch -q main");
        no(&world.agent("Librarian"), "git push -q ../other +side:main", "librarians read only");
        dev.ok("cmw-lock release");
        let output =
            refused(&other, "git push -q ../other +side:main", "pushing to refs/heads/main needs the");
        other.ok(&next(&output));
        assert_ne!(there(&world), before);
        restore();
        // Frozen, nothing is pushed but our own refs; and trying is free.
        world.person().ok("cmw-freeze now --reason audit");
        for (refs, _) in PUSHES {
            no(&other, &format!("git push -q ../other {refs}"), "the system is frozen by User");
            other.ok(&format!("git push -n -q ../other {refs}"));
        }
        assert_eq!(there(&world), before);
        other.ok("git push -q ../other side:refs/cmw/x && git push -q ../other main:main");
        // A state that cannot be read refuses what may be protected, and nothing else.
        world.unidentified().ok("echo garbage >.git/cmw/state.json");
        let output = other.run("git push -q ../other +side:main");
        assert!(output.code != 0 && output.stderr.contains("next: cmw-doctor"), "\n{output}");
        other.ok("git push -q ../other side:refs/tags/newer side:refs/cmw/y");
    }
}

#[test]
fn a_push_into_this_repository_is_refused_in_words() {
    for git in gits() {
        let world = scene(&git, "");
        let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
        dev.ok("cmw-lock acquire --files a");
        let before = world.picture();
        let line = "git push . +main~1:side";
        let output = refused(&other, line, HELD);
        assert!(output.stderr.contains("[remote rejected]"), "\n{output}");
        assert!(output.stderr.contains("pre-receive hook declined"), "\n{output}");
        assert!(!output.stderr.contains("unexpected disconnect"), "\n{output}");
        assert_eq!(next(&output), format!("cmw-lock run -- {line}"));
        assert_eq!(world.picture(), before);
        let actions: Vec<String> = journal(&world, "refused");
        assert_eq!(actions.len(), 1, "{actions:?}");
        // From a clone, which knows nothing of us: what it brings is in no branch yet.
        world.git(&["clone", "-q", ".", "../clone"]);
        other.cd("clone").ok("echo x >b && git add b && git commit -q -m b");
        let output = refused(&other, "git push -q origin HEAD:topic", HELD);
        let again =
            format!("cmw-lock run --repo {} -- git push -q origin HEAD:topic", world.at("repo").display());
        assert_eq!(next(&output), again);
        no(&other, "git push -q origin :side", HELD);
        no(&other, "git push -q ../repo/.git/ HEAD:topic", HELD);
        dev.cd("clone");
        no(&dev, "git push -q origin HEAD:topic", "b would change, but the lock was taken for a");
        other.ok("git push -q origin HEAD:refs/tags/mine HEAD:refs/heads/agent/Dev-B/x");
        dev.cd("repo").ok("cmw-lock release");
        other.ok(&again);
        assert_eq!(world.git(&["log", "--format=%s", "-1", "topic"]), "b");
        // One intent for each, not two.
        other.ok("git push -q origin +HEAD~1:refs/heads/agent/Dev-B/x");
        let intents = journal(&world, "intent");
        let moved = intents.iter().filter(|line| line.contains("refs/heads/agent/Dev-B/x")).count();
        assert_eq!(moved, 2, "{intents:?}");
        world.person().ok("cmw-freeze now --reason audit");
        no(&other, "git push -q origin HEAD:refs/heads/agent/Dev-B/y", "the system is frozen by User");
        other.ok("git push -q origin HEAD:refs/tags/more");
    }
}
