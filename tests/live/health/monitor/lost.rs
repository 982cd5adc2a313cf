//! tmux that ends, and processes that are silent.

use std::time::{Duration, Instant};

use cmw::adapters::os::process::{self, Signal};
use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::health::incident::{CrashResponse, RestartState};
use cmw::domain::identity::role::Role;
use cmw::domain::session::instance::{InstancePhase, Session};
use cmw::domain::session::process::Process;
use cmw::store::disk::{Disk, RealDisk};
use cmw::store::health::heartbeats;
use cmw::store::layout;

use super::{IDLE, crashes, monitor, named, of_kind, role};
use crate::support::session::{World, wait_for};

/// Waits until another tmux than this one runs so many.
#[track_caller]
fn session_is_back(world: &World, former: &Process, ready: usize) {
    wait_for("the session to be back", || {
        let state = world.state();
        let other = matches!(&state.session, Session::Up { server, .. } if server != former);
        other && state.lost.is_none() && world.ready() == ready
    });
}

#[test]
fn a_session_that_is_lost_comes_back() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    let first = monitor(&world);
    world.session(&["stop", "Dev-B"]).ok();
    let Session::Up { server, .. } = world.state().session else { panic!() };
    assert!(process::signal(&server, Signal::KILL));
    session_is_back(&world, &server, 3);
    assert_eq!(named(&world, "SESSION_LOST").len(), 1);
    let with_it = named(&world, "INSTANCE_CRASHED");
    let plan = |r: &Record| matches!(&r.event, Event::Health(HealthEvent::InstanceCrashed(c)) if c.plan == CrashResponse::WithTheSession);
    assert!(with_it.len() == 3 && with_it.iter().all(plan), "{with_it:?}");
    assert_eq!(of_kind(&world, "User", "SESSION_LOST").len(), 1);
    assert_eq!(of_kind(&world, "User", "INSTANCE_CRASHED"), Vec::<String>::new(), "told once");
    // The monitor that brought it back gives way to that of the new session.
    wait_for("the first monitor to end", || !process::is_alive(&first));
    let began = Instant::now();
    let second = monitor(&world);
    assert_ne!(first, second);
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for its turn: {:?}", began.elapsed());
    super::kill(&world.instance("Dev-A").process);
    wait_for("the new monitor to notice", || crashes(&world).len() == 4);
    world.session(&["down"]).ok();
}

#[test]
fn a_monitor_whose_terminal_closes_first_brings_the_session_back() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    let first = monitor(&world);
    let Session::Up { server, .. } = world.state().session else { panic!() };
    // What the kernel does on its own when tmux is killed, only slower.
    assert!(process::signal(&first, Signal::HUP));
    std::thread::sleep(Duration::from_millis(500));
    assert!(process::signal(&server, Signal::KILL));
    session_is_back(&world, &server, 4);
    assert_eq!(named(&world, "SESSION_LOST").len(), 1);
    world.session(&["down"]).ok();
}

/// A session whose agents do something else when this role is started for the second time; it is lost then.
fn lost_with(name: &str, second: &str) -> World {
    let world = World::new(4);
    let starts = world.dir.path().join("starts");
    let script = format!(
        "if test \"$CLAUDE_ROLE\" = {name}; then echo >> '{0}'; test $(wc -l < '{0}') != 2 || {second}; fi
         exec {IDLE}",
        starts.display()
    );
    let agent = world.program("agent", &script);
    world.up_watched(&["--agent", agent.to_str().unwrap()]).ok();
    monitor(&world);
    let Session::Up { server, .. } = world.state().session else { panic!() };
    assert!(process::signal(&server, Signal::KILL));
    wait_for("the session to be brought back", || named(&world, "SESSION_UP").len() == 2);
    world
}

/// Who was to come back with the session, and did not.
fn did_not_come_back(world: &World) -> Vec<Role> {
    let with_it = |record: &Record| match &record.event {
        Event::Health(HealthEvent::RestartFailed(failed)) if failed.attempt == 0 => failed.role.clone(),
        _ => None,
    };
    named(world, "RESTART_FAILED").iter().filter_map(with_it).collect()
}

#[test]
fn who_fails_to_start_with_its_session_is_restarted_alone() {
    let world = lost_with("Dev-A", "exit 3");
    wait_for("all roles to be back", || world.ready() == 4);
    assert_eq!(did_not_come_back(&world), [role("Dev-A")]);
    wait_for("the outcome to be recorded", || named(&world, "INSTANCE_RESTARTED").len() == 1);
    world.session(&["down"]).ok();
}

#[test]
fn when_the_program_that_brings_a_session_back_is_killed_all_come_back() {
    let world = lost_with("Orchestrator", "exec sleep 600");
    let launched = || world.instance("Orchestrator").phase == InstancePhase::Starting;
    wait_for("the Orchestrator to be launched, and to be silent", launched);
    let Some(RestartState::WithSession { program, .. }) = world.instance("Orchestrator").restart else {
        panic!()
    };
    super::kill(&program);
    wait_for("all roles to be back", || world.ready() == 4);
    assert_eq!(did_not_come_back(&world).len(), 4);
    wait_for("the outcomes to be recorded", || named(&world, "INSTANCE_RESTARTED").len() == 4);
    world.session(&["down"]).ok();
}

