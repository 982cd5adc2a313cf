//! The scripts of scripts/, over the programs under test.

use std::path::Path;

use super::{IDLE, InstancePhase};
use crate::support::session::{Said, World, programs};

/// The scripts in a directory of their own, beside which the programs under test were "built".
fn scripts(world: &World) -> impl Fn(&str, &[&str]) -> Said {
    let root = world.dir.path().join("clone");
    std::fs::create_dir_all(root.join("target")).unwrap();
    std::os::unix::fs::symlink(programs(), root.join("target/release")).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let copied = world.command(Path::new("cp")).arg("-R").arg(from).arg(&root).status().unwrap();
    assert!(copied.success());
    // A script may not ask for a socket: its server is private by its directory of sockets.
    move |name, args| world.command(&root.join("scripts").join(name)).args(args).output().unwrap().into()
}

#[test]
fn the_guides_scripts_start_and_stop() {
    let world = World::on_the_default_socket(3);
    let script = scripts(&world);
    script("setup-tmux-session.sh", &["--agent", IDLE]).ok();
    assert_eq!(world.state().instances.len(), 0);
    script("start-instance.sh", &["Orchestrator", "0"]).ok();
    assert_eq!(world.ready(), 1);
    assert_eq!(script("start-all-instances.sh", &[]).ok().out, "all 2 started in session claude-multi\n");
    assert_eq!(script("start-all-instances.sh", &[]).ok().out, "all roles are already running\n");
    script("shutdown-instance.sh", &["Dev-A", "7", "--grace", "20s"]).ok();
    assert_eq!(world.instance("Dev-A").phase, InstancePhase::Shutdown);
    assert_eq!(world.ready(), 2);
    let health = script("health-check.sh", &[]).out;
    assert!(health.to_uppercase().contains("SHUT"), "{health}");
    script("shutdown-all-instances.sh", &[]).ok();
    assert!(!world.has_session("claude-multi"));
    script("start-all-instances.sh", &["--agent", IDLE]).ok();
    assert_eq!(world.ready(), 3);
    for (name, args) in [
        ("start-instance.sh", &[][..]),
        ("shutdown-instance.sh", &[]),
        ("force-release-lock.sh", &["--reason"]),
        ("force-release-lock.sh", &["x", "y"]),
    ] {
        assert_eq!(script(name, args).code, 2, "{name}");
    }
    // A caller that runs a script while a session is up is not recognised as the person.
    let forced = script("force-release-lock.sh", &["--reason", "-x; touch pwned"]);
    assert_eq!(forced.code, 77, "{forced:?}");
}

#[test]
fn a_script_without_programs_says_how_to_build_them() {
    let world = World::on_the_default_socket(2);
    let script = scripts(&world);
    std::fs::remove_file(world.dir.path().join("clone/target/release")).unwrap();
    let said = script("health-check.sh", &[]);
    assert_eq!(said.code, 69, "{said:?}");
    assert!(said.err.contains("next: cargo build --release"), "{}", said.err);
}

/// `quickstart.sh` where nothing is built: the programs under test lie where they would be.
fn quickstart(world: &World) -> Said {
    let path = std::env::var("PATH").unwrap();
    let stubs = world.dir.path().join("stubs");
    let script = world.dir.path().join("clone/scripts/quickstart.sh");
    let mut command = world.command(&script);
    command.env("PATH", format!("{}:{path}", stubs.display()));
    command.arg(&world.repo).args(["--agent", IDLE, "--roles", "2"]).output().unwrap().into()
}

#[test]
fn the_quickstart_runs_twice_and_takes_no_other_session_for_its_own() {
    let world = World::on_the_default_socket(2);
    let _ = scripts(&world);
    std::fs::create_dir(world.dir.path().join("stubs")).unwrap();
    for (stub, code) in [("cargo", 0), ("rustup", 1), ("sleep", 0)] {
        world.program(&format!("stubs/{stub}"), &format!("exit {code}"));
    }
    // A foreign session of that name: nothing was started, and nothing else is said.
    assert_eq!(world.tmux(&["new-session", "-d", "-s", "claude-multi", "/bin/sleep 600"]).code, 0);
    let foreign = quickstart(&world);
    assert_eq!(foreign.code, 1, "{foreign:?}");
    assert!(!foreign.out.contains("watch them work"), "{}", foreign.out);
    assert!(foreign.err.contains("belongs to another repository"), "{}", foreign.err);
    assert_eq!(world.tmux(&["kill-server"]).code, 0);
    for run in ["first", "second"] {
        let said = quickstart(&world);
        assert_eq!(said.code, 0, "{run}: {said:?}");
        assert!(said.out.contains("watch them work"), "{run}: {}", said.out);
        assert_eq!(world.ready(), 2, "{run}");
    }
}

#[test]
fn while_a_session_is_up_the_policy_is_not_changed() {
    let world = World::on_the_default_socket(2);
    let before = world.state().policy;
    // In the pane, as another role, and away from the pane: each says how it ended.
    let agent = world.program(
        "agent",
        "CLAUDE_ROLE=Dev-B cmw-init --preset solo; echo $? >>../$CLAUDE_ROLE.codes\n\
         cmw-init --preset solo; echo $? >>../$CLAUDE_ROLE.codes\n\
         cmw-init --uninstall; echo $? >>../$CLAUDE_ROLE.codes\n\
         env -u CLAUDE_ROLE setsid -f sh -c 'sleep 0.2; cmw-init --mode worktrees; echo $? >>../Dev-A.codes' \n\
         exec cmw-demo-agent --rounds 0",
    );
    world.session(&["up", "--agent", agent.to_str().unwrap()]).ok();
    let codes = || std::fs::read_to_string(world.dir.path().join("Dev-A.codes")).unwrap_or_default();
    super::wait_for("four answers", || codes().lines().count() >= 4);
    assert!(codes().lines().all(|code| code == "77"), "{}", codes());
    assert_eq!(world.tool("cmw-init", &["--mode", "worktrees"]).code, 77);
    assert_eq!(world.tool("cmw-init", &["--uninstall"]).code, 1);
    assert_eq!(world.state().policy, before);
    world.tool("cmw-init", &[]).ok();
    world.session(&["down"]).ok();
    // What weakens nothing a script may do again; this mode does.
    world.tool("cmw-init", &["--roles", "3"]).ok();
    assert_eq!(world.tool("cmw-init", &["--mode", "worktrees"]).code, 77);
}
