//! Tests of a hard freeze: movements that no hook sees are refused too, only our own pins are removed, and
//! the next command finishes what a killed one began.
#![cfg(feature = "seeded-faults")]
#![expect(clippy::unwrap_used, reason = "what a test cannot do ends it")]

use std::path::Path;

use crate::support::{World, gits};
use serde_json::Value;

const BRANCHES: [&str; 4] = ["main", "release/1.0", "packed", "deep/packed/too"];

/// `main` is checked out; two branches are only in `packed-refs`, two have nested names.
fn scene(git: &Path) -> World {
    let world = World::ready_with(git, "--roles 4");
    world.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    for name in ["packed", "deep/packed/too"] {
        world.git(&["branch", name]);
    }
    world.git(&["pack-refs", "--all"]);
    world.git(&["branch", "release/1.0"]);
    world.git(&["branch", "-f", "packed-refs-too", "main"]);
    world.git(&["branch", "-D", "-q", "packed-refs-too"]);
    world
}

fn pin(world: &World, branch: &str) -> std::path::PathBuf {
    world.at(&format!("repo/.git/refs/heads/{branch}.lock"))
}

/// The directories in the places of locks.
fn pins(world: &World) -> Vec<String> {
    let heads = world.at("repo/.git/refs/heads");
    let found = walkdir::WalkDir::new(&heads).sort_by_file_name().into_iter().map(Result::unwrap);
    let locks = found.filter(|entry| entry.path().extension().is_some_and(|e| e == "lock"));
    locks.map(|entry| entry.path().strip_prefix(&heads).unwrap().display().to_string()).collect()
}

fn all_pins() -> Vec<String> {
    let mut all = BRANCHES.map(|name| format!("{name}.lock")).to_vec();
    all.sort();
    all
}

fn records(world: &World, event: &str) -> Vec<Value> {
    let logs = ["security-events.log", "orchestrator-decisions.log"];
    let texts = logs.map(|log| world.files("repo/.git/audit").remove(log).unwrap_or_default());
    let lines: Vec<u8> = texts.concat();
    let lines = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).filter(|v: &Value| v["event"] == event).collect()
}

/// Nothing of a hard freeze is left, and a commit under the lock passes.
#[track_caller]
fn is_as_before(world: &World) {
    assert_eq!(pins(world), [""; 0]);
    assert!(!world.at("repo/.git/cmw/pins").exists(), "nothing is left where they were built");
    assert!(!world.read("repo/.git/cmw/state.json").contains("\"pins\""), "the state is as before");
    let dev = world.agent("Dev-A");
    dev.ok("cmw-lock acquire && git commit -q --allow-empty -m after && cmw-lock release");
}

/// What no hook stops, whichever git it is.
const AROUND: [&str; 12] = [
    "git -c core.hooksPath=/dev/null commit -q --allow-empty -m x",
    "git -c core.hooksPath=/dev/null commit -q --allow-empty -m x --no-verify",
    "git -c core.hooksPath=/dev/null update-ref refs/heads/main HEAD~1",
    "git -c core.hooksPath=/dev/null update-ref -d refs/heads/packed",
    "git branch -C packed release/1.0",
    "git -c core.hooksPath=/dev/null branch -f release/1.0 HEAD~1",
    "git -c core.hooksPath=/dev/null branch -D deep/packed/too",
    "git reflog delete --updateref main@{0}",
    "git -c core.hooksPath=/dev/null symbolic-ref refs/heads/main refs/heads/packed",
    "git -c core.hooksPath=/dev/null push -q . +HEAD~1:refs/heads/release/1.0",
    "git -c core.hooksPath=/dev/null fetch -q . +HEAD~1:refs/heads/packed",
    "cd ../linked && git -c core.hooksPath=/dev/null commit -q --allow-empty -m x",
];

