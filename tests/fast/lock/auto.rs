//! The lock that `git commit` takes by itself: what the first five minutes of an agent and of a person
//! look like, and that such a lease ends with its git (docs/rules.md R4.12, docs/decisions.md D13).
#![cfg(feature = "test-clock")]

use crate::support::agent::wait_until;
use crate::support::{World, assert_transcript, gits};

/// The last records of the lock, by name.
fn events(world: &World, since: usize) -> Vec<String> {
    let log = world.read("repo/.git/audit/write-lock-intents.json");
    let name = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["event"].as_str().unwrap().to_owned()
    };
    log.lines().skip(since).map(name).collect()
}

#[test]
fn the_first_five_minutes_of_an_agent() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    world.write("repo/src/parse.rs", "fn parse() {}\n");
    let text = world.transcript(|t| {
        t.note("The lock is free: a commit takes it and lets go.");
        t.agent("Dev-A", "echo '// more' >>a; git commit -qam 'parser: more'").ignored();
        t.agent("Dev-A", "cmw-lock status").ignored();
        t.note("New files too, in one call, and nothing else.");
        t.agent("Dev-A", "cmw-commit -m 'parser: begin' -- src/parse.rs").ignored();
        t.agent("Dev-A", "git log --format=%s --name-only -1").ignored();
        t.note("Somebody else has it: the refusal has queued the role, and says where.");
        t.agent("Dev-B", "cmw-lock acquire --files 'docs/**' --purpose 'rewrite the guide'").ignored();
        t.agent("Dev-A", "echo '// even more' >>a; git commit -qam 'parser: even more'").ignored();
        t.agent("Dev-A", "cmw-lock queue").ignored();
        t.note("Asking again is the same place.");
        t.agent("Dev-A", "git commit -qam 'parser: even more'").ignored();
        t.note("It is told when its turn comes.");
        t.agent("Dev-B", "cmw-lock release").ignored();
        t.agent("Dev-A", "cmw-inbox next").ignored();
        t.agent("Orchestrator", "echo y >b; git add b; git commit -qm 'me too' b").ignored();
        t.note("One index for all: what another one has staged is not swept up.");
        t.agent("Dev-A", "git commit -qam 'parser: even more'").ignored();
        t.agent("Dev-A", "cmw-commit -m 'parser: even more' -- a").ignored();
        t.agent("Orchestrator", "cmw-lock status").ignored();
        t.agent("Orchestrator", "git commit -qm 'me too' b").ignored();
    });
    assert_transcript("first-minutes-agent", &text);
    assert_eq!(
        world.git(&["log", "--format=%s", "-4"]),
        "me too\nparser: even more\nparser: begin\nparser: more"
    );
}

#[test]
fn the_first_five_minutes_of_a_person() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    let text = world.transcript(|t| {
        t.person("echo mine >>a; git commit -qam 'by hand'").ignored();
        t.person("git log --format=%s -1").ignored();
        t.agent("Dev-A", "cmw-lock acquire --files src --purpose 'fix the login'").ignored();
        t.person("echo more >>a; git commit -qam 'by hand again'").ignored();
        t.note("What is to be typed next waits for the lock and then does the very same.");
        t.agent("Dev-A", "cmw-lock release").ignored();
        t.person("cmw-lock run -- git commit -qam 'by hand again'").ignored();
        t.note("An editor's own terminal is none: the lock free, its commit passes too.");
        t.unidentified("echo even more >>a; git commit -qam 'from an editor'").ignored();
        t.agent("Dev-A", "cmw-lock acquire --quiet --files src").ignored();
        t.unidentified("echo still more >>a; git commit -qam 'from an editor again'").ignored();
        t.note("What throws commits away asks for the lock in so many words.");
        t.agent("Dev-A", "cmw-lock release --quiet").ignored();
        t.person("git checkout -q -- a; git reset -q --hard HEAD~1").ignored();
        t.person("cmw-lock run -- git reset -q --hard HEAD~1").ignored();
        t.person("cmw-lock status").ignored();
    });
    assert_transcript("first-minutes-person", &text);
}