/// A role without tmux, which would let a suspended one go on at once.
fn outside(world: &World, name: &str) -> std::process::Child {
    let script = "cmw-heartbeat register >/dev/null && { cmw-heartbeat run --every 1s 2>../beats.err & exec sleep 600; }";
    let mut command = world.command(std::path::Path::new("setsid"));
    let path =
        format!("{}:{}", crate::support::session::programs().display(), std::env::var("PATH").unwrap());
    command.args(["/bin/sh", "-c", script]).env("CLAUDE_ROLE", name).env("PATH", path).spawn().unwrap()
}

#[test]
fn heartbeats_go_on_after_damage() {
    let world = World::new(4);
    let mut agent = outside(&world, "Dev-A");
    wait_for("it to register", || world.state().instances.contains_key(&role("Dev-A")));
    let git_dir = world.repo.join(".git");
    let beat = || {
        let disk = RealDisk::open(&git_dir).unwrap();
        heartbeats::read(&disk, &role("Dev-A")).ok().flatten().map(|b| b.beat.ms)
    };
    let beats_again = || {
        let before = beat();
        wait_for("a beat", || {
            world.pass(Duration::from_secs(1));
            beat() > before
        });
    };
    beats_again(); // This may be the beat of the registration.
    beats_again();
    let state = git_dir.join("cmw/state.json");
    // Not while a publish is on its way, which would replace the junk.
    let gate = RealDisk::open(&git_dir).unwrap().lock(layout::GATE, 60_000).unwrap();
    let whole = std::fs::read(&state).unwrap();
    std::fs::write(&state, "junk\n").unwrap();
    drop(gate);
    let errors = || std::fs::read_to_string(world.dir.path().join("beats.err")).unwrap_or_default();
    wait_for("the damage to be noticed", || {
        world.pass(Duration::from_secs(1));
        errors().contains("cmw/state.json is damaged")
    });
    std::fs::write(&state, whole).unwrap();
    beats_again();
    assert_eq!(errors().matches("is damaged").count(), 1, "reported once: {}", errors());
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn who_is_suspended_is_stale_and_no_crash() {
    let world = World::new(4);
    let mut agent = outside(&world, "Dev-A");
    let ready = || world.state().instances.contains_key(&role("Dev-A"));
    wait_for("it to register", ready);
    let mut monitor = world.command(&crate::support::session::programs().join("cmw-health"));
    let mut monitor = monitor.args(["monitor", "--every", "1s"]).spawn().unwrap();
    let dev = world.instance("Dev-A").process;
    assert!(process::signal(&dev, Signal::STOP));
    let (began, mut passed) = (Instant::now(), Duration::ZERO);
    let is_stale = || !named(&world, "INSTANCE_STALE").is_empty();
    wait_for("it to be stale", || {
        // The monitor looks in between.
        std::thread::sleep(Duration::from_millis(300));
        let stale = is_stale();
        if !stale {
            world.pass(Duration::from_secs(1));
            passed += Duration::from_secs(1);
        }
        stale
    });
    assert!(passed + began.elapsed() > Duration::from_secs(20), "a moment is none");
    let told = || of_kind(&world, "Librarian", "INSTANCE_HEALTH_WARNING");
    wait_for("the Librarian to be told", || !told().is_empty());
    assert!(told().len() == 1 && told()[0].contains("suspended"), "{:?}", told());
    world.pass(Duration::from_secs(10));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(named(&world, "INSTANCE_STALE").len(), 1, "once");
    let check = world.tool("cmw-health", &["check", "Dev-A"]);
    assert!(check.code == 1 && check.out.starts_with("Dev-A is STALE"), "{check:?}");
    assert!(process::signal(&dev, Signal::CONT));
    wait_for("it to be well again", || !named(&world, "INSTANCE_RECOVERED").is_empty());
    assert_eq!(crashes(&world), Vec::<cmw::domain::identity::role::Role>::new());
    assert_eq!(world.state().instances[&role("Dev-A")].stale, None);
    // One outside our panes cannot be restarted; it is recorded, and said.
    assert!(process::signal(&dev, Signal::KILL));
    let _ = agent.wait();
    wait_for("its end to be noticed", || crashes(&world).len() == 1);
    let told = || of_kind(&world, "User", "INSTANCE_CRASHED");
    wait_for("the User to be told", || !told().is_empty());
    assert!(told().len() == 1 && told()[0].contains("it ran outside the session's panes"), "{:?}", told());
    let it = process::identify(monitor.id()).unwrap();
    assert!(process::signal(&it, Signal::TERM) && monitor.wait().unwrap().success());
}

#[test]
fn one_look_is_enough_for_cron() {
    let world = World::new(4);
    let mut agent = outside(&world, "Dev-A");
    wait_for("it to register", || world.state().instances.contains_key(&role("Dev-A")));
    super::kill(&world.instance("Dev-A").process);
    let _ = agent.wait();
    for _ in 0..2 {
        assert_eq!(world.tool("cmw-health", &["monitor", "--once"]).ok().out, "checked once\n");
        assert_eq!(crashes(&world), [role("Dev-A")]);
    }
}

#[test]
fn without_a_monitor_tmux_starts_a_check() {
    let world = World::new(4);
    world.up_unwatched(&["--agent", IDLE]).ok();
    super::kill(&world.instance("Dev-A").process);
    wait_for("it to be back", || {
        // A server that records logins can miss the end of a child until another one ends.
        world.tmux(&["run-shell", "true"]);
        !named(&world, "INSTANCE_RESTARTED").is_empty()
    });
    assert_eq!(crashes(&world).len(), 1);
    let status = world.tool("cmw", &[]).ok().out;
    assert!(!status.contains("no monitor"), "a look a moment ago counts for a while: {status}");
}
