//! The policy: each check at each level does what it says, only `cmw-init` compiles it, only the person
//! weakens it, and a change made past them has no effect or is found.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use crate::support::{Agent, World};
use cmw::app::policy::config::KEYS;
use serde_json::Value;

/// A check, what else is off so that only it can say no, who fails it after what, and its words.
struct Case {
    check: &'static str,
    settings: &'static str,
    scene: fn(&World) -> Agent,
    prefix: &'static str,
    says: &'static str,
}

const CASES: [Case; 5] = [
    Case {
        check: "freeze",
        settings: "git config cmw.check.lock off",
        scene: |world| {
            world.person().ok("cmw-freeze now --reason smoke");
            world.agent("Dev-A")
        },
        prefix: "",
        says: "the system is frozen by User",
    },
    Case {
        check: "identity",
        settings: ":",
        scene: |world| {
            let dev = world.agent("Dev-A");
            dev.ok("cmw-heartbeat register && cmw-lock acquire");
            dev
        },
        prefix: "CLAUDE_ROLE=Dev-B",
        says: "CLAUDE_ROLE says Dev-B, but this process runs in the pane of Dev-A",
    },
    Case {
        check: "role",
        settings: "git config cmw.check.lock off",
        scene: |world| world.agent("Librarian"),
        prefix: "",
        says: "librarians read only",
    },
    Case {
        check: "lock",
        settings: ":",
        scene: |world| {
            world.agent("Dev-A").ok("cmw-lock acquire");
            world.agent("Dev-B")
        },
        prefix: "",
        says: "Dev-A has the write lock",
    },
    Case {
        check: "claims",
        settings: ":",
        scene: |world| {
            let dev = world.agent("Dev-A");
            dev.ok("cmw-lock acquire --files src/x");
            dev
        },
        prefix: "",
        says: "a would change, but the lock was taken for src/x",
    },
];

/// Ways to move a branch; the second and third pass by the friendlier hook.
const WAYS: [&str; 3] = [
    "git commit -q -m x",
    "git commit -q --no-verify -m x",
    "git update-ref refs/heads/main $(git commit-tree $(git write-tree) -p HEAD -m x)",
];

fn records(world: &World, event: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for log in ["security-events.log", "write-lock-intents.json", "orchestrator-startup.log"] {
        let file = format!("repo/.git/audit/{log}");
        let text = if world.at(&file).exists() { world.read(&file) } else { String::new() };
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        found.extend(all.filter(|record| record["event"] == event));
    }
    found
}

fn head(world: &World) -> String {
    world.git(&["rev-parse", "main"])
}

#[test]
fn each_check_at_each_level_does_what_it_says() {
    for case in &CASES {
        for level in ["enforce", "warn", "off"] {
            let world = World::new();
            let Case { check, settings, scene, prefix, says } = case;
            world.person().ok(&format!("git config cmw.check.{check} {level}; {settings}; cmw-init"));
            let who = scene(&world);
            for way in WAYS {
                let before = head(&world);
                let line = format!("export {prefix} CMW=1; echo x >>a; git add a; {way}");
                let output = who.run(&line);
                let moved = head(&world) != before;
                let at = format!("{check} {level}\n{output}");
                assert_eq!((output.code == 0, moved), (level != "enforce", level != "enforce"), "{at}");
                let (refused, warned) = (format!("cmw: refused: {says}"), format!("cmw: warning: {says}"));
                let says_it = |words: &str| output.stderr.contains(words.split_once(says).unwrap().0);
                assert!(output.stderr.contains(says) == (level != "off"), "{at}");
                assert_eq!(says_it(&refused), level == "enforce", "{at}");
                assert_eq!(says_it(&warned), level == "warn", "{at}");
                world.git(&["reset", "-q", "--hard"]);
            }
            world.agent("QA-A").ok("cmw-heartbeat register");
            let warned = records(&world, "CHECK_WARNED");
            assert_eq!(warned.is_empty(), level != "warn", "{check} {level}: {warned:?}");
            for record in warned {
                assert_eq!((&record["check"], &record["severity"]), (&(*check).into(), &"WARNING".into()));
                assert!(record["why"].as_str().unwrap().contains(says), "{record}");
            }
        }
    }
}