/// What makes commits, with the state that it needs before.
const COMMITTING: &[(&str, &str)] = &[
    ("echo x >>a; git add a", "git commit -q -m x"),
    ("echo x >>a; git add a", "git commit -q --no-verify -m x"),
    ("echo x >>a", "git commit -q -a -m x"),
    ("echo x >>a; echo y >c; git add c", "git commit -q -m x a"),
    ("", "git commit -q --amend -m x"),
    ("", "git commit -q --allow-empty -m x"),
    ("", "git merge -q side"),
    ("", "git merge -q --no-ff -m m side"),
    ("", "git pull -q --no-rebase . side"),
    ("", "git cherry-pick side~1 side"),
    ("", "git revert --no-edit HEAD~1 HEAD"),
    ("git format-patch -q --stdout -1 side >../patch", "git am -q ../patch"),
    ("git switch -q --orphan fresh; echo x >n; git add n", "git commit -q -m x"),
];

fn scene(git: &std::path::Path) -> World {
    let world = World::with(git);
    for (text, branch) in [("b", "side"), ("c", "side")] {
        world.git(&["switch", "-q", "-C", branch]);
        world.write(&format!("repo/{text}"), text);
        world.git(&["add", text]);
        world.git(&["commit", "-q", "-m", text]);
    }
    world.git(&["switch", "-q", "main"]);
    for name in ["d", "e"] {
        world.write(&format!("repo/{name}"), name);
        world.git(&["add", name]);
        world.git(&["commit", "-q", "-m", name]);
    }
    world.person().ok("cmw-init --roles 4");
    world
}

#[test]
fn every_commit_takes_the_free_lock_and_none_takes_one_that_is_held() {
    for git in gits() {
        for (before, line) in COMMITTING {
            let world = scene(&git);
            let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
            dev.run(before).ignored();
            other.ok("cmw-lock acquire --files z");
            let old = world.git(&["for-each-ref"]);
            let refused = dev.run(line);
            assert!(refused.code != 0 && refused.stderr.contains("Dev-B has the write lock"), "\n{refused}");
            assert!(refused.stderr.contains("you are number 1 in the queue"), "\n{refused}");
            assert_eq!(world.git(&["for-each-ref"]), old);
            dev.run("git merge --abort; git cherry-pick --abort; git revert --abort; git am --abort; git reset -q --merge").ignored();
            dev.run(before).ignored();
            other.ok("cmw-lock release");
            // It was told when it was its turn: the offer is its own.
            let done = dev.run(line);
            assert_eq!(done.code, 0, "{}\n{done}", git.display());
            assert_ne!(world.git(&["for-each-ref"]), old, "nothing has moved\n{done}");
            assert_eq!(dev.ok("cmw-lock status"), "the write lock is free\n", "{line}");
            other.ok("cmw-lock acquire && cmw-lock release");
        }
    }
}

#[test]
fn what_moves_a_branch_otherwise_asks_for_the_lock() {
    for git in gits() {
        let world = scene(&git);
        for line in [
            "git reset -q --hard HEAD~1",
            "git branch -f side HEAD",
            "git update-ref refs/heads/main HEAD~1",
            "git rebase -q side",
        ] {
            let refused = world.agent("Dev-A").run(line);
            assert!(refused.code != 0 && refused.stderr.contains("needs the write lock"), "\n{refused}");
            assert!(refused.stderr.contains(&format!("next: cmw-lock run -- {line}")), "\n{refused}");
            world.agent("Dev-A").run("git rebase --abort; git reset -q --hard").ignored();
        }
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock run -- git rebase -q side");
        assert_eq!(dev.ok("cmw-lock status"), "the write lock is free\n");
    }
}

