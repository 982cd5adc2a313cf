//! Tests of saving: a holder's uncommitted work is saved before another actor gets the write lock, never
//! by a hook (docs/decisions.md D2); killed at any step, the next command finishes it.
#![cfg(feature = "test-clock")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::agent::wait_until;
use crate::support::{World, gits};

/// Dev-A holds the lock with staged, unstaged, new and ignored work; Dev-B has staged a file of its own.
fn scene(git: &std::path::Path, args: &str) -> World {
    let world = World::with(git);
    world.write("repo/b", "first\n");
    world.write("repo/.gitignore", "*.o\n");
    world.git(&["add", "."]);
    world.git(&["commit", "-q", "-m", "second"]);
    world.person().ok(&format!("cmw-init --roles 4 {args}"));
    world
        .agent("Dev-A")
        .ok("cmw-heartbeat register; cmw-lock acquire --files a --files 'new*' --purpose login");
    world.agent("Dev-B").ok("echo theirs >>b; git add b");
    world.agent("Dev-A").ok("echo staged >>a; git add a; echo unstaged >>a; echo n >new; echo o >x.o");
    world
}

fn rescues(world: &World) -> Vec<String> {
    let refs = world.git(&["for-each-ref", "--format=%(refname)", "refs/cmw/rescue"]);
    refs.lines().map(str::to_owned).collect()
}

/// Everything that Dev-A did is in the snapshot, and the work tree is as it was.
#[track_caller]
fn all_of_it_is_saved(world: &World, name: &str) {
    assert_eq!(world.git(&["show", &format!("{name}:a")]), "first\nstaged\nunstaged");
    assert_eq!(world.git(&["show", &format!("{name}^2:a")]), "first\nstaged");
    assert_eq!(world.git(&["show", &format!("{name}:new")]), "n");
    assert!(!world.git(&["ls-tree", "--name-only", name]).contains("x.o"), "what is ignored is not saved");
    assert_eq!(world.read("repo/a"), "first\nstaged\nunstaged\n", "the work tree is not touched");
}

/// The names of the lock's records, in order, without repeated requests.
fn events(world: &World) -> Vec<String> {
    let log = world.read("repo/.git/audit/write-lock-intents.json");
    let name = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["event"].as_str().unwrap().to_owned()
    };
    log.lines().map(name).collect()
}

/// In the audit the work is saved before the next one is granted.
#[track_caller]
fn saved_before_granted(world: &World) {
    let events = events(world);
    let nth = |name: &str, n: usize| {
        let mut found = events.iter().enumerate().filter(|(_, event)| *event == name).map(|(i, _)| i);
        found.nth(n).unwrap_or_else(|| panic!("no {name} in {events:?}"))
    };
    let saved = nth("WORK_RESCUED", 0);
    assert!(nth("LOCK_RELEASED", 0) < saved && saved < nth("LOCK_GRANTED", 1), "{events:?}");
}

#[test]
fn whatever_ends_the_lease_the_work_is_saved_first() {
    for git in gits() {
        for end in ["expiry", "crash", "force", "shutdown"] {
            let world = scene(&git, "");
            match end {
                "expiry" => world.pass_ms(306_000),
                "crash" => world.agent("Dev-A").kill(),
                "force" => drop(world.agent("Orchestrator").ok("cmw-lock force-release --reason 'it hangs'")),
                _ => drop(world.agent("Dev-A").ok("cmw-heartbeat deregister")),
            }
            let got = world.agent("Orchestrator").run("cmw-lock acquire --files z");
            assert!(got.code == 0 && got.stdout.contains("granted"), "{end}\n{got}");
            let names = rescues(&world);
            let [name] = &names[..] else { panic!("{end}: {names:?}") };
            assert!(name.starts_with("refs/cmw/rescue/Dev-A/"), "{name}");
            all_of_it_is_saved(&world, name);
            saved_before_granted(&world);
            // What Dev-A had staged no other role commits by accident; what Dev-B staged stays.
            assert_eq!(world.git(&["diff", "--cached", "--name-only"]), "b", "{end}");
            let mail = world.agent("Dev-A").ok("cmw-inbox list --all --json");
            assert!(
                mail.contains("WORK_RESCUED") && mail.contains("cmw-rescue show Dev-A/"),
                "{end}: {mail}"
            );
            world.agent("Orchestrator").ok("cmw-lock release");
            world.agent("Dev-B").ok("git commit -q -m 'of Dev-B'");
            assert_eq!(world.git(&["show", "--format=", "--name-only"]), "b");
        }
    }
}