#[test]
fn nothing_moves_a_pinned_branch_and_the_thaw_restores_everything() {
    for git in gits() {
        let world = scene(&git);
        world.git(&["worktree", "add", "-q", "../linked", "release/1.0"]);
        let (dev, person) = (world.agent("Dev-A"), world.person());
        let said = person.ok("cmw-freeze now --hard --reason 'who moved main?'");
        assert!(said.contains("frozen hard: 4 branches pinned: who moved main?"), "{said}");
        assert_eq!(pins(&world), all_pins());
        let readme = world.read("repo/.git/refs/heads/main.lock/README");
        for words in ["User", "who moved main?", "cmw-freeze thaw", "the branch main"] {
            assert!(readme.contains(words), "{readme}");
        }
        let picture = world.picture();
        for line in AROUND {
            let output = dev.cd("repo").run(line);
            assert_ne!(output.code, 0, "\n{output}");
            assert_eq!(world.picture(), picture, "\n{output}");
        }
        // Another library, which knows nothing of hooks.
        let repo = git2::Repository::open(world.at("repo")).unwrap();
        let old = repo.revparse_single("HEAD~1").unwrap().id();
        for name in BRANCHES {
            let name = format!("refs/heads/{name}");
            assert!(repo.reference(&name, old, true, "x").is_err(), "{name}");
        }
        let names: Vec<String> = repo
            .references_glob("refs/heads/*")
            .unwrap()
            .map(|r| r.unwrap().name().unwrap().to_owned())
            .collect();
        assert_eq!(names.len(), 4, "no pin is taken for a branch: {names:?}");
        // The usual commands against a lock file that was left behind.
        for line in ["rm -f .git/refs/heads/main.lock", "find .git/refs -name '*.lock' -delete"] {
            dev.run(line).ignored();
            assert_ne!(dev.run(AROUND[0]).code, 0, "{line}");
        }
        assert_eq!((pins(&world), world.picture()), (all_pins(), picture));
        let refused = dev.run("git commit -q --allow-empty -m x");
        assert!(refused.stderr.contains("the system is frozen by User"), "{refused}");
        let why = dev.run("cmw why");
        assert!(why.stdout.contains("frozen hard") && why.stdout.contains(".lock: File exists"), "{why}");
        person.ok("cmw-freeze thaw --reason 'nobody did'");
        is_as_before(&world);
        // And once more.
        person.ok("cmw-freeze now --hard --reason again");
        assert_eq!(pins(&world), all_pins());
        assert_ne!(dev.run(AROUND[0]).code, 0);
        person.ok("cmw-freeze thaw --reason 'once more'");
        is_as_before(&world);
        assert_eq!(records(&world, "PIN_VANISHED"), [Value::Null; 0]);
    }
}

#[test]
fn what_else_git_does_goes_on_and_a_stash_loses_nothing() {
    for git in gits() {
        let world = scene(&git);
        let dev = world.agent("Dev-A");
        world.person().ok("cmw-freeze now --hard --reason wait");
        for line in [
            "git status && git fetch -q . main && git log -1 packed",
            "git switch -q packed && git switch -q --detach && git switch -q main",
            "git worktree add -q --detach ../detached && git -C ../detached commit -q --allow-empty -m x",
            "git for-each-ref && git fsck",
            "git tag t",
        ] {
            dev.ok(line);
        }
        dev.run("git gc -q").ignored();
        assert_eq!(pins(&world), all_pins());
        dev.ok("echo precious >>a");
        dev.run("git stash push -q").ignored();
        assert_eq!(world.git(&["show", "stash@{0}:a"]), "first\nprecious", "the work is saved");
        world.person().ok("cmw-freeze thaw --reason 'go on'");
        dev.ok("git checkout -q -f && git stash pop -q && grep precious a && git checkout -q a");
        is_as_before(&world);
    }
}

