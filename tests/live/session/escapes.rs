//! Tests of an agent's attempts with tmux while the session is up: none gives it a role that it did not
//! have, or a power of the person (docs/decisions.md D3).

use std::path::PathBuf;

use cmw::adapters::os::process;

use super::IDLE;
use crate::support::session::{World, programs, wait_for};

/// Agents that register and then run whatever is put into a file of their name.
const PUPPET: &str = "cmw-heartbeat register >/dev/null || exit 3
cd \"$CLAUDE_WORKSPACE/.git\" || exit 4
while :; do
    if [ -f \"do-$CLAUDE_ROLE\" ]; then
        mv \"do-$CLAUDE_ROLE\" \"doing-$CLAUDE_ROLE\"
        sh \"./doing-$CLAUDE_ROLE\" > \"said-$CLAUDE_ROLE\" 2>&1
        echo \"code $?\" >> \"said-$CLAUDE_ROLE\"
        mv \"said-$CLAUDE_ROLE\" \"done-$CLAUDE_ROLE\"
    fi
    sleep 0.05
done";

/// What is tried: who it is, and each power. `uninstall` is stopped by the session itself.
const POWERS: [(&str, &str); 11] = [
    ("cmw-heartbeat beat", "77"),
    ("cmw-lock force-release --reason x", "77"),
    ("cmw-rescue abandon --reason x", "77"),
    ("cmw-init --preset solo", "77"),
    ("cmw-init --uninstall", "1"),
    ("cmw-session start Dev-B --agent true", "77"),
    ("cmw-lock acquire --as User", "77"),
    ("cmw-freeze now --reason x", "77"),
    ("cmw-freeze thaw --reason x", "77"),
    ("cmw-audit adopt V1 --reason x", "77"),
    ("cmw-bypass break-glass --reason x", "77"),
];

/// A world whose agents do what they are told, and a program that tries every power.
fn lab() -> (World, PathBuf) {
    let world = World::new(4);
    let puppet = world.program("puppet", PUPPET);
    let tries: Vec<String> =
        POWERS.iter().map(|(line, _)| format!("echo '== {line}'; {line}; echo \"code $?\"")).collect();
    let probe = format!(
        "cd '{}' || exit\nPATH='{}':$PATH\n{{ {}\n}} >\"$1.tmp\" 2>&1 </dev/null\nmv \"$1.tmp\" \"$1\"",
        world.repo.display(),
        programs().display(),
        tries.join("\n")
    );
    let probe = world.program("probe", &probe);
    // The agents' program is named by a path without spaces.
    world.up(&["--agent", puppet.to_str().unwrap()]).ok();
    (world, probe)
}

/// Runs a line in the pane of a role; what it said, with its exit code in the last line.
fn in_pane(world: &World, role: &str, line: &str) -> String {
    let at = |name: &str| world.repo.join(format!(".git/{name}-{role}"));
    let _ = std::fs::remove_file(at("done"));
    std::fs::write(at("new"), format!("cd '{}'\n{line}\n", world.repo.display())).unwrap();
    std::fs::rename(at("new"), at("do")).unwrap();
    wait_for(line, || at("done").exists());
    std::fs::read_to_string(at("done")).unwrap()
}

/// What the probe found out; its file is named after the escape.
fn probed(world: &World, name: &str) -> String {
    let out = world.dir.path().join(name);
    wait_for(name, || out.exists());
    std::fs::read_to_string(out).unwrap()
}

#[track_caller]
fn assert_powerless(name: &str, said: &str) {
    for (line, code) in POWERS {
        let part =
            said.split_once(&format!("== {line}\n")).unwrap_or_else(|| panic!("{name}: {line}:\n{said}")).1;
        let found = part.split_once("code ").unwrap().1.lines().next().unwrap();
        assert_eq!(found, code, "{name}: {line}\n{said}");
    }
    assert!(said.contains("this is an unidentified process"), "{name}:\n{said}");
}

#[test]
fn no_trick_with_tmux_gives_a_role_or_a_power() {
    let (world, probe) = lab();
    // The probe is no straw man: below the pane of a role it is that role.
    let out = |name: &str| format!("{} {}", probe.display(), world.dir.path().join(name).display());
    in_pane(&world, "Orchestrator", &out("control"));
    let control = probed(&world, "control");
    assert!(
        !control.contains("unproven") && control.contains("freezing is not for Orchestrator"),
        "{control}"
    );
    in_pane(&world, "Dev-B", "cmw-lock acquire --purpose theirs");

    let pane_of = |role: &str| world.instance(role).pane_id.unwrap();
    let policy = world.state().policy;
    let other = format!("{}-other", world.socket);
    let quiet = "-f /dev/null";
    let tricks = [
        (
            "another-server",
            format!("tmux -L {other} {quiet} new-session -d -s evil '{}'", out("another-server")),
        ),
        (
            "another-server-without-environment",
            format!(
                "env -i PATH=\"$PATH\" HOME=\"$HOME\" TMUX_TMPDIR=\"$TMUX_TMPDIR\" tmux -L {other}-2 {quiet} \
                 new-session -d -s claude-multi '{}'",
                out("another-server-without-environment")
            ),
        ),
        ("run-shell", format!("tmux run-shell -b '{}'", out("run-shell"))),
        (
            "split-window",
            format!("tmux split-window -d -e CLAUDE_ROLE=Librarian '{}; sleep 1'", out("split-window")),
        ),
        (
            "new-window",
            format!("tmux new-window -d -e CLAUDE_ROLE=Orchestrator '{}; sleep 1'", out("new-window")),
        ),
        (
            "labelled-pane",
            format!(
                "p=$(tmux split-window -dP -F '#{{pane_id}}' 'sleep 1; {}; sleep 1'); tmux set-option -p -t $p \
                 @cmw_role Librarian",
                out("labelled-pane")
            ),
        ),
        (
            "pipe-pane",
            format!(
                "tmux pipe-pane -t {} 'exec {}'; tmux refresh-client; :",
                pane_of("Dev-B"),
                out("pipe-pane")
            ),
        ),
        (
            "hook",
            format!(
                "tmux set-hook -g after-list-keys \"run-shell -b '{}'\"; tmux list-keys >/dev/null",
                out("hook")
            ),
        ),
        (
            "respawned-pane",
            format!(
                "tmux respawn-pane -k -t {} -e CLAUDE_ROLE=Librarian '{}; sleep 2'",
                pane_of("Librarian"),
                out("respawned-pane")
            ),
        ),
    ];
    for (name, line) in &tricks {
        let tried = in_pane(&world, "Dev-A", line);
        let said = probed(&world, name);
        assert_powerless(name, &format!("{said}\n{tried}"));
        assert_eq!(world.state().policy, policy, "{name}");
    }
    for server in [other.clone(), format!("{other}-2")] {
        let mut kill = world.command(std::path::Path::new("tmux"));
        kill.args(["-L", &server, "kill-server"]).output().unwrap();
    }
    let state = world.state();
    let held = state.held().expect("the lock was not taken from Dev-B");
    assert_eq!(held.holder.to_string(), "Dev-B");
}

#[test]
fn a_session_on_another_server_starts_no_role() {
    let world = World::new(4);
    let puppet = world.program("puppet", PUPPET);
    world.up(&["--agent", puppet.to_str().unwrap(), "--roles", "Orchestrator,Dev-A,Dev-B"]).ok();
    let other = format!("{}-other", world.socket);
    let repo = std::fs::canonicalize(world.repo.join(".git")).unwrap();
    let evil = format!(
        "tmux -L {other} -f /dev/null new-session -d -s claude-multi 'sleep 60' && tmux -L {other} set-option -t \
         claude-multi @cmw_repo '{}' && tmux -L {other} set-option -p -t claude-multi @cmw_role Librarian",
        repo.display()
    );
    let made = in_pane(&world, "Dev-A", &evil);
    assert!(made.ends_with("code 0\n"), "{made}");
    let start = format!("cmw-session --socket {other} start Librarian");
    let as_role = in_pane(&world, "Dev-A", &start);
    assert!(
        as_role.contains("starting Librarian is not for Dev-A") && as_role.ends_with("code 77\n"),
        "{as_role}"
    );
    // An unidentified process may start what crashed, but on the session's own server.
    let said = world.session(&["--socket", &other, "start", "Librarian"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("runs on a different socket"), "{said:?}");
    let as_orchestrator = in_pane(&world, "Orchestrator", "cmw-session start Librarian --agent 'sleep 60'");
    assert!(as_orchestrator.contains("choosing what runs as Librarian is not for"), "{as_orchestrator}");
    let by_nobody = world.session(&["start", "Librarian", "--agent", IDLE]);
    assert_eq!(by_nobody.code, 77, "{by_nobody:?}");
    assert!(by_nobody.err.ends_with("next: cmw-session down\n"), "{by_nobody:?}");
    assert!(world.state().instances.iter().all(|(role, _)| role.as_str() != "Librarian"));
    // Its own program, as at `up`, any actor may start.
    world.session(&["start", "Librarian"]).ok();
    let librarian = world.instance("Librarian").process;
    assert!(process::is_alive(&librarian));
    let mut kill = world.command(std::path::Path::new("tmux"));
    kill.args(["-L", &other, "kill-server"]).output().unwrap();
}

#[test]
fn a_spoofed_role_in_a_pane_is_refused_and_recorded() {
    let (world, _) = lab();
    for (line, words) in [
        ("CLAUDE_ROLE=Librarian cmw-freeze now --reason x", "code 77\n"),
        ("CLAUDE_ROLE=Orchestrator cmw-lock force-release --reason x", "code 77\n"),
        ("CLAUDE_ROLE=User cmw-init --uninstall", "code 77\n"),
        ("CLAUDE_ROLE=Dev-B git commit -q --allow-empty -m x", "code 1\n"),
    ] {
        let said = in_pane(&world, "Dev-A", line);
        assert!(said.ends_with(words) && said.contains("Dev-A"), "{line}\n{said}");
    }
    in_pane(&world, "Dev-B", "cmw-lock acquire");
    let log = std::fs::read_to_string(world.repo.join(".git/audit/write-lock-intents.json")).unwrap();
    let records = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let spoofs: Vec<_> = records
        .filter(|r| r["event"] == "LOCK_REFUSED" && r["why"].as_str().unwrap().contains("CLAUDE_ROLE says"))
        .collect();
    assert!(spoofs.len() >= 4, "{log}");
    assert!(spoofs.iter().all(|r| r["who"] == "Dev-A"), "{spoofs:?}");
}

#[test]
fn the_person_breaks_the_glass_when_the_session_is_down() {
    let (world, _) = lab();
    in_pane(&world, "Dev-B", "cmw-lock acquire --purpose theirs");
    // A person at a second terminal.
    let typed = |line: &str| {
        let mut script = world.command(std::path::Path::new("script"));
        script.env("PATH", format!("{}:{}", programs().display(), std::env::var("PATH").unwrap()));
        script.env("SHELL", "/bin/sh").args(["-qec", line, "/dev/null"]);
        crate::support::session::Said::from(script.output().unwrap())
    };
    let glass = "cmw-bypass break-glass --reason 'the site is down'";
    let commit = "git commit -q --allow-empty -m urgent";
    let refused = typed(glass);
    assert_eq!(refused.code, 77, "{refused:?}");
    let next = refused.out.lines().find_map(|line| line.strip_prefix("next: ")).expect("a way out is named");
    assert_eq!(next.trim(), "cmw-session down", "{refused:?}");
    assert_ne!(typed(commit).code, 0);
    typed(next.trim()).ok();
    typed(glass).ok();
    typed(commit).ok();
    typed("cmw-bypass break-glass end").ok();
    let log = typed("cmw-audit log --all").ok().out;
    assert!(log.contains("BREAK_GLASS ") && log.contains("BREAK_GLASS_ENDED"), "{log}");
    typed("cmw-audit verify").ok();
}