#[test]
fn a_lease_of_a_git_that_is_gone_blocks_no_command() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    // An editor that is left without a message, and one that is killed.
    for editor in ["true", "kill -9 $PPID"] {
        let output = dev.run(&format!("echo x >>a; GIT_EDITOR='{editor}' git commit -q a"));
        assert_ne!(output.code, 0, "\n{output}");
        assert_eq!(other.ok("cmw-lock status"), "the write lock is free\n");
        other.ok("rm -f .git/index.lock; echo y >>b; git add b; git commit -q -m y b");
        assert_eq!(world.git(&["for-each-ref", "refs/cmw/rescue"]), "", "nothing was left to be saved");
    }
    // While the editor is open the lock is held, and a waiter gets it the moment the editor is closed.
    let writing = dev.spawn(
        "GIT_EDITOR='touch ../open; while [ -e ../open ]; do sleep 0.02; done; false' git commit -q a",
    );
    wait_until("the editor", || world.at("open").exists());
    assert!(other.fails(75, "cmw-lock status").stdout.contains("Dev-A holds"));
    let waiting = other.spawn("cmw-lock acquire --wait 20s");
    wait_until("the waiter", || world.unidentified().run("cmw-lock queue").stdout.contains("waiting"));
    std::fs::remove_file(world.at("open")).unwrap();
    let got = waiting.wait();
    assert!(got.code == 0 && got.stdout.contains("granted"), "\n{got}");
    assert_ne!(writing.wait().code, 0);
}

#[test]
fn an_editor_that_is_open_for_an_hour_blocks_no_role_and_its_commit_passes_when_the_lock_is_free() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev.ok("echo x >>a; git add a");
    let writing = dev.spawn(
        "GIT_EDITOR='touch ../open; while [ -e ../open ]; do sleep 0.02; done; echo late >' git commit -q",
    );
    wait_until("the editor", || world.at("open").exists());
    world.pass_ms(3_600_000);
    // The lease is over; what lies there uncommitted is saved, then the lock goes on.
    other.ok("echo y >b; cmw-commit -m y -- b");
    assert!(world.git(&["for-each-ref", "refs/cmw/rescue/Dev-A"]).contains("commit"));
    std::fs::remove_file(world.at("open")).unwrap();
    let late = writing.wait();
    // The branch has moved meanwhile: git itself refuses to lose that commit.
    assert!(late.code != 0 && late.stderr.contains("cannot lock ref"), "\n{late}");
    assert_eq!(world.git(&["log", "--format=%s", "-1"]), "y");
    dev.ok("git add a");
    let writing = dev.spawn(
        "GIT_EDITOR='touch ../open; while [ -e ../open ]; do sleep 0.02; done; echo late >' git commit -q",
    );
    wait_until("the editor", || world.at("open").exists());
    world.pass_ms(3_600_000);
    other.ok("cmw-lock acquire --files z && cmw-lock release");
    std::fs::remove_file(world.at("open")).unwrap();
    let late = writing.wait();
    assert_eq!(late.code, 0, "the lock is free again, so the commit takes it once more\n{late}");
    assert_eq!(dev.ok("cmw-lock status"), "the write lock is free\n");
}

#[test]
fn each_commit_has_its_record() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    let dev = world.agent("Dev-A");
    dev.ok("echo x >>a; git commit -q -a -m x");
    let events = events(&world, 0);
    assert_eq!(events, ["LOCK_GRANTED", "COMMIT_VERIFIED", "LOCK_RELEASED"]);
    let log = world.read("repo/.git/audit/write-lock-intents.json");
    assert!(log.contains(r#""verification_status":"PASSED","files":["a"],"outside":[]"#), "{log}");
}

#[test]
fn it_can_be_switched_off_by_policy_only() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    world.person().ok("git config cmw.lock.auto false; cmw-init");
    for line in ["git commit -q -a -m x", "git -c cmw.lock.auto=true commit -q -a -m x"] {
        let refused = world.agent("Dev-A").run(&format!("echo x >>a; {line}"));
        assert!(refused.code != 0 && refused.stderr.contains("and it is free"), "\n{refused}");
    }
}