#[test]
fn a_hook_saves_nothing_and_names_the_command_that_does() {
    let world = scene(&gits()[0], "");
    world.agent("Dev-A").kill();
    let dev = world.agent("Dev-B");
    let refused = dev.fails(1, "git commit -q -m x b");
    assert!(
        refused.stderr.contains("Dev-A lost the write lock, and its uncommitted work is not saved yet"),
        "{refused}"
    );
    assert!(refused.stderr.contains("number 1 in the queue"), "{refused}");
    assert!(refused.stderr.contains("next: cmw-lock run -- git commit -q -m x b"), "{refused}");
    assert_eq!(rescues(&world), Vec::<String>::new());
    dev.ok("cmw-lock run -- git commit -q -m x b");
    assert_eq!(rescues(&world).len(), 1);
}

#[test]
fn a_freeze_releases_at_once_saves_afterwards_and_unstages_nothing() {
    let world = scene(&gits()[0], "");
    world.agent("Librarian").ok("cmw-freeze now --reason 'let me look'");
    let names = rescues(&world);
    assert_eq!(names.len(), 1);
    all_of_it_is_saved(&world, &names[0]);
    assert_eq!(world.git(&["diff", "--cached", "--name-only"]), "a\nb");
    world.person().ok("cmw-freeze thaw --reason 'seen'");
    assert_eq!(rescues(&world).len(), 1, "once is enough");
    world.agent("Dev-B").ok("cmw-lock acquire");
}

#[test]
fn half_done_work_is_not_concluded_by_another_role_without_its_parts() {
    for git in gits() {
        let world = World::with(&git);
        world.git(&["switch", "-q", "-c", "side"]);
        world.write("repo/n", "of side\n");
        world.git(&["add", "n"]);
        world.git(&["commit", "-q", "-m", "side"]);
        world.git(&["switch", "-q", "main"]);
        world.person().ok("cmw-init --roles 4");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire --files n; git merge -q --no-commit --no-ff side");
        dev.kill();
        let other = world.agent("Dev-B");
        other.ok("cmw-lock acquire && cmw-lock release");
        assert_eq!(rescues(&world).len(), 1);
        let message = world.git(&["log", "-1", "--format=%B", &rescues(&world)[0]]);
        assert!(message.contains("a merge was in progress"), "{message}");
        other.ok("cmw-lock run -- git commit -q -m concluded");
        assert_eq!(world.git(&["show", "HEAD:n"]), "of side", "nothing of it is lost");
    }
}

#[test]
fn files_without_a_known_editor_stay_staged() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev.ok("cmw-lock acquire; echo wip >>a");
    other.ok("echo b >b; git add b");
    dev.kill();
    other.ok("cmw-lock run -- git commit -q -m b");
    assert_eq!(world.git(&["show", "--format=", "--name-only"]), "b");
}

#[test]
fn a_role_that_returns_late_finds_the_index_as_it_was() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    let dev = world.agent("Dev-A");
    dev.ok("cmw-lock acquire --files a; echo x >>a; git add a");
    world.pass_ms(400_000);
    dev.ok("cmw-lock run -- git commit -q -m x");
    assert_eq!(rescues(&world), Vec::<String>::new(), "no other role wanted it: it goes on");
}

