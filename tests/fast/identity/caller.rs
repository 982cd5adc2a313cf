//! Tests of the caller: a process below a registered one is its role, one that escaped from it while a
//! session is up is unidentified, and no sign that a process sets gives a right (docs/decisions.md D3).

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use std::collections::BTreeSet;

use crate::support::{Agent, Output, World};
use cmw::adapters::os::{clock, process};
use cmw::domain::command::{Caller, Command};
use cmw::domain::facts::Facts;
use cmw::domain::identity::actor::Actor;
use cmw::store::disk::RealDisk;
use cmw::store::{Store, TransactionEnv as Outside};

/// Says that a session is up, whose server is this test: it lives as long as it is looked at.
fn session_up(world: &World) {
    let store = Store::new(RealDisk::open(&world.at("repo/.git")).unwrap());
    let facts = |_: &_| Facts {
        now: clock::now(),
        dead: BTreeSet::new(),
        active: Default::default(),
        saver: None,
        endings: Default::default(),
    };
    let asker = Caller { actor: Actor::User, process: process::current() };
    let up = Command::SessionUp {
        name: "claude-multi".to_owned(),
        socket: None,
        server: process::current(),
        agent: None,
    };
    store.transact(&asker, &up, Outside { facts: &facts, random: &|| 1 }).unwrap().outcome.unwrap();
}

/// Dev-A, registered, in a session.
fn in_a_session() -> (World, Agent) {
    let world = World::ready();
    // Some of them take the environment away.
    world.git(&["config", "user.name", "A"]);
    world.git(&["config", "user.email", "a@example.org"]);
    let dev = world.agent("Dev-A");
    for role in ["Dev-A", "Dev-B", "Librarian"] {
        world.agent(role).ok("cmw-heartbeat register");
    }
    session_up(&world);
    (world, dev)
}

/// The ways to run a command that leave one's ancestors what they are; `CMD` is a program to run.
const STAYS: [(&str, &str); 13] = [
    ("as it is", "CMD"),
    ("without CLAUDE_ROLE", "env -u CLAUDE_ROLE CMD"),
    ("naming another pane", "env TMUX=/tmp/tmux-0/default,1,0 TMUX_PANE=%9 CMD"),
    ("env -i", "env -i PATH=\"$PATH\" HOME=\"$HOME\" CMD"),
    ("setsid", "setsid --wait CMD"),
    ("setsid in the background", "setsid CMD & wait"),
    ("nohup", "nohup CMD 2>/dev/null"),
    ("script(1)", "env SHELL=/bin/sh script -qefc CMD /dev/null </dev/null | cat"),
    ("nested shells", "sh -c 'bash -c \"sh -c CMD; true\"; true'"),
    ("python", "python3 -c 'import subprocess; subprocess.run([\"CMD\"], start_new_session=True)'"),
    ("perl", "perl -e 'system(\"CMD\"); fork or exec(\"true\"); wait'"),
    ("another group and time limit", "timeout 20 CMD"),
    ("everything at once", "env -i PATH=\"$PATH\" HOME=\"$HOME\" setsid --wait nohup sh -c 'CMD; true'"),
];

#[test]
fn what_runs_below_a_registered_process_stays_its_role() {
    let (world, dev) = in_a_session();
    world.write_program("who", "#!/bin/sh\ncmw-heartbeat beat --json | jq -r .data.role\n");
    let commit = "#!/bin/sh\ngit commit -q --allow-empty -m x && echo moved\n";
    world.write_program("commit", commit);
    dev.ok("cmw-lock acquire");
    for (name, way) in STAYS {
        let run = |program: &str| dev.run(&way.replace("CMD", &world.at(program).display().to_string()));
        let said = run("who");
        assert_eq!(said.stdout.trim(), "Dev-A", "{name}\n{said}");
        // The hooks tell it in the same way: only the holder's commit goes through.
        let said = run("commit");
        assert_eq!(said.stdout.trim(), "moved", "{name}\n{said}");
    }
    dev.ok("cmw-lock release");
    world.agent("Dev-B").ok("cmw-lock acquire");
    for (name, way) in STAYS {
        let said = dev.run(&way.replace("CMD", &world.at("commit").display().to_string()));
        let all = said.all();
        assert!(!all.contains("moved"), "{name}\n{said}");
        let its_own = all.contains("Dev-B has the write lock") && all.contains("you are number 1");
        assert!(its_own || name == "nohup", "{name}\n{said}");
    }
}

