//! `cmw-doctor`: each finding is seeded once and found, and is gone after its own remedy.

use std::collections::BTreeSet;

use crate::support::World;
use cmw::domain::command::{Caller, Command};
use cmw::domain::facts::Facts;
use cmw::domain::identity::actor::Actor;
use cmw::domain::session::process::Process;
use cmw::domain::util::time::BootId;
use cmw::store::disk::RealDisk;
use cmw::store::{Store, TransactionEnv as Outside};
use serde_json::Value;

/// What a look says, with its exit code.
fn look(world: &World, with: &str) -> (i32, Vec<Value>) {
    let output = world.person().run(&format!("{with} cmw-doctor --json"));
    let json: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.all()));
    (output.code, json["data"]["items"].as_array().unwrap().clone())
}

/// The item that says so, when there is one.
fn saying<'a>(items: &'a [Value], words: &str) -> Option<&'a Value> {
    items.iter().find(|item| item["what"].as_str().unwrap().contains(words))
}

/// A fault: how it is seeded, what is said of it and how bad it is, and what mends it (`None`: what
/// the finding itself names).
struct Case {
    name: &'static str,
    seed: &'static str,
    says: &'static str,
    grade: &'static str,
    mend: Option<&'static str>,
}

fn case(name: &'static str, seed: &'static str, says: &'static str, grade: &'static str) -> Case {
    Case { name, seed, says, grade, mend: None }
}

impl Case {
    fn mended_by(self, mend: &'static str) -> Self {
        Self { mend: Some(mend), ..self }
    }

    fn run(&self, world: &World) {
        let person = world.person();
        let before = look(world, "");
        assert_eq!((before.0, saying(&before.1, self.says)), (0, None), "{}: before", self.name);
        person.ok(self.seed);
        let (code, items) = look(world, "");
        let item = saying(&items, self.says).unwrap_or_else(|| panic!("{}: {items:#?}", self.name));
        assert_eq!(item["grade"], self.grade, "{}: {item}", self.name);
        let expected = match self.grade {
            "note" => 0,
            "finding" => 1,
            _ => 65,
        };
        assert_eq!(code, expected, "{}: {items:#?}", self.name);
        let mend = self.mend.or(item["next"].as_str()).unwrap_or_else(|| panic!("{}: no remedy", self.name));
        let mended = person.run(mend);
        assert_eq!(mended.code, 0, "{}: {mend}: {}", self.name, mended.all());
        let (code, items) = look(world, "");
        assert_eq!((code, saying(&items, self.says)), (0, None), "{}: after {mend}: {items:#?}", self.name);
    }
}

#[test]
fn a_new_repository_is_well() {
    let world = World::ready();
    let output = world.person().run("cmw-doctor --verbose");
    assert_eq!(output.code, 0, "{}", output.all());
    assert!(output.stderr.starts_with("no problems found"), "{}", output.stderr);
    for check in [
        "git",
        "tmux",
        "disk",
        "clock",
        "inotify",
        "repository",
        "hooks",
        "hooksPath",
        "policy",
        "gates",
        "state",
        "audit",
        "messages",
        "journal",
        "files",
        "session",
        "instances",
        "lock",
    ] {
        let line = format!("ok       {check:<10} ");
        assert!(output.stdout.contains(&line), "{check}: {}", output.stdout);
    }
    assert_eq!(world.person().run("cmw-doctor --quiet").stdout, "");
}

#[test]
fn what_is_wrong_with_hooks_is_found_and_mended() {
    let world = World::ready();
    let cases = [
        case("missing", "rm .git/cmw/hooks/pre-commit", "pre-commit is missing", "finding"),
        case(
            "changed",
            "cp a .git/x && chmod +x .git/x && mv .git/x .git/cmw/hooks/pre-commit",
            "pre-commit is not this version's program",
            "finding",
        ),
        case("not executable", "chmod 600 .git/cmw/hooks/pre-commit", "is not executable", "finding"),
        case("a link", "ln -sf /bin/true .git/cmw/hooks/pre-commit", "pre-commit is a link", "finding"),
        case("appeared later", "cp /bin/true .git/hooks/post-checkout", "post-checkout in", "finding"),
        case(
            "another tool",
            "mkdir .husky && git config core.hooksPath .husky",
            "core.hooksPath is .husky by the repository's configuration",
            "finding",
        ),
        case("unset", "git config --unset core.hooksPath", "core.hooksPath is not set", "finding"),
        case("chained directory gone", "rmdir .husky", ".husky does not exist", "finding")
            .mended_by("mkdir .husky"),
    ];
    for case in &cases {
        case.run(&world);
    }
}