#[test]
fn killed_at_any_step_the_next_command_finishes_it() {
    for git in gits() {
        let mut steps = 0;
        for stop in 1.. {
            let world = scene(&git);
            let (dev, person) = (world.agent("Dev-A"), world.person());
            let killed = person.run(&format!("CMW_TEST_STOP_AT={stop} cmw-freeze now --hard --reason x"));
            let ended = killed.code == 0;
            assert!(ended || killed.code == 137, "\n{killed}");
            // The next command finishes it, even if it is refused.
            dev.fails(1, "cmw-lock acquire").ignored();
            assert_eq!(pins(&world), all_pins(), "killed at step {stop}");
            assert!(!world.at("repo/.git/cmw/pins").exists(), "killed at step {stop}");
            let killed = person.run(&format!("CMW_TEST_STOP_AT={stop} cmw-freeze thaw --reason x"));
            assert!(killed.code == 0 || killed.code == 137, "\n{killed}");
            if stop == 2 {
                // Frozen again before the pins of the last time are gone.
                person.ok("cmw-freeze now --hard --reason again");
                assert_eq!(pins(&world), all_pins());
                person.ok("cmw-freeze thaw --reason again");
            }
            dev.ok("cmw-lock status; cmw-lock acquire; cmw-lock release");
            is_as_before(&world);
            assert_eq!(records(&world, "PIN_VANISHED"), [Value::Null; 0], "killed at step {stop}");
            steps += 1;
            if ended && killed.code == 0 {
                break;
            }
        }
        assert!(steps > 15, "each pin has several steps: {steps}");
    }
}

#[test]
fn what_is_not_ours_stays_and_is_said() {
    for git in gits() {
        let world = scene(&git);
        let person = world.person();
        // A directory not made by us, with a file in it, and a pin of a freeze that is none of ours.
        world.write("repo/.git/refs/heads/packed.lock/theirs", "x");
        let said = person.run("cmw-freeze now --hard --reason x");
        assert!(said.code == 0 && said.stderr.contains("packed is not pinned"), "{said}");
        assert!(said.stdout.contains("1 of them MISSING: packed (something else"), "{said}");
        let doctor = person.fails(1, "cmw-doctor");
        assert!(doctor.stdout.contains("not one of our pins"), "{doctor}");
        assert!(person.run("cmw").stdout.contains("MISSING"), "it is on the first screen");
        let json: Value = serde_json::from_str(&person.fails(1, "cmw-freeze status --json").stdout).unwrap();
        assert_eq!(json["data"]["pins"]["missing"], serde_json::json!(["refs/heads/packed"]));
        assert_eq!(json["data"]["system"]["hard"], true);
        let said = person.run("cmw-freeze thaw --reason x");
        assert!(said.stderr.contains("packed.lock is not one of our pins and stays"), "{said}");
        assert_eq!(pins(&world), ["packed.lock"]);
        assert_eq!(world.read("repo/.git/refs/heads/packed.lock/theirs"), "x");
        std::fs::remove_dir_all(pin(&world, "packed")).unwrap();
        is_as_before(&world);
    }
}

#[test]
fn a_git_that_is_at_a_branch_is_waited_for_and_one_that_is_gone_is_not() {
    let world = scene(&gits()[0]);
    let (dev, person) = (world.agent("Dev-A"), world.person());
    // A living program has the lock: it is not robbed.
    let holder = world.unidentified().spawn("exec 9>.git/refs/heads/main.lock; touch opened; sleep 600");
    crate::support::agent::wait_until("the holder", || world.at("repo/opened").exists());
    let said = person.run("cmw-freeze now --hard --reason x");
    assert!(
        said.stderr
            .contains("main is not pinned: a git process holds its lock; the next command tries again"),
        "{said}"
    );
    assert!(pin(&world, "main").is_file() && pin(&world, "packed").is_dir());
    holder.kill().ignored();
    world.person().ok("touch -d '1 hour ago' .git/refs/heads/main.lock; rm opened");
    dev.fails(1, "cmw-lock acquire").ignored();
    assert_eq!(pins(&world), all_pins());
    assert!(pin(&world, "main").is_dir(), "what a git that is gone had left is cleared away");
    // One that is done in time.
    person.ok("cmw-freeze thaw --reason x");
    world.write("repo/.git/refs/heads/main.lock", "");
    let freeze = person.spawn("cmw-freeze now --hard --reason x");
    std::thread::sleep(std::time::Duration::from_millis(200));
    std::fs::remove_file(pin(&world, "main")).unwrap();
    assert!(freeze.wait().stdout.contains("4 branches pinned: x"));
}