#[test]
fn wrong_values_and_mistyped_names_are_refused_with_their_key() {
    let world = World::ready();
    let person = world.person();
    let state = world.read("repo/.git/cmw/state.json");
    for (key, value) in [
        ("cmw.check.lock", "maybe"),
        ("cmw.check.lock", "OFF"),
        ("cmw.check.lock", ""),
        ("cmw.check.lokc", "off"),
        ("cmw.check.locks", "enforce"),
        ("cmw.Check.lock", "enforce"),
        ("cmw.check.team.lock", "off"),
        ("cmw.lock.leese", "1m"),
        ("cmw.lock.auto", "perhaps"),
        ("cmw.lock.offer", "soon"),
        ("cmw.identity", "passport"),
    ] {
        let output = person.run(&format!("git config {key} '{value}' && cmw-init"));
        assert_eq!(output.code, 78, "{output}");
        assert!(output.stderr.contains(&format!("error: {key} = {value:?}: ")), "{output}");
        let remedy = output.stderr.lines().find_map(|line| line.strip_prefix("next: ")).unwrap();
        person.ok(remedy);
    }
    // The case of section and name does not matter to git, so it does not to us.
    person.ok("git config CMW.check.LOCK enforce && cmw-init");
    assert_eq!(world.read("repo/.git/cmw/state.json"), state);
}

/// What would weaken the checks if live configuration counted: before a command, or instead of `git`.
const LIVE: [(&str, &str); 7] = [
    (":", "git -c cmw.check.lock=off -c cmw.check.claims=off -c cmw.preset=solo"),
    (
        "export GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=cmw.check.lock GIT_CONFIG_VALUE_0=off \
         GIT_CONFIG_KEY_1=cmw.check.claims GIT_CONFIG_VALUE_1=off",
        "git",
    ),
    ("export GIT_CONFIG_PARAMETERS=\"'cmw.check.lock=off' 'cmw.check.claims=off'\"", "git"),
    ("export GIT_CONFIG_GLOBAL=$HOME/evil", "git"),
    ("git config cmw.check.lock off; git config cmw.check.claims off; git config cmw.lock.auto false", "git"),
    (
        "git config extensions.worktreeConfig true; git config --worktree cmw.check.lock off; \
         git config --worktree cmw.check.claims off",
        "git",
    ),
    ("git config includeIf.onbranch:main.path $HOME/evil", "git"),
];

/// The file that some of them name.
const EVIL: &str =
    "[cmw \"check\"]\n\tlock = off\n\tclaims = off\n\tidentity = off\n\trole = off\n\tfreeze = off\n";