#[test]
fn a_diversion_in_one_work_tree_or_in_the_environment_is_found() {
    let world = World::ready();
    world.git(&["worktree", "add", "-q", "-b", "side", "../side"]);
    world.git(&["config", "extensions.worktreeConfig", "true"]);
    case(
        "worktree",
        "git -C ../side config --worktree core.hooksPath /elsewhere",
        "core.hooksPath is /elsewhere by this work tree's configuration",
        "finding",
    )
    .run(&world);
    let diverted = "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/elsewhere";
    let (code, items) = look(&world, diverted);
    assert_eq!(code, 1);
    let item = saying(&items, "core.hooksPath is /elsewhere by the environment").unwrap();
    assert!(item["next"].as_str().unwrap().starts_with("unset "), "{item}");
    assert_eq!(look(&world, "").0, 0);
}

#[test]
fn drift_of_the_policy_is_found_and_settled() {
    let world = World::ready();
    case("changed", "git config cmw.lock.lease 7m", "cmw.lock.lease", "finding").run(&world);
    case("wrong", "git config cmw.preset none", "cmw.preset = ", "finding").run(&world);
    // Another branch in the work tree is none.
    world.git(&["switch", "-q", "-c", "other"]);
    assert_eq!(look(&world, "").0, 0);
}

#[test]
fn files_that_are_not_as_they_should_be_are_found() {
    let world = World::ready();
    let cases = [
        case(
            "readable by others",
            "chmod 644 .git/audit/orchestrator-startup.log",
            "has mode 0644",
            "finding",
        ),
        case("open directory", "chmod 755 .git/messages", "messages has mode 0755", "finding"),
        case("a link", "ln -s /etc/passwd .git/locks/x", "locks/x is a symbolic link", "finding"),
        case("a pipe", "mkfifo .git/cmw/pipe", "cmw/pipe is neither a file nor a directory", "finding"),
        case(
            "left over",
            "touch -d '2 hours ago' .git/cmw/state.json.tmp && chmod 600 .git/cmw/state.json.tmp",
            "cmw/state.json.tmp is a leftover",
            "note",
        ),
        case("torn", "printf '{\"to' >> .git/audit/orchestrator-startup.log", "ends with 4 bytes", "note"),
    ];
    for case in &cases {
        case.run(&world);
    }
}

#[test]
fn a_lost_state_is_rebuilt_and_the_damaged_file_is_kept() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-lock acquire");
    for (name, seed) in [
        ("garbage", "echo garbage > .git/cmw/state.json"),
        ("empty", ": > .git/cmw/state.json"),
        ("gone", "rm .git/cmw/state.json"),
    ] {
        case(name, seed, "cmw/state.json is damaged", "damage").run(&world);
        assert!(world.agent("Dev-A").ok("cmw-lock status").contains("Dev-A holds WL-0001"), "{name}");
    }
    let kept: Vec<String> =
        world.files("repo/.git/cmw").into_keys().filter(|n| n.contains("damaged")).collect();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().any(|file| world.read(&format!("repo/.git/cmw/{file}")) == "garbage\n"));
    world.agent("Dev-A").ok("cmw-lock release");
    assert!(world.agent("Dev-B").ok("cmw-lock acquire").contains("WL-0050"), "3 × 16 tokens are left out");
}

#[test]
fn damage_is_named_with_its_place_and_set_aside() {
    for (name, file, seed, says) in [
        (
            "audit line",
            "audit/orchestrator-startup.log",
            "echo '{}' >> .git/audit/orchestrator-startup.log",
            "orchestrator-startup.log is damaged: line 2 is not an audit record",
        ),
        (
            "audit history",
            "audit/orchestrator-startup.log",
            "sed -i 's/\"seq\":1,/\"seq\":1 ,/; s/claude-multi/claude-evil/' .git/audit/orchestrator-startup.log",
            "the chain is broken: record 1 in orchestrator-startup.log was changed",
        ),
        (
            "registry",
            "message-registry.json",
            "echo nonsense >> .git/message-registry.json",
            "message-registry.json is damaged",
        ),
        (
            "journal",
            "audit/journal.jsonl",
            "echo '{\"kind\":\"no\"}' >> .git/audit/journal.jsonl; chmod 600 .git/audit/journal.jsonl",
            "audit/journal.jsonl is damaged",
        ),
    ] {
        let world = World::ready();
        world.agent("Orchestrator").ok("cmw-heartbeat register");
        world.person().ok(seed);
        let damaged = world.read(&format!("repo/.git/{file}"));
        let (code, items) = look(&world, "");
        let item = saying(&items, says).unwrap_or_else(|| panic!("{name}: {items:#?}"));
        assert_eq!((code, item["grade"].as_str()), (65, Some("damage")), "{name}");
        let mended = world.person().run("cmw-doctor --fix");
        let _ = world.person().run("cmw-audit verify");
        let adopted = world.person().run("cmw-audit adopt V1 --reason seen");
        assert_eq!(adopted.code, 0, "{name}: {}\n{}", mended.all(), adopted.all());
        world.person().ok("cmw-audit verify && cmw-doctor");
        let kept = world.person().ok(&format!("cat $(ls .git/{file}* | tail -n 1)"));
        assert!(kept.contains(&damaged), "{name}: {kept}");
    }
}

