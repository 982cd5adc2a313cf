//! `cmw-session` and the demo agent with a real tmux, each test on a private socket of its own.
#![expect(clippy::disallowed_methods, reason = "a test reads PATH and writes into its own directory")]
#![expect(clippy::unwrap_used, reason = "a test may, and so may what it is set up with")]

mod agents;
mod bell;
mod client;
mod crashes;
mod escapes;
mod scripts;

use std::path::Path;
use std::time::{Duration, Instant};

use cmw::adapters::os::process::{self, Signal};
use cmw::domain::session::instance::{InstancePhase, Session};

use crate::support::session::{World, wait_for};

/// Demo agents that only answer their mail.
const IDLE: &str = "cmw-demo-agent --rounds 0";

#[test]
fn two_roles_go_up_and_down() {
    let world = World::new(2);
    let up = world.up(&["--agent", IDLE]).ok();
    assert_eq!(up.out, "all 2 started in session claude-multi\n");
    assert!(up.err.contains("cmw-session attach"), "{}", up.err);
    assert_eq!(world.ready(), 2);
    assert!(matches!(world.state().session, Session::Up { .. }));
    let down = world.session(&["down"]).ok();
    assert_eq!(down.out, "2 stopped, session claude-multi is down\n", "{}", down.err);
    assert_eq!(world.session(&["down"]).ok().out, "no session is running\n");
}

#[test]
fn down_leaves_no_process_and_no_session() {
    let world = World::new(40);
    let up = world.up(&["--agent", IDLE, "--json"]).ok();
    assert_eq!(up.data()["started"].as_array().unwrap().len(), 40);
    assert_eq!(world.ready(), 40);
    let before = world.processes();
    assert!(world.living().len() >= 40, "the test sees the agents: {:?}", world.living());
    // A neighbour on the same server has a name that begins alike.
    assert_eq!(world.tmux(&["new-session", "-d", "-s", "claude-multi-2", "sleep", "600"]).code, 0);
    let down = world.session(&["down", "--json"]).ok();
    assert_eq!(down.data()["stopped"].as_array().unwrap().len(), 40);
    assert!(before.iter().all(|(_, p)| !process::is_alive(p)));
    assert!(!world.has_session("claude-multi") && world.has_session("claude-multi-2"));
    let state = world.state();
    assert!(state.instances.values().all(|i| i.phase == InstancePhase::Shutdown));
    assert_eq!(state.session, Session::Down);
    world.tmux(&["kill-server"]);
    wait_for("their children to end", || world.living().is_empty());
}

#[test]
fn the_panes_process_is_the_agents_process() {
    let world = World::new(2);
    world.up(&["--agent", IDLE]).ok();
    let dev = world.instance("Dev-A");
    let exe = std::fs::read_link(format!("/proc/{}/exe", dev.process.pid)).unwrap();
    assert_eq!(exe.file_name().unwrap(), "cmw-demo-agent");
    let panes = world.tmux(&["list-panes", "-a", "-F", "#{pane_id} #{pane_pid} #{@cmw_role}"]).out;
    assert!(panes.contains(&format!("{} {} Dev-A\n", dev.pane_id.unwrap(), dev.process.pid)), "{panes}");
    let environment = std::fs::read(format!("/proc/{}/environ", dev.process.pid)).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    let workspace = std::fs::canonicalize(&world.repo).unwrap();
    for wanted in [
        "CLAUDE_ROLE=Dev-A".to_owned(),
        "CLAUDE_PANE=0".to_owned(),
        "CLAUDE_SESSION=claude-multi".to_owned(),
        format!("CLAUDE_WORKSPACE={}", workspace.display()),
    ] {
        assert!(environment.split('\0').any(|v| v == wanted), "{wanted}: {environment}");
    }
    let path = environment.split('\0').find_map(|v| v.strip_prefix("PATH=")).unwrap();
    let first = std::env::split_paths(path).next().unwrap();
    assert_eq!(first, std::fs::canonicalize(crate::support::session::programs()).unwrap());
}

#[test]
fn a_session_that_exists_is_left_as_it_is() {
    let world = World::new(2);
    world.up(&["--agent", IDLE]).ok();
    let before = world.processes();
    let again = world.up(&["--agent", IDLE]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.ends_with("next: cmw-session attach\n"), "{}", again.err);
    // Another socket is no way around it.
    let elsewhere = world.session(&["up", "--socket", "cmw-test-elsewhere", "--agent", IDLE]);
    assert_eq!(elsewhere.code, 1, "{elsewhere:?}");
    assert_eq!(world.processes(), before);
    assert_eq!(world.ready(), 2);
}