#[test]
fn live_configuration_changes_nothing() {
    for (before, git) in LIVE {
        let world = World::ready();
        world.write("home/evil", EVIL);
        let (holder, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
        holder.ok("cmw-lock acquire --files b");
        let start = head(&world);
        for who in [&holder, &other] {
            let words = if who.pid() == holder.pid() { "a would change" } else { "Dev-A has the write lock" };
            for way in WAYS {
                let way = way.replacen("git", git, 1);
                let output = who.run(&format!("{before}; echo x >>a; git add a; {way}"));
                assert!(output.code != 0 && output.stderr.contains(words), "{output}");
                assert_eq!(head(&world), start, "{output}");
                world.git(&["reset", "-q", "--hard"]);
            }
        }
        for (tool, words) in [
            ("cmw-lock acquire", "Dev-A has the write lock"),
            ("cmw-commit --wait 1s -m x -- a", "Dev-A has the write lock"),
            ("cmw-lock release", "Dev-A has the write lock, not you"),
            ("cmw-lock force-release --reason x", "force-release is not for Dev-B"),
        ] {
            let output = other.run(&format!("{before}; echo x >>a; {tool}"));
            assert!(output.code != 0 && output.stderr.contains(words), "{output}");
            assert_eq!(head(&world), start, "{output}");
        }
    }
}

#[test]
fn live_configuration_opens_no_push() {
    for (before, git) in LIVE {
        let world = World::ready();
        world.write("home/evil", EVIL);
        world.git(&["clone", "-q", "--bare", ".", "../other"]);
        world.agent("Dev-A").ok("cmw-lock acquire && git commit -q --allow-empty -m x");
        let refs = || world.git(&["for-each-ref"]) + &world.git_in("other", &["for-each-ref"]);
        let start = refs();
        for to in ["../other HEAD:refs/heads/main", ". HEAD:refs/heads/pushed", ". :refs/heads/main"] {
            let output = world.agent("Dev-B").run(&format!("{before}; {git} push -q {to}"));
            let words = "Dev-A has the write lock";
            assert!(output.code != 0 && output.stderr.contains(words), "{output}");
            assert_eq!(refs(), start, "{output}");
        }
    }
}

fn preset(world: &World) -> String {
    world.unidentified().ok("cmw --json | jq -r .data.preset").trim().to_owned()
}

#[test]
fn what_a_caller_says_for_a_moment_is_not_compiled() {
    let world = World::ready();
    world.write("home/evil", "[cmw]\n\tpreset = solo\n");
    let person = world.person();
    let digest = |world: &World| world.unidentified().ok("jq -r .state.policy_digest .git/cmw/state.json");
    let before = digest(&world);
    for line in [
        "git -c cmw.preset=solo cmw init",
        "git -c cmw.preset=solo -c core.hooksPath=/evil cmw init",
        "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=cmw.preset GIT_CONFIG_VALUE_0=solo cmw-init",
        "GIT_CONFIG_PARAMETERS=\"'cmw.preset=solo'\" cmw-init",
        "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=include.path GIT_CONFIG_VALUE_0=$HOME/evil cmw-init",
        "GIT_CONFIG=$HOME/evil cmw-init",
        "git config extensions.worktreeConfig true; git config --worktree cmw.preset solo; cmw-init",
    ] {
        let output = person.run(line);
        assert_eq!(output.code, 0, "{output}");
        assert_eq!(digest(&world), before, "{output}");
        assert!(world.read("repo/.git/cmw/chained-hooks").ends_with("/.git/hooks\n"), "{output}");
    }
    // What lasts counts: the repository's own, an include of it, the user's.
    for lasting in [
        "git config cmw.preset solo",
        "git config --unset cmw.preset; git config include.path $HOME/evil",
        "git config --unset include.path; export GIT_CONFIG_GLOBAL=$HOME/evil",
    ] {
        let said = person.ok(&format!("{lasting}; cmw-init"));
        assert!(said.contains("weakened: check claims: off instead of enforce"), "{said}");
        assert_eq!(preset(&world), "solo", "{lasting}");
        person.ok("cmw-init --preset team; git config --unset cmw.preset; :");
        assert_eq!(preset(&world), "team", "{lasting}");
    }
}

#[test]
fn only_the_person_weakens_and_it_is_recorded_and_told() {
    let world = World::ready();
    let weaken = "cmw-init --preset solo";
    for (who, signs, name) in [
        (world.agent("Dev-A"), "", "Dev-A"),
        (world.agent("Orchestrator"), "", "Orchestrator"),
        (world.agent("Librarian"), "", "Librarian"),
        (world.unidentified(), "", "unproven"),
        (world.unidentified(), "CLAUDECODE=1", "unproven"),
        (world.person(), "CLAUDECODE=1", "unproven"),
        (world.person(), "TMUX_PANE=%1", "unproven"),
        (world.person(), "CLAUDE_ROLE=Dev-B", "Dev-B"),
    ] {
        let before = records(&world, "WEAKENING_REFUSED").len();
        let output = who.run(&format!("{signs} {weaken}"));
        let shown = if name == "unproven" { "an unidentified process" } else { name };
        let words = format!("weakening the policy is not for {shown}");
        assert!(output.code == 77 && output.stderr.contains(&words), "{output}");
        let refused = records(&world, "WEAKENING_REFUSED");
        assert_eq!(refused.len(), before + 1, "{output}");
        let last = refused.last().unwrap();
        assert_eq!((&last["who"], &last["severity"]), (&name.into(), &"HIGH".into()), "{last}");
        assert_eq!(last["weakens"].as_array().unwrap().len(), 3, "{last}");
    }
    assert_eq!(preset(&world), "team");
    let told = |who: &Agent, role: &str| who.ok(&format!("cmw-inbox list --all --as {role} | cat"));
    for (who, role) in [(world.agent("Librarian"), "Librarian"), (world.person(), "User")] {
        assert!(told(&who, role).contains("Dev-A tried to weaken the policy"), "{}", told(&who, role));
    }
    // A look at what would be done leaves nothing.
    world.agent("Dev-A").fails(77, &format!("{weaken} --dry-run")).ignored();
    assert_eq!(records(&world, "WEAKENING_REFUSED").len(), 8);
    world.person().ok(weaken);
    let set = records(&world, "POLICY_SET").pop().unwrap();
    assert_eq!((&set["by"], &set["severity"]), (&"User".into(), &"HIGH".into()));
    assert_eq!(set["weakens"].as_array().unwrap().len(), 3, "{set}");
    let state: Value = serde_json::from_str(&world.read("repo/.git/cmw/state.json")).unwrap();
    assert_eq!(state["state"]["policy_digest"], set["digest"]);
    for (who, role) in [(world.agent("Librarian"), "Librarian"), (world.person(), "User")] {
        assert!(told(&who, role).contains("User weakened the policy"), "{}", told(&who, role));
    }
}

/// What a look says, with its exit code.
fn look(world: &World) -> (i32, Vec<Value>) {
    let output = world.person().run("cmw-doctor --json");
    let json: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.all()));
    (output.code, json["data"]["items"].as_array().unwrap().clone())
}