#[test]
fn the_dead_and_the_silent_are_found() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-lock acquire --purpose p");
    world.agent("Dev-B").ok("cmw-heartbeat register");
    world.agent("Docs").ok("cmw-heartbeat register");
    assert_eq!(look(&world, "").0, 0);
    world.agent("Dev-A").kill();
    let (code, items) = look(&world, "");
    let item = saying(&items, "Dev-A held WL-0001, and its process is gone").unwrap();
    assert_eq!((code, &item["next"]), (1, &Value::from("cmw-doctor --fix")));
    let mended = world.person().ok("cmw-doctor --fix");
    assert!(mended.contains("done     performed pending transitions: 2 events"), "{mended}");
    world.agent("Dev-B").kill();
    world.person().ok("rm .git/cmw/beats/Docs");
    let (code, items) = look(&world, "");
    assert_eq!(code, 1);
    assert_eq!(saying(&items, "Dev-B has crashed").unwrap()["next"], "cmw-session start Dev-B");
    assert!(saying(&items, "Docs: it has never sent a heartbeat").is_some(), "{items:#?}");
}

#[test]
fn a_session_whose_server_is_gone_is_found() {
    let world = World::ready();
    let store = Store::new(RealDisk::open(&world.at("repo/.git")).unwrap());
    let now = cmw::adapters::os::clock::now();
    let facts = |_: &_| Facts {
        now: now.clone(),
        dead: BTreeSet::new(),
        active: Default::default(),
        saver: None,
        endings: Default::default(),
    };
    let gone = Process { pid: 1, start_ticks: 0, boot: BootId("another boot".to_owned()) };
    let asker = Caller { actor: Actor::User, process: gone.clone() };
    let up = Command::SessionUp { name: "claude-multi".to_owned(), socket: None, server: gone, agent: None };
    store.transact(&asker, &up, Outside { facts: &facts, random: &|| 1 }).unwrap();
    let (code, items) = look(&world, "");
    assert_eq!(code, 1);
    assert_eq!(saying(&items, "its tmux server is gone").unwrap()["next"], "cmw-session up");
    let screen = world.person().ok("cmw");
    assert!(
        screen.contains("session claude-multi is DOWN") && screen.ends_with("next: cmw-session up\n"),
        "{screen}"
    );
}

#[test]
fn a_stopped_process_that_holds_a_gate_is_named() {
    let world = World::ready();
    let holder = world.unidentified().spawn("exec 9<>.git/cmw/state.lock; flock 9; echo taken; sleep 60");
    holder.until_it_says("taken");
    let (code, items) = look(&world, "");
    let item = saying(&items, "cmw/state.lock has been held for too long by process").unwrap();
    assert_eq!((code, item["check"].as_str()), (1, Some("gates")));
    assert!(item["next"].as_str().unwrap().starts_with("ps -fp "), "{item}");
    // The Librarian's look cannot be recorded then, and does not hang.
    assert_eq!(world.agent("Librarian").run("cmw-doctor").code, 1);
    holder.kill().ignored();
    assert_eq!(look(&world, "").0, 0);
}

#[test]
fn a_machine_without_tmux_is_a_finding_and_without_set_up_it_says_so() {
    let world = World::ready();
    world.person().ok("mkdir ../only && ln -s \"$(command -v git)\" ../only/git");
    let (code, items) = look(&world, "PATH=\"$(dirname \"$(command -v cmw)\"):$PWD/../only\"");
    assert_eq!(code, 1);
    assert!(items.iter().any(|item| item["check"] == "tmux" && item["grade"] == "finding"), "{items:#?}");
    let bare = World::new();
    let (code, items) = look(&bare, "");
    assert_eq!(code, 1);
    assert_eq!(saying(&items, "cmw is not set up in this repository").unwrap()["next"], "cmw-init");
    assert!(bare.files("repo/.git").keys().all(|name| !name.starts_with("cmw/")), "looking changes nothing");
}

