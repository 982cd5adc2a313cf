//! `cmw-health monitor` with a real tmux and demo agents, each test on a private socket of its own.
#![expect(clippy::disallowed_methods, reason = "a test reads PATH and writes into its own directory")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks only at what it is about")]
#![expect(clippy::unwrap_used, reason = "a test may, and so may what it is set up with")]

mod crashes;
mod lost;
mod told;

use std::ops::ControlFlow;
use std::time::Duration;

use cmw::adapters::os::clock;
use cmw::adapters::os::process::{self, Signal};
use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::identity::role::Role;
use cmw::domain::session::process::Process;
use cmw::store::audit::reader::AuditReader;
use cmw::store::health::monitor;
use cmw::store::mail::registry::Registry;

use crate::support::session::{World, wait_for};

/// Demo agents that only answer their mail.
const IDLE: &str = "cmw-demo-agent --rounds 0";

fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

/// What is recorded, in order, with what was published a moment ago.
fn records(world: &World) -> Vec<Record> {
    let store = world.store();
    let mut trail = AuditReader::open(store.disk()).unwrap();
    let mut all: Vec<Record> = std::iter::from_fn(|| trail.previous()).collect();
    all.reverse();
    all
}

/// What is recorded of this kind, in order.
fn named(world: &World, name: &str) -> Vec<Record> {
    let all = records(world);
    all.into_iter().filter(|record| record.event.tag() == name).collect()
}

#[track_caller]
fn kill(process: &Process) {
    assert!(process::signal(process, Signal::KILL), "it lived");
}

/// The messages of a mailbox, oldest first, whether or not they were read: type and subject.
fn mail(world: &World, mailbox: &str) -> Vec<(String, String)> {
    let store = world.store();
    let registry = Registry::new(store.disk(), clock::boot_id());
    let mut all = Vec::new();
    let mut add = |record: &cmw::store::mail::registry::StoredMessage| {
        let envelope = &record.envelope;
        let theirs = envelope.recipients.iter().any(|to| to.to_string() == mailbox);
        all.extend(theirs.then(|| (envelope.kind.to_string(), envelope.subject.clone())));
        Ok(ControlFlow::Continue(()))
    };
    registry.scan(1, &mut add).unwrap();
    all
}

fn of_kind(world: &World, mailbox: &str, kind: &str) -> Vec<String> {
    mail(world, mailbox).into_iter().filter(|(k, _)| k == kind).map(|(_, subject)| subject).collect()
}

/// The monitor's process, once it has looked.
fn monitor(world: &World) -> Process {
    let mut found = None;
    wait_for("the monitor", || {
        found = monitor::monitor_record(world.store().disk()).unwrap().map(|watcher| watcher.process);
        found.as_ref().is_some_and(process::is_alive)
    });
    found.unwrap()
}

#[test]
fn one_monitor_at_a_time() {
    let world = World::new(2);
    world.up_watched(&["--agent", IDLE]).ok();
    let first = monitor(&world);
    let mut second = world.command(&crate::support::session::programs().join("cmw-health"));
    let mut second = second.arg("monitor").spawn().unwrap();
    let once = world.tool("cmw-health", &["monitor", "--once"]).ok();
    assert_eq!(once.out, "another monitor is running\n");
    std::thread::sleep(Duration::from_millis(500));
    assert!(second.try_wait().unwrap().is_none(), "it waits for its turn");
    kill(&first);
    wait_for("the second one to take over", || {
        let watcher = monitor::monitor_record(world.store().disk()).unwrap().unwrap();
        watcher.process.pid == second.id()
    });
    let it = process::identify(second.id()).unwrap();
    assert!(process::signal(&it, Signal::TERM) && second.wait().unwrap().success());
}

/// Waits for another monitor than this one.
#[track_caller]
fn another_monitor(world: &World, first: &Process) {
    wait_for("another monitor", || {
        let watcher = monitor::monitor_record(world.store().disk()).unwrap();
        watcher.is_some_and(|watcher| watcher.process != *first && process::is_alive(&watcher.process))
    });
}

#[test]
fn any_heartbeat_starts_a_missing_monitor() {
    let world = World::new(2);
    world.up_watched(&["--agent", IDLE]).ok();
    let first = monitor(&world);
    let status = world.tool("cmw", &[]).ok().out;
    assert!(!status.contains("monitor"), "{status}");
    kill(&first);
    another_monitor(&world, &first);
    let status = world.tool("cmw-health", &[]).ok().out;
    assert!(!status.contains("the monitor"), "{status}");
}