/// For each key a value that it does not have yet, and how a finding names it.
const DRIFT: [(&str, &str, &str); 25] = [
    ("cmw.mode", "worktrees", "cmw.mode"),
    ("cmw.preset", "strict", "cmw.preset"),
    ("cmw.check.freeze", "warn", "cmw.check.freeze"),
    ("cmw.check.identity", "off", "cmw.check.identity"),
    ("cmw.check.role", "warn", "cmw.check.role"),
    ("cmw.check.lock", "warn", "cmw.check.lock"),
    ("cmw.check.claims", "off", "cmw.check.claims"),
    ("cmw.identity", "ancestry", "cmw.identity"),
    ("cmw.roles", "3", "cmw.roles or cmw.role"),
    ("cmw.role.Smith.kind", "dev", "cmw.roles or cmw.role"),
    ("cmw.role.Smith.pane", "4", "cmw.roles or cmw.role"),
    ("cmw.role.Smith.command", "sleep 9", "cmw.roles or cmw.role"),
    ("cmw.agent", "sleep 8", "cmw.agent"),
    ("cmw.session", "other", "cmw.session"),
    ("cmw.protect", "topic/**", "cmw.protect"),
    ("cmw.lock.lease", "7m", "cmw.lock.lease"),
    ("cmw.lock.leaseMax", "40m", "cmw.lock.leaseMax"),
    ("cmw.lock.grace", "6s", "cmw.lock.grace"),
    ("cmw.lock.ticket", "31m", "cmw.lock.ticket"),
    ("cmw.lock.offer", "61s", "cmw.lock.offer"),
    ("cmw.lock.auto", "false", "cmw.lock.auto"),
    ("cmw.health.restart", "false", "cmw.health.restart"),
    ("cmw.notify.command", "true", "cmw.notify.command"),
    // What is unset again has drifted too.
    ("--unset cmw.lock.auto", "", "cmw.lock.auto"),
    ("--unset cmw.protect", "", "cmw.protect"),
];

#[test]
fn drift_is_found_for_every_key() {
    let keys = KEYS.lines().filter_map(|line| line.strip_prefix("  cmw.")?.split(' ').next());
    for key in keys {
        let pattern =
            format!("cmw.{}", key.replace("role.NAME", "role.Smith").replace("check.NAME", "check.lock"));
        assert!(DRIFT.iter().any(|(name, ..)| *name == pattern), "no drift of {pattern} is tried");
    }
    let world = World::ready();
    for (key, value, named) in DRIFT {
        assert_eq!(look(&world).0, 0, "before {key}");
        let value = if value.is_empty() { String::new() } else { format!("'{value}'") };
        world.person().ok(&format!("git config {key} {value}"));
        let (code, items) = look(&world);
        let policy: Vec<&Value> =
            items.iter().filter(|item| item["check"] == "policy" && item["grade"] == "finding").collect();
        let [item] = policy[..] else { panic!("{key}: {items:#?}") };
        assert_eq!((code, &item["next"]), (1, &"cmw-init".into()), "{key}: {item}");
        assert!(item["what"].as_str().unwrap().contains(named), "{key}: {item}");
        world.person().ok("cmw-init");
    }
    let (_, items) = look(&world);
    assert!(items.iter().all(|item| item["grade"] != "finding"), "{items:#?}");
}