#[test]
fn a_vanished_pin_is_found_once_and_set_again() {
    for git in gits() {
        let world = scene(&git);
        let (dev, person) = (world.agent("Dev-A"), world.person());
        person.ok("cmw-freeze now --hard --reason x");
        std::fs::remove_dir_all(pin(&world, "main")).unwrap();
        let doctor = person.fails(1, "cmw-doctor");
        assert!(doctor.stdout.contains("MISSING: main (it does not exist)"), "{doctor}");
        let found = dev.fails(1, "cmw-lock acquire");
        assert!(found.stderr.contains("the pin of main had vanished"), "{found}");
        for _ in 0..2 {
            dev.fails(1, "cmw-lock acquire").ignored();
        }
        assert_eq!(pins(&world), all_pins());
        let vanished = records(&world, "PIN_VANISHED");
        let [record] = &vanished[..] else { panic!("{vanished:?}") };
        assert_eq!(record["reference"], "refs/heads/main");
        assert_eq!((&record["severity"], &record["by"]), (&"HIGH".into(), &"System".into()));
        assert!(record["freeze"].as_str().is_some_and(|id| !id.is_empty()));
        // Again, and by something that is not ours.
        std::fs::remove_dir_all(pin(&world, "packed")).unwrap();
        world.write("repo/.git/refs/heads/packed.lock/theirs", "x");
        for _ in 0..3 {
            dev.fails(1, "cmw-lock acquire").ignored();
        }
        assert_eq!(records(&world, "PIN_VANISHED").len(), 2);
        std::fs::remove_dir_all(pin(&world, "packed")).unwrap();
        // Each is a violation, which stays until it is adopted.
        let fixed = person.fails(1, "cmw-doctor --fix").stdout;
        assert!(fixed.contains("hard: 4 branches pinned"), "{fixed}");
        assert!(fixed.contains("V1: the pin of refs/heads/main was taken away"), "{fixed}");
        person.ok("cmw-audit adopt --all --reason looked");
        std::fs::remove_file(pin(&world, "main").join("README")).unwrap();
        dev.fails(1, "cmw-lock acquire").ignored();
        assert!(pin(&world, "main").join("README").exists());
        person.ok("cmw-freeze thaw --reason x");
        is_as_before(&world);
        // An emptied directory is no pin: it could be removed like any directory.
        assert_eq!(records(&world, "PIN_VANISHED").len(), 3, "a thaw is no disappearance");
        assert!(person.ok("cmw-inbox list --all").contains("The pin of main was taken away"));
    }
}

#[test]
fn a_soft_freeze_is_hardened_later() {
    let world = scene(&gits()[0]);
    let person = world.person();
    person.ok("cmw-freeze now --reason soft");
    assert!(person.fails(1, "cmw-freeze status").stdout.contains("soft: enforced by the hooks"));
    world.agent("Dev-A").fails(77, "cmw-freeze now --hard --reason x").ignored();
    world.agent("Librarian").ok("cmw-freeze now --hard --reason 'harder'");
    assert_eq!(pins(&world), all_pins());
    assert!(person.fails(1, "cmw-freeze status").stdout.contains("hard: 4 branches pinned"));
    assert!(person.run("cmw").stdout.contains("hard: 4 branches pinned"));
    person.fails(1, "cmw-freeze now --hard --reason again").ignored();
    // A branch made past the hooks meanwhile.
    world.git(&["branch", "new"]);
    person.ok("cmw-freeze now --hard --reason again");
    assert_eq!(pins(&world).len(), 5);
    person.ok("cmw-freeze thaw --reason x");
    is_as_before(&world);
}