#[test]
fn a_clock_that_is_set_back_stops_no_monitor() {
    let world = World::new(2);
    let mut up = world.command(&crate::support::session::programs().join("cmw-session"));
    // Twelve years: whatever is written from now on lies in its future.
    up.args(["up", "--socket", &world.socket, "--agent", IDLE]).env("CMW_TEST_WALL_MS", "-378432000000");
    assert!(up.status().unwrap().success());
    let first = monitor(&world);
    wait_for("the first patrol", || world.store().disk().path().join("cmw/health/patrol").exists());
    kill(&first);
    another_monitor(&world, &first);
}

#[test]
fn a_missing_monitor_is_the_first_line_of_every_status() {
    let world = World::new(2);
    world.up_unwatched(&["--agent", IDLE]).ok();
    for tool in ["cmw", "cmw-health"] {
        let status = world.tool(tool, &[]).ok().out;
        let head = status.lines().next().unwrap();
        assert!(head.contains("no monitor") && head.contains("cmw-health monitor"), "{tool}: {status}");
    }
    std::thread::sleep(Duration::from_secs(16));
    assert!(monitor::monitor_record(world.store().disk()).unwrap().is_none(), "who wants none gets none");
    world.session(&["down"]).ok();
    let status = world.tool("cmw", &[]).ok().out;
    assert!(!status.contains("monitor"), "without a session there is nothing to watch: {status}");
}

#[test]
fn where_cmw_is_not_set_up_there_is_nothing_to_watch() {
    let world = World::new(2);
    world.git(&["init", "-q", "../plain"]);
    for words in [&["monitor"][..], &["monitor", "--once"]] {
        let said = world.tool("cmw-health", &[&["--repo", "../plain"], words].concat());
        assert!(said.code == 78 && said.err.contains("next: cmw-init"), "{said:?}");
        assert!(!world.dir.path().join("plain/.git/cmw").exists(), "it leaves nothing");
    }
    let cmw = world.repo.join(".git/cmw");
    let mut monitor = world.command(&crate::support::session::programs().join("cmw-health"));
    let mut monitor = monitor.args(["monitor", "--every", "1s"]).spawn().unwrap();
    wait_for("its first look", || monitor::monitor_record(world.store().disk()).unwrap().is_some());
    let away = world.repo.join(".git/away");
    std::fs::rename(&cmw, &away).unwrap();
    // As one does that has just begun.
    std::fs::create_dir_all(cmw.join("health/ended")).unwrap();
    wait_for("it to end", || monitor.try_wait().unwrap().is_some());
    std::fs::remove_dir_all(&cmw).unwrap();
    std::fs::rename(&away, &cmw).unwrap();
}

#[test]
fn it_sleeps_when_nothing_happens() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    let it = monitor(&world);
    // Its first look, and what the start published.
    std::thread::sleep(Duration::from_secs(3));
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", it.pid)).unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split_whitespace().collect();
        fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(20));
    let used = ticks() - before;
    assert!(used <= 10, "{used} hundredths of a second in 20 seconds");
}

#[test]
fn what_is_stopped_on_purpose_did_not_crash() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    world.session(&["stop", "Dev-A"]).ok();
    world.session(&["start", "Dev-A"]).ok();
    world.tool("cmw-health", &["restart", "Dev-A"]).ok();
    world.session(&["down"]).ok();
    for name in ["INSTANCE_CRASHED", "RESTART_BEGUN", "SESSION_LOST"] {
        assert_eq!(named(&world, name), [], "{name}");
    }
    wait_for("the monitor to end with its session", || world.living().is_empty());
}

#[test]
fn the_last_role_that_is_stopped_takes_the_monitors_window_with_it() {
    let world = World::new(2);
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    for role in ["Orchestrator", "Librarian", "Dev-A", "Dev-B"] {
        world.session(&["stop", role]);
    }
    assert!(!world.has_session("claude-multi"), "{}", world.tmux(&["list-panes", "-a"]).out);
    assert!(matches!(world.state().session, cmw::domain::session::instance::Session::Down));
}

#[test]
fn what_cron_and_systemd_run_is_understood() {
    let world = World::new(2);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cron");
    for (file, end) in [("cmw.crontab", None), ("cmw-health@.service", Some("--help"))] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let line =
            text.lines().filter(|line| !line.starts_with('#')).find(|line| line.contains("cmw-health"));
        let (_, args) = line.unwrap().split_once("cmw-health ").unwrap();
        let repo = world.repo.to_str().unwrap();
        let words =
            args.split(' ').map(|word| if word == "/home/me/project" || word == "%f" { repo } else { word });
        let words: Vec<&str> = words.chain(end).collect();
        world.tool("cmw-health", &words).ok();
    }
}

/// The crashes that are recorded, of whom.
fn crashes(world: &World) -> Vec<Role> {
    let of = |record: &Record| match &record.event {
        Event::Health(HealthEvent::InstanceCrashed(crash)) => Some(crash.role.clone()),
        _ => None,
    };
    records(world).iter().filter_map(of).collect()
}