/// The records of refusals of this role that are about its identity.
fn spoofs(world: &World, role: &str) -> usize {
    let log = world.read("repo/.git/audit/write-lock-intents.json");
    let of_it = |line: &&str| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["event"] == "LOCK_REFUSED"
            && record["who"] == role
            && record["why"].as_str().unwrap().contains("CLAUDE_ROLE says")
    };
    log.lines().filter(of_it).count()
}

#[test]
fn a_spoofed_role_is_refused_and_recorded_in_hooks_and_in_commands() {
    let (world, dev) = in_a_session();
    dev.ok("cmw-lock acquire");
    let mut expected = 0;
    for claimed in ["Dev-B", "Librarian", "orchestrator", "User", "System", "Nobody", "../x"] {
        for line in [
            "cmw-lock status --json >/dev/null; cmw-lock acquire",
            "git commit -q --allow-empty -m x",
            "git branch x",
        ] {
            let output = dev.run(&format!("export CLAUDE_ROLE={claimed}; {line}"));
            assert_ne!(output.code, 0, "{output}");
            let words = "but this process runs in the pane of Dev-A";
            assert!(output.stderr.contains(words), "{output}");
            // The same refusal, once more from the same role, is one record; another role comes between.
            world.agent("Dev-B").run("cmw-lock release").ignored();
            dev.ok("cmw-lock acquire");
            expected += 1;
            assert_eq!(spoofs(&world, "Dev-A"), expected, "{output}");
        }
    }
    assert_eq!(spoofs(&world, "Dev-B") + spoofs(&world, "Librarian"), 0);
    // An ordinary refusal just before, of the same hook, hides none.
    dev.ok("cmw-lock release");
    world.agent("Dev-B").ok("cmw-lock acquire");
    for claimed in ["", "CLAUDE_ROLE=Dev-B", "CLAUDE_ROLE=QA-A", "CLAUDE_ROLE=QA-A"] {
        dev.run(&format!("export X=1 {claimed}; git commit -q --no-verify --allow-empty -m x")).ignored();
    }
    world.agent("Dev-B").ok("cmw-lock release");
    assert_eq!(spoofs(&world, "Dev-A"), expected + 2, "the same once more is no news");
    dev.ok("cmw-lock acquire");
    // Its own name in any spelling is none.
    dev.ok("CLAUDE_ROLE=dev_a git commit -q --allow-empty -m x");
}

/// What a role tries under another's name: on each way into the hooks, and with each right.
const SPOOFED: [&str; 12] = [
    "git commit -q --no-verify --allow-empty -m x",
    "git update-ref refs/heads/x HEAD",
    "git push -q ../other HEAD:refs/heads/main",
    "git push -q . HEAD:refs/heads/pushed",
    "cmw-lock release",
    "cmw-lock force-release --reason x",
    "cmw-audit adopt V1 --reason x",
    "cmw-freeze now --reason x",
    "cmw-freeze thaw --reason x",
    "cmw-bypass break-glass --reason x",
    "cmw-init --preset solo",
    "cmw-init --uninstall",
];

#[test]
fn a_spoofed_role_is_refused_and_recorded_whatever_it_tries() {
    let (world, dev) = in_a_session();
    world.git(&["clone", "-q", "--bare", ".", "../other"]);
    world.unidentified().ok("git -c core.hooksPath=/dev/null update-ref refs/heads/stray HEAD");
    world.agent("Dev-B").run("cmw-audit verify").ignored();
    dev.ok("cmw-lock acquire && git commit -q --allow-empty -m x");
    let refs = || world.git(&["for-each-ref"]) + &world.git_in("other", &["for-each-ref"]);
    let (before, mut expected) = (refs(), 0);
    for claimed in ["Librarian", "User"] {
        for line in SPOOFED {
            let output = dev.run(&format!("export CLAUDE_ROLE={claimed} TMUX_PANE=%9; {line}"));
            assert_ne!(output.code, 0, "{output}");
            let words = "but this process runs in the pane of Dev-A";
            assert!(output.stderr.contains(words), "{output}");
            assert_eq!(refs(), before, "{output}");
            world.agent("Dev-B").run("cmw-lock release").ignored();
            dev.ok("cmw-lock acquire");
            expected += 1;
            assert_eq!(spoofs(&world, "Dev-A"), expected, "{output}");
        }
    }
}