#[test]
fn a_commit_that_is_still_at_it_keeps_what_it_commits() {
    let world = World::with(&gits()[0]);
    let script = format!(
        "#!/bin/sh\ntouch {0}/in; while [ ! -e {0}/go ]; do sleep 0.02; done\n",
        world.root().display()
    );
    world.write_program("repo/.git/hooks/pre-commit", &script);
    world.person().ok("cmw-init --roles 4");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    let running = dev.spawn("echo x >>a; git add a; git commit -q -m C");
    wait_until("the hook", || world.at("in").exists());
    world.pass_ms(400_000);
    other.ok("cmw-lock acquire && cmw-lock release; touch ../go");
    let done = running.wait();
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(world.git(&["show", "--format=%s", "--name-only"]), "C\n\na", "no empty commit");
}

#[test]
fn a_filter_that_hangs_blocks_no_command_for_ever() {
    let world = World::with(&gits()[0]);
    world.write("repo/.gitattributes", "*.slow filter=slow\n");
    world.git(&["add", "."]);
    world.git(&["commit", "-q", "-m", "attributes"]);
    world.person().ok("cmw-init --roles 4");
    let dev = world.agent("Dev-A");
    dev.ok("cmw-lock acquire; echo x >x.slow; git config filter.slow.clean 'sleep 600'");
    dev.kill();
    let refused = world.agent("Dev-B").fails(75, "cmw-lock acquire");
    assert!(refused.stderr.contains("longer than 9s"), "{refused}");
    assert!(!world.unidentified().ok("ps -eo args").contains("sleep 600 x"), "what hung is ended");
    assert!(events(&world).contains(&"RECOVERY_FAILED".to_owned()));
    world.person().ok("git config --unset filter.slow.clean");
    world.pass_ms(11_000);
    world.agent("Dev-B").ok("cmw-lock acquire");
    assert_eq!(rescues(&world).len(), 1);
}

#[test]
fn nothing_uncommitted_leaves_no_snapshot() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    world.agent("Dev-A").ok("cmw-lock acquire");
    world.agent("Dev-A").kill();
    world.agent("Dev-B").ok("cmw-lock acquire");
    assert_eq!(rescues(&world), Vec::<String>::new());
}

#[test]
fn work_in_a_linked_work_tree_is_saved_there() {
    for git in gits() {
        let world = World::with(&git);
        world.git(&["worktree", "add", "-q", "-b", "topic", "../linked"]);
        world.person().ok("cmw-init --roles 4");
        let dev = world.agent("Dev-A");
        dev.cd("linked").ok("cmw-lock acquire --files a && echo linked >>a && git add a");
        dev.kill();
        world.agent("Dev-B").ok("cmw-lock acquire");
        let names = rescues(&world);
        assert_eq!(world.git(&["show", &format!("{}:a", names[0])]), "first\nlinked");
        // A work tree that is gone has nothing to be saved, and stops no role.
        world.agent("Dev-B").ok("cmw-lock release");
        let dev = world.agent("Dev-A");
        dev.cd("linked").ok("cmw-lock acquire --files a");
        dev.kill();
        std::fs::remove_dir_all(world.at("linked")).unwrap();
        world.agent("Dev-B").ok("cmw-lock acquire");
        assert!(world.read("repo/.git/audit/write-lock-intents.json").contains("is gone"));
    }
}