#[test]
fn uninstalling_removes_pins_also_when_the_state_is_lost() {
    for lost in [false, true] {
        let world = scene(&gits()[0]);
        let person = world.person();
        person.ok("cmw-freeze now --hard --reason x");
        world.write("repo/.git/refs/heads/not-ours.lock/README", "x\ncmw-pin: {}\n");
        if lost {
            world.write("repo/.git/cmw/state.json", "garbage");
        }
        person.ok("cmw-init --uninstall");
        assert_eq!(pins(&world), ["not-ours.lock"], "lost: {lost}");
        person.ok("git commit -q --allow-empty -m x");
    }
}

#[test]
fn refs_that_are_migrated_away_from_their_pins_are_found() {
    let mut tried = 0;
    for git in gits() {
        let world = scene(&git);
        world.person().ok("cmw-freeze now --hard --reason stop");
        // Not every git has the command.
        if world.agent("Dev-A").run("rm -rf .git/logs; git refs migrate --ref-format=reftable").code != 0 {
            continue;
        }
        tried += 1;
        world.agent("Dev-A").ok("git -c core.hooksPath= commit -q --allow-empty -m moved");
        let verify = world.person().run("cmw-audit verify");
        assert_eq!(verify.code, 1, "{verify}");
        assert!(verify.stdout.contains("the pin of refs/heads/main was taken away"), "{verify}");
        assert!(verify.stdout.contains("refs/heads/main moved from"), "{verify}");
        let doctor = world.person().run("cmw-doctor");
        assert!(doctor.stdout.contains("branches cannot be pinned"), "{doctor}");
    }
    assert!(tried > 0, "no git here has `git refs migrate`");
}

#[test]
fn where_refs_are_no_files_the_freeze_is_soft_and_says_so() {
    for git in gits() {
        let world = World::with(&git);
        let stranger = world.unidentified();
        if stranger.run("git init -q --ref-format=reftable ../tables").code != 0 {
            continue;
        }
        let person = world.person();
        person.cd("tables").ok("git commit -q --allow-empty -m first && cmw-init --roles 4");
        let said = person.run("cmw-freeze now --hard --reason x");
        assert!(said.code == 0 && said.stderr.contains("the freeze is soft"), "{said}");
        assert!(said.stdout.contains("frozen: x"), "{said}");
        assert!(person.fails(1, "cmw-freeze status").stdout.contains("soft: enforced by the hooks"));
        let again = person.fails(1, "cmw-freeze now --hard --reason x");
        assert!(again.stderr.contains("reftable"), "{again}");
        person.ok("cmw-freeze thaw --reason x && git commit -q --allow-empty -m x");
    }
}

#[test]
fn a_state_that_was_rebuilt_still_knows_its_pins() {
    let world = scene(&gits()[0]);
    let person = world.person();
    person.ok("cmw-freeze now --hard --reason x");
    world.write("repo/.git/cmw/state.json", "garbage");
    person.run("cmw-doctor --fix").ignored();
    assert!(person.fails(1, "cmw-freeze status").stdout.contains("hard: 4 branches pinned"));
    person.ok("cmw-freeze thaw --reason x");
    is_as_before(&world);
    assert_eq!(records(&world, "PIN_VANISHED"), [Value::Null; 0]);
}

#[test]
fn what_a_killed_thaw_left_stops_no_commit() {
    for git in gits() {
        let world = scene(&git);
        let person = world.person();
        let dev = world.agent("Dev-A");
        person.ok("cmw-freeze now --hard --reason x");
        // Published, and killed before any pin was taken away.
        person.run("CMW_TEST_STOP_AT=1 cmw-freeze thaw --reason x").ignored();
        assert!(pin(&world, "main").exists(), "it was killed too late for this test");
        let why = dev.run("cmw why");
        assert!(why.stderr.contains("are still to be removed"), "{why}");
        dev.ok("git commit -q --allow-empty -m 'goes on'");
        assert!(!pin(&world, "main").exists());
        // And the thaw itself, typed again, is no error.
        person.ok("cmw-freeze now --hard --reason x");
        person.run("CMW_TEST_STOP_AT=1 cmw-freeze thaw --reason x").ignored();
        let again = person.ok("cmw-freeze thaw --reason x");
        assert!(again.contains("running"), "{again}");
        is_as_before(&world);
    }
}