/// Gets out of the ancestry: the job's parent is gone when it runs. `CMD` is what runs.
const ESCAPES: [(&str, &str); 6] = [
    ("a double fork", "(CMD &)"),
    ("a double fork and setsid", "(setsid CMD &)"),
    ("a double fork and a terminal", "(setsid env SHELL=/bin/sh script -qfc CMD /dev/null </dev/null &)"),
    (
        "a double fork, a terminal and no environment",
        "(setsid env -i PATH=\"$PATH\" HOME=\"$HOME\" SHELL=/bin/sh script -qfc CMD /dev/null </dev/null &)",
    ),
    ("a double fork by perl", "perl -MPOSIX -e 'fork and exit; setsid(); fork and exit; exec(\"CMD\")'"),
    ("a double fork as the Librarian", "(setsid env CLAUDE_ROLE=Librarian CMD &)"),
];

/// What only roles with a right or the person may do; exit codes other than 77 are said.
const POWERS: [(&str, i32); 11] = [
    ("cmw-heartbeat beat", 77),
    ("cmw-lock force-release --reason x", 77),
    ("cmw-rescue abandon --reason x", 77),
    ("cmw-init --preset solo", 77),
    ("cmw-init --roles 3", 77),
    ("cmw-init --uninstall", 1),
    ("cmw-session start Docs --agent true", 77),
    ("cmw-lock acquire --as User", 77),
    ("cmw-freeze VERB --reason x", 77),
    ("cmw-audit adopt V1 --reason x", 77),
    ("cmw-bypass break-glass --reason x", 77),
];

/// Runs a program in one of these ways, and waits for what it has to say.
fn escaped(world: &World, who: &Agent, way: &str, program: &str) -> String {
    let out = world.at("out");
    let _ = std::fs::remove_file(&out);
    let script = format!(
        "#!/bin/sh\ncd '{repo}'\n{{ sleep 0.2; {program}\n}} >'{out}.tmp' 2>&1\nmv '{out}.tmp' '{out}'\n",
        repo = world.at("repo").display(),
        out = out.display(),
    );
    world.write_program("escape", &script);
    who.run(&way.replace("CMD", &world.at("escape").display().to_string())).ignored();
    crate::support::agent::wait_until("what got out", || out.exists());
    world.read("out")
}

/// Tries every power, and gives what each said.
fn powers(verb: &str) -> String {
    let lines = POWERS.iter().map(|(line, _)| {
        let line = line.replace("VERB", verb);
        format!("echo '== {line}'; {line}; echo \"code $?\"")
    });
    lines.collect::<Vec<String>>().join("\n")
}

fn assert_powerless(name: &str, said: &str, verb: &str) {
    for (line, expected) in POWERS {
        let line = line.replace("VERB", verb);
        let part =
            said.split_once(&format!("== {line}")).unwrap_or_else(|| panic!("{name}: {line}:\n{said}")).1;
        let code = part.split_once("code ").unwrap().1.lines().next().unwrap().trim();
        assert_eq!(code, expected.to_string(), "{name}: {line}\n{said}");
    }
}

#[test]
fn a_process_that_left_its_pane_while_a_session_is_up_is_unidentified() {
    let (world, dev) = in_a_session();
    world.agent("Dev-B").ok("cmw-lock acquire");
    let policy = world.unidentified().ok("jq -c .state.policy .git/cmw/state.json");
    for (name, way) in ESCAPES {
        let said = escaped(&world, &dev, way, &powers("now"));
        assert_powerless(name, &said, "now");
        assert!(
            said.contains("this is an unidentified process"),
            "{name}: it is still a role, so nothing was tried:\n{said}"
        );
        let moved = escaped(&world, &dev, way, "git commit -q --allow-empty -m x; echo \"code $?\"");
        assert!(moved.contains("Dev-B has the write lock") && !moved.contains("code 0"), "{name}\n{moved}");
    }
    world.agent("Librarian").ok("cmw-freeze now --reason smoke");
    for (name, way) in ESCAPES {
        let said = escaped(&world, &dev, way, &powers("thaw"));
        assert_powerless(name, &said, "thaw");
        let moved = escaped(&world, &dev, way, "git commit -q --allow-empty -m x; echo \"code $?\"");
        assert!(moved.contains("the system is frozen") && !moved.contains("code 0"), "{name}\n{moved}");
    }
    assert_eq!(world.unidentified().ok("jq -c .state.policy .git/cmw/state.json"), policy);
}