#[test]
fn work_that_cannot_be_saved_stops_the_lock_until_it_is_abandoned() {
    let world = scene(&gits()[0], "");
    world.agent("Dev-A").kill();
    // Git cannot write below `refs/cmw`: a file is in its place.
    world.write("repo/.git/refs/cmw", "in the way\n");
    let dev = world.agent("Dev-B");
    let refused = dev.fails(75, "cmw-lock acquire");
    assert!(refused.stderr.contains("could not be saved"), "{refused}");
    assert!(refused.stderr.contains("cmw-rescue abandon"), "{refused}");
    assert!(world.person().ok("cmw-inbox").contains("SECURITY_ALERT"), "a person is told");
    // It is not tried at every call, and hooks refuse as well.
    let began = Instant::now();
    dev.fails(75, "cmw-lock acquire --wait 300ms").ignored();
    assert!(began.elapsed() < Duration::from_secs(9), "as long as it is tried");
    dev.fails(1, "git commit -q -m x b").ignored();
    dev.fails(77, "cmw-rescue abandon --reason 'I want it'").ignored();
    let tries = events(&world).iter().filter(|e| *e == "RECOVERY_FAILED").count();
    assert_eq!(tries, 1);
    // After a while it is tried again; the obstacle gone, it works.
    std::fs::remove_file(world.at("repo/.git/refs/cmw")).unwrap();
    world.pass_ms(11_000);
    dev.ok("cmw-lock acquire");
    assert_eq!(rescues(&world).len(), 1);
    dev.ok("cmw-lock release");

    let world = scene(&gits()[0], "");
    world.agent("Dev-A").kill();
    world.write("repo/.git/refs/cmw", "in the way\n");
    world.agent("Dev-B").fails(75, "cmw-lock acquire").ignored();
    world.person().ok("cmw-rescue abandon --reason 'nothing of value'");
    world.agent("Dev-B").ok("cmw-lock acquire");
    assert!(events(&world).contains(&"RESCUE_ABANDONED".to_owned()));
}

/// A git that stops this test's world at its n-th call: the command is killed there.
fn killer(world: &World, git: &std::path::Path) {
    let script = format!(
        "#!/bin/sh\nn=$(cat {0}/calls 2>/dev/null || echo 0); n=$((n + 1)); echo $n >{0}/calls\n\
         [ $n = \"$(cat {0}/stop 2>/dev/null)\" ] && kill -9 $PPID && exit 1\nexec {1} \"$@\"\n",
        world.root().display(),
        git.display()
    );
    world.write_program("bin/git", &script);
}

#[test]
fn killed_at_any_step_the_next_command_finishes_it() {
    for git in gits() {
        let mut stopped = 0;
        for stop in 1..60 {
            let world = scene(&git, "");
            killer(&world, &git);
            world.agent("Dev-A").kill();
            world.write("stop", stop.to_string());
            let dev = world.agent("Dev-B");
            let path = format!("PATH={}:$PATH", world.at("bin").display());
            let first = dev.run(&format!("{path} cmw-lock acquire --files z"));
            if first.code == 0 {
                assert!(stop > 3, "the killer kills");
                break;
            }
            stopped += 1;
            assert!(!events(&world)[1..].contains(&"LOCK_GRANTED".to_owned()) || !rescues(&world).is_empty());
            let second = dev.run("cmw-lock acquire --files z");
            assert_eq!(second.code, 0, "killed at git {stop}\n{second}");
            let names = rescues(&world);
            assert!(!names.is_empty(), "killed at git {stop}");
            for name in &names {
                assert_eq!(world.git(&["show", &format!("{name}:a")]), "first\nstaged\nunstaged");
            }
            // What was taken out of the index before the kill was in a snapshot by then.
            let staged = names.iter().map(|name| world.git(&["show", &format!("{name}^2:a")]));
            assert!(staged.collect::<BTreeSet<_>>().contains("first\nstaged"), "killed at git {stop}");
            saved_before_granted(&world);
            assert_eq!(world.read("repo/a"), "first\nstaged\nunstaged\n");
        }
        assert!(stopped > 3, "several steps were tried: {stopped}");
    }
}

#[test]
fn two_who_come_at_once_save_once_and_one_is_granted() {
    let world = scene(&gits()[0], "");
    world.agent("Dev-A").kill();
    let all: Vec<_> = ["Dev-B", "Orchestrator"]
        .iter()
        .flat_map(|role| {
            (0..3).map(|_| world.agent(role).spawn("cmw-lock acquire --wait 20s && cmw-lock release"))
        })
        .collect();
    for one in all {
        // Several commands of one role share its lease: the first one that lets go ends it.
        let done = one.wait();
        assert!(
            done.code == 0 || done.stderr.contains("is not held") || done.stderr.contains("not you"),
            "{done}"
        );
    }
    assert_eq!(rescues(&world).len(), 1);
    saved_before_granted(&world);
}