#[test]
fn another_repositorys_session_is_neither_taken_nor_ended() {
    let world = World::new(2);
    assert_eq!(world.tmux(&["new-session", "-d", "-s", "claude-multi", "sleep", "600"]).code, 0);
    let up = world.up(&["--agent", IDLE]);
    assert_eq!(up.code, 1, "{up:?}");
    assert!(up.err.contains("belongs to another repository"), "{}", up.err);
    let down = world.session(&["--socket", &world.socket, "down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(world.has_session("claude-multi"));
    assert_eq!(world.session(&["--socket", &world.socket, "layout"]).code, 69);
    assert_eq!(world.state().session, Session::Down);
}

#[test]
fn without_tmux_it_says_what_to_install() {
    let world = World::new(2);
    let mut up = world.command(&crate::support::session::programs().join("cmw-session"));
    let said: crate::support::session::Said =
        up.args(["up"]).env("PATH", "/nonexistent").output().unwrap().into();
    assert_eq!(said.code, 69, "{said:?}");
    assert!(said.err.ends_with("next: apt-get install tmux\n"), "{}", said.err);
    assert_eq!(world.state().session, Session::Down);
}

#[test]
fn without_the_agents_program_nothing_is_begun() {
    let world = World::new(2);
    for (agent, code) in [("no-such-program --x", 69), ("./none", 69), ("'unfinished", 78), ("''", 78)] {
        let up = world.up(&["--agent", agent]);
        assert_eq!(up.code, code, "{agent}: {up:?}");
    }
    assert!(!world.has_session("claude-multi"));
    assert_eq!(world.state().session, Session::Down);
}

#[test]
fn a_neighbour_is_never_hit() {
    let world = World::new(12);
    world.up(&["--agent", IDLE]).ok();
    let before = world.processes();
    let stopped = world.session(&["stop", "dev_a"]).ok();
    assert!(stopped.out.starts_with("Dev-A stopped"), "{}", stopped.out);
    for (role, process) in before {
        assert_eq!(process::is_alive(&process), role.as_str() != "Dev-A", "{role}");
    }
    let dev = world.instance("Dev-A");
    assert_eq!((dev.phase, dev.pane_id), (InstancePhase::Shutdown, None));
    assert_eq!(world.tmux(&["list-panes", "-a"]).out.lines().count(), 11);
    assert_eq!(world.session(&["stop", "Dev-A"]).ok().out, "Dev-A is not running\n");
    // Its place is taken again, by a new pane.
    world.session(&["start", "Dev-A"]).ok();
    assert_eq!(world.ready(), 12);
    assert_eq!(world.instance("Dev-A").starts, 2);
}

#[test]
fn the_last_role_takes_the_session_with_it_and_helpers_too() {
    let world = World::new(2);
    world.up(&["--agent", IDLE]).ok();
    for (name, label) in [("monitor", "@cmw_helper"), ("mine", "@other")] {
        world.tmux(&["new-window", "-d", "-t", "=claude-multi:", "-n", name, "sleep", "600"]).ok();
        world.tmux(&["set-option", "-p", "-t", &format!("=claude-multi:{name}"), label, name]).ok();
    }
    for role in world.processes() {
        world.session(&["stop", role.0.as_str()]).ok();
    }
    // The window that a person opened there is his, and the session goes on with it.
    assert!(world.has_session("claude-multi"));
    assert_ne!(world.state().session, Session::Down);
    world.tmux(&["kill-window", "-t", "=claude-multi:mine"]).ok();
    world.session(&["start", "Dev-A"]).ok();
    world.session(&["stop", "Dev-A"]).ok();
    assert!(!world.has_session("claude-multi"));
    assert_eq!(world.state().session, Session::Down);
}

#[test]
fn a_process_outside_our_panes_is_never_signalled() {
    let world = World::new(2);
    // Registered by hand without a session: the process is the caller's shell.
    let mut shell = world.command(Path::new("setsid"));
    let script =
        format!("{}/cmw-heartbeat register; exec sleep 600", crate::support::session::programs().display());
    let mut shell = shell.args(["--wait", "sh", "-c", &script]).env("CLAUDE_ROLE", "Dev-A").spawn().unwrap();
    wait_for("the registration", || !world.state().instances.is_empty());
    let it = world.instance("Dev-A").process;
    world.session(&["--socket", &world.socket, "down"]).ok();
    let lives = process::is_alive(&it);
    let _ = process::signal(&it, Signal::KILL);
    shell.wait().unwrap();
    assert!(lives, "down ended a process that it had not started");
}

#[test]
fn a_killed_agent_shows_and_comes_back() {
    let world = World::new(3);
    world.up(&["--agent", IDLE]).ok();
    let dev = world.instance("Dev-B");
    assert!(process::signal(&dev.process, Signal::KILL));
    assert_eq!(process::wait_gone(std::slice::from_ref(&dev.process), 10_000), []);
    let pane_is_dead =
        || world.tmux(&["list-panes", "-a", "-F", "#{pane_dead} #{@cmw_role}"]).out.contains("1 Dev-B");
    wait_for("tmux to notice", pane_is_dead);
    let status = world.session(&["status"]).ok();
    let rows: Vec<&str> = status.out.lines().collect();
    assert!(rows[2].starts_with("Dev-B") && rows[2].contains("CRASHED"), "problems first: {}", status.out);
    assert!(rows[2].ends_with("next: cmw-session start Dev-B"), "{}", status.out);
    let json = world.session(&["status", "--json"]).ok().data();
    assert_eq!((&json["roles"][0]["role"], &json["roles"][0]["alive"]), (&"Dev-B".into(), &false.into()));
    let started = world.session(&["start", "Dev-B"]).ok();
    assert!(started.out.starts_with("Dev-B is started"), "{}", started.out);
    let again = world.instance("Dev-B");
    assert_eq!((again.phase, again.pane_id, again.starts), (InstancePhase::Ready, dev.pane_id, 2));
    // The agent that `up` was given is the one that comes back.
    let words = process::command_line(again.process.pid);
    assert!(words.iter().any(|w| w == b"--rounds"), "{words:?}");
    assert_eq!(world.session(&["start", "Dev-B"]).code, 1, "it runs already");
    // At once, whether or not tmux has noticed: a pane of the dead is not a pane in use.
    assert!(process::signal(&again.process, Signal::KILL));
    assert_eq!(process::wait_gone(std::slice::from_ref(&again.process), 10_000), []);
    world.session(&["start", "Dev-B"]).ok();
}

#[test]
fn all_started_is_said_only_when_all_registered() {
    let world = World::new(3);
    let agent = world.program(
        "agent",
        "case $CLAUDE_ROLE in Dev-A) echo 'no such luck' >&2; exit 3;; Dev-B) exec sleep 600;; esac
        exec cmw-demo-agent --rounds 0",
    );
    let began = Instant::now();
    let up = world.up(&["--agent", agent.to_str().unwrap(), "--wait", "2s"]);
    assert_eq!(up.code, 75, "{up:?}");
    assert_eq!(up.out, "");
    assert!(up.err.contains("1 of 3 started; missing:\n"), "{}", up.err);
    // tmux sometimes never learns the exit code of a program that ended at once.
    let how = ["Dev-A: it ended with 3: no such luck\n", "Dev-A: it ended: no such luck\n"];
    assert!(how.iter().any(|line| up.err.contains(line)), "{}", up.err);
    assert!(up.err.contains("Dev-B: it is running, but has not registered"), "{}", up.err);
    assert!(began.elapsed() < Duration::from_secs(30));
    let start = world.session(&["start", "Dev-A", "--wait", "20s"]);
    assert_eq!(start.code, 75, "{start:?}");
    assert!(start.err.contains("Dev-A is not started: it ended"), "{}", start.err);
    // What runs as a role is not chosen while the session is up.
    let start = world.session(&["start", "Dev-A", "--agent", IDLE]);
    assert_eq!(start.code, 77, "{start:?}");
    world.session(&["down", "--grace", "1s"]).ok();
    world.up(&["--agent", IDLE]).ok();
}

#[test]
fn a_session_without_agents_waits_for_each() {
    let world = World::new(3);
    let up = world.up(&["--no-start", "--agent", IDLE]).ok();
    assert_eq!(up.out, "session claude-multi has 3 panes; no role is started\n");
    assert_eq!(world.state().instances.len(), 0);
    wait_for("the pane to say so", || {
        world.shown("Dev-A").contains("is waiting for: cmw-session start Dev-A")
    });
    world.session(&["start", "Dev-A"]).ok();
    assert_eq!((world.ready(), world.state().instances.len()), (1, 1));
    assert_eq!(world.tmux(&["list-panes", "-a"]).out.lines().count(), 3);
    world.session(&["stop", "Dev-B"]).ok();
    assert_eq!(world.tmux(&["list-panes", "-a"]).out.lines().count(), 2);
    let before = world.instance("Dev-A");
    let all = world.session(&["start", "all"]).ok();
    assert_eq!(all.out, "all 2 started in session claude-multi\n");
    assert_eq!((world.ready(), world.instance("Dev-A")), (3, before));
    assert_eq!(world.session(&["start", "ALL"]).ok().out, "all roles are already running\n");
    world.session(&["down"]).ok();
    wait_for("all to end", || world.living().is_empty());
}

#[test]
fn some_roles_are_started_and_the_others_wait() {
    let world = World::new(4);
    let up = world.up(&["--agent", IDLE, "--roles", "dev-b, Orchestrator"]).ok();
    assert_eq!(up.out, "all 2 started in session claude-multi\n");
    assert_eq!(world.ready(), 2);
    assert_eq!(world.session(&["up", "--roles", "Dev-X"]).code, 1, "the session is looked at first");
}

#[test]
fn values_reach_no_shell_and_no_format() {
    let world = World::new(2);
    let hostile = "$(touch pwned) `touch pwned` #(touch pwned) ; touch pwned # %H";
    let script =
        "printf '%s\\n' \"$@\" > \"$CLAUDE_WORKSPACE/said-$CLAUDE_ROLE\"; exec cmw-demo-agent --rounds 0";
    let agent = world.program("ag ent;", script);
    let line = format!("'{}' '{hostile}' a\\ b ''", agent.display());
    world.up(&["--agent", &line]).ok();
    let said = std::fs::read_to_string(world.repo.join("said-Dev-A")).unwrap();
    assert_eq!(said, format!("{hostile}\na b\n\n"));
    world.session(&["stop", "Dev-A"]).ok();
    world.session(&["start", "Dev-A"]).ok();
    assert_eq!(std::fs::read_to_string(world.repo.join("said-Dev-A")).unwrap(), said);
    for dir in [world.repo.as_path(), world.dir.path(), Path::new("/"), Path::new(".")] {
        assert!(!dir.join("pwned").exists(), "a value was run as a program");
    }
    for bad in ["../x", "a b", "#(touch pwned)", ""] {
        assert_eq!(world.session(&["--socket", bad, "status"]).code, 2, "{bad:?}");
    }
}

#[test]
fn a_home_is_not_needed() {
    let world = World::new(2);
    let mut up = world.command(&crate::support::session::programs().join("cmw-session"));
    up.env_remove("HOME").args(["up", "--socket", &world.socket, "--agent", IDLE]);
    crate::support::session::Said::from(up.output().unwrap()).ok();
    assert_eq!(world.ready(), 2);
}

#[test]
fn down_works_when_tmux_has_died() {
    let world = World::new(3);
    world.up(&["--agent", IDLE]).ok();
    let before = world.processes();
    world.tmux(&["kill-server"]);
    wait_for("the agents to hang up", || before.iter().all(|(_, p)| !process::is_alive(p)));
    let status = world.session(&["status"]).ok();
    assert!(status.out.contains("died with its tmux server"), "{}", status.out);
    world.session(&["down"]).ok();
    let state = world.state();
    assert_eq!(state.session, Session::Down);
    assert!(state.instances.values().all(|i| i.phase == InstancePhase::Shutdown));
    world.up(&["--agent", IDLE]).ok();
}

#[test]
fn a_killed_session_does_not_block_the_next() {
    let world = World::new(2);
    world.up(&["--agent", IDLE]).ok();
    // The server lives on with a session of the person's own.
    world.tmux(&["new-session", "-d", "-s", "own", "sleep", "600"]);
    world.tmux(&["kill-session", "-t", "=claude-multi:"]);
    let status = world.session(&["status"]).ok();
    assert!(status.out.contains("no longer exists in tmux"), "{}", status.out);
    world.up(&["--agent", IDLE]).ok();
    assert_eq!(world.ready(), 2);
}

#[test]
fn attaching_needs_a_terminal_and_says_the_words() {
    let world = World::new(2);
    assert_eq!(world.session(&["attach"]).code, 69);
    world.up(&["--agent", IDLE]).ok();
    let mut attach = world.command(Path::new("setsid"));
    attach.arg("--wait").arg(crate::support::session::programs().join("cmw-session")).arg("attach");
    let said: crate::support::session::Said = attach.output().unwrap().into();
    assert_eq!(said.code, 69, "{said:?}");
    let words = format!("-L {} attach-session -t '=claude-multi:'\n", world.socket);
    assert!(said.err.ends_with(&words), "{}", said.err);
    let layout = world.session(&["layout"]).ok();
    assert_eq!(layout.out, "restored the layout of 2 panes\n");
}

#[test]
fn a_repository_that_is_not_set_up_is_told_apart() {
    let world = World::new(2);
    let other = world.dir.path().join("other");
    world.git(&["init", "-q", other.to_str().unwrap()]);
    let up = world.up(&["--repo", other.to_str().unwrap()]);
    assert_eq!(up.code, 78, "{up:?}");
    assert!(up.err.ends_with("next: cmw-init\n"), "{}", up.err);
}