#[test]
fn a_terminal_inside_a_pane_is_still_the_pane() {
    let (world, dev) = in_a_session();
    world.agent("Dev-B").ok("cmw-lock acquire");
    let ways = [
        "setsid --wait env SHELL=/bin/sh script -qfc CMD /dev/null </dev/null",
        "env -u CLAUDE_ROLE setsid --wait env SHELL=/bin/sh script -qfc CMD /dev/null </dev/null",
        "python3 -c 'import pty; pty.spawn(\"CMD\")' </dev/null",
    ];
    for way in ways {
        let line = "cmw-freeze now --reason x; echo \"code $?\"; cmw-init --preset solo; echo \"code $?\"";
        let said = escaped(&world, &dev, way, line);
        assert!(said.contains("freezing is not for Dev-A"), "{way}\n{said}");
        assert!(said.contains("weakening the policy is not for Dev-A"), "{way}\n{said}");
    }
}

#[test]
fn signs_of_an_agent_count_against_being_a_person() {
    let world = World::ready();
    let person = world.person();
    let refused = |sign: &str, output: &Output| {
        assert!(output.code == 77, "{sign}\n{output}");
        // The way is named: what to do is a person's to do.
        assert!(output.stderr.contains("by a terminal of their own: outside tmux"), "{sign}\n{output}");
    };
    for sign in ["TMUX_PANE=%1", "CLAUDECODE=1", "TMUX_PANE=$(printf '\\377')"] {
        for line in [
            "cmw-freeze now --reason x",
            "cmw-lock force-release --reason x",
            "cmw-rescue abandon --reason x",
            "cmw-init --preset solo",
            "cmw-lock acquire --as Dev-A",
        ] {
            refused(sign, &person.run(&format!("export {sign}; {line}")));
        }
        let output = person.run(&format!("export {sign}; cmw-doctor"));
        assert!(
            output.code == 0 && output.stdout.contains("you cannot be identified as a person"),
            "{output}"
        );
    }
    let stranger = world.unidentified();
    refused("no terminal", &stranger.run("cmw-freeze now --reason x"));
    // Without them it is the person: the table above tried what exists.
    assert!(!person.ok("cmw-doctor").contains("you cannot be identified"));
    person.ok("cmw-freeze now --reason x && cmw-freeze thaw --reason x && cmw-init --preset solo");
}

#[test]
fn an_unidentified_process_commits_only_while_the_lock_is_free() {
    let world = World::ready();
    let stranger = world.unidentified();
    stranger.ok("git commit -q --allow-empty -m free && git commit -q --allow-empty --no-verify -m free");
    let dev = world.agent("Dev-A");
    dev.ok("cmw-lock acquire");
    for line in ["git commit -q --allow-empty -m x", "cmw-commit --wait 1s -m x -- a", "cmw-lock release"] {
        let output = stranger.run(&format!("echo x >>a; {line}"));
        assert!(output.code != 0 && output.stderr.contains("Dev-A has the write lock"), "{output}");
    }
    // It waits in person, asked first, and is not first.
    let waits = stranger.spawn("cmw-lock acquire --wait 20s --json");
    crate::support::agent::wait_until("the queue", || world.has_waiting(1));
    let role = world.agent("Dev-B").spawn("cmw-lock acquire --wait 20s --json");
    crate::support::agent::wait_until("the queue", || world.has_waiting(2));
    dev.ok("cmw-lock release");
    let got = role.wait();
    assert!(got.code == 0 && !waits.is_over(), "{got}");
    world.agent("Dev-B").ok("cmw-lock release");
    assert_eq!(waits.wait().code, 0);
    stranger.run("cmw-lock release").ignored();
    world.person().ok("cmw-freeze now --reason smoke");
    let output = stranger.run("git commit -q --allow-empty -m x");
    assert!(output.code != 0 && output.stderr.contains("the system is frozen"), "{output}");
}

/// What is asked of the queue here.
trait Queue {
    fn has_waiting(&self, n: usize) -> bool;
}

impl Queue for World {
    /// Whether so many wait.
    fn has_waiting(&self, n: usize) -> bool {
        let state: serde_json::Value = serde_json::from_str(&self.read("repo/.git/cmw/state.json")).unwrap();
        state["state"]["queue"].as_array().unwrap().len() == n
    }
}