#[test]
fn the_librarians_look_is_recorded() {
    let world = World::ready();
    world.person().ok("chmod 644 .git/audit/orchestrator-startup.log");
    let output = world.agent("Librarian").run("cmw-doctor");
    assert_eq!(output.code, 1, "{}", output.all());
    assert!(output.stdout.contains("recorded this check"), "{}", output.stdout);
    let log = world.read("repo/.git/audit/orchestrator-startup.log");
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["by"]), (&"INITIALIZATION_VERIFIED".into(), &"Librarian".into()));
    assert!(last["findings"][0].as_str().unwrap().contains("has mode 0644"), "{last}");
    let count = |world: &World| world.read("repo/.git/audit/orchestrator-startup.log").lines().count();
    let before = count(&world);
    world.agent("Dev-A").run("cmw-doctor").ignored();
    world.agent("Librarian").run("cmw-doctor --fix").ignored();
    assert_eq!(count(&world), before, "only the Librarian's plain look is recorded");
}

#[test]
fn what_others_publish_meanwhile_is_no_damage() {
    let world = World::ready();
    let dev = world.agent("Dev-A");
    let busy = dev.spawn("until [ -e enough ]; do cmw-lock acquire && cmw-lock release; done >/dev/null");
    let looked: Vec<_> = (0..40).map(|_| look(&world, "")).collect();
    world.person().ok("touch enough");
    assert_eq!(busy.wait().code, 0);
    for (code, items) in looked {
        assert!(saying(&items, "the chain is broken").is_none() && code != 65, "{items:#?}");
    }
}

#[test]
fn a_journal_that_was_read_further_than_it_goes_is_found() {
    for (name, seed, exit, says) in [
        ("cut", "true > .git/audit/journal.jsonl", 1, "it has only 0 bytes: it was truncated or replaced"),
        ("changed", "sed -i '1s/^/ /' .git/audit/journal.jsonl", 65, "no line begins there: it was modified"),
    ] {
        let world = World::ready();
        let dev = world.agent("Dev-A");
        dev.ok(
            "cmw-lock acquire && git commit -q --allow-empty -m x && cmw-lock release && cmw-lock acquire",
        );
        assert_eq!(look(&world, "").0, 0, "{name}");
        world.person().ok(seed);
        let (code, items) = look(&world, "");
        let item = saying(&items, says).unwrap_or_else(|| panic!("{name}: {items:#?}"));
        assert_eq!(
            (code, &item["check"], &item["next"]),
            (exit, &"journal".into(), &"cmw-doctor --fix".into())
        );
    }
}

#[test]
fn a_repository_that_was_moved_is_the_first_problem_and_set_up_again_it_is_guarded() {
    for (git_move, again) in
        [("mv ../repo ../moved", true), ("cp -R ../repo ../moved", true), ("mv ../repo ../moved", false)]
    {
        let world = World::new();
        let person = world.person();
        person.ok("printf '#!/bin/sh\necho mine >>$HOME/ran\n' >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; cmw-init");
        person.ok(git_move);
        person.cd("moved");
        let gone = world.at("repo/.git/cmw/hooks").display().to_string();
        let output = person.run("cmw-doctor");
        let first = output.stdout.lines().next().unwrap();
        assert!(first.starts_with("finding  hooksPath") && first.contains("moved"), "{output}");
        let (code, items) = look(&world, "");
        let item = saying(&items, &format!("core.hooksPath is {gone}")).unwrap();
        assert_eq!((code, &item["next"]), (1, &"cmw-init".into()));
        let screen = person.ok("cmw");
        assert!(screen.contains("NOT INSTALLED: the repository was moved: cmw-init ("), "{screen}");
        let commit = "rm -f $HOME/ran; git commit -q --allow-empty -m x";
        if again {
            person.ok("cmw-init");
            assert_eq!(look(&world, "").0, 0, "{git_move}");
            let refused = person.run("git branch x");
            assert!(refused.code != 0 && refused.stderr.contains("needs the write lock"), "{refused}");
            assert_eq!(person.ok(&format!("cmw-lock acquire >/dev/null; {commit}; cat $HOME/ran")), "mine\n");
            person.ok("cmw-lock release");
        }
        person.ok("cmw-init --uninstall");
        assert_eq!(person.run("git config core.hooksPath").stdout, "");
        assert_eq!(person.ok(&format!("{commit}; cat $HOME/ran")), "mine\n");
    }
}
