//! Telling the person outside tmux.

use std::path::PathBuf;

use cmw::adapters::os::process;
use serde_json::Value;

use super::{IDLE, crashes, kill, monitor, named};
use crate::support::session::{World, wait_for};

/// A world whose notifications end up in a file; `script` runs before.
fn world(script: &str) -> (World, PathBuf) {
    let world = World::new(4);
    let file = world.dir.path().join("told");
    let program = world.program("notify", &format!("{script}\ncat >> \"{}\"", file.display()));
    let command =
        format!("'{}' 'an argument; touch \"{}/x\"'", program.display(), world.dir.path().display());
    world.git(&["config", "cmw.notify.command", &command]);
    world.git(&["config", "cmw.health.restart", "false"]);
    world.tool("cmw-init", &[]).ok();
    (world, file)
}

fn told(file: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kinds(file: &PathBuf) -> Vec<String> {
    told(file).iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_person_is_told_once() {
    let (world, file) = world("");
    assert_eq!(world.tool("cmw-health", &["notify-test"]).ok().out, "the command took a test event\n");
    wait_for("the test event", || kinds(&file) == ["test"]);
    assert!(!world.dir.path().join("x").exists(), "no_shell_reads_the_command");
    world.tool("cmw-health", &["monitor", "--once"]).ok();
    assert_eq!(kinds(&file), ["test"], "what was before the first look is not told");
    world.tool_as("Librarian", "cmw-freeze", &["now", "--reason", "looking"]).ok();
    for _ in 0..3 {
        world.tool("cmw-health", &["monitor", "--once"]).ok();
    }
    assert_eq!(kinds(&file), ["test", "freeze"]);
    let event = &told(&file)[1];
    assert!(event["subject"].as_str().unwrap().contains("looking"), "{event}");
    assert!(event["repository"].as_str().unwrap().ends_with("a repository"), "{event}");
    assert_eq!(event["next"], "cmw-freeze status");
    world
        .tool_as("Dev-A", "cmw-send", &["User", "--priority", "critical", "--subject", "look\u{1b}[2J", "x"])
        .ok();
    world.tool_as("Dev-A", "cmw-send", &["User", "--subject", "no hurry", "x"]).ok();
    world.tool("cmw-health", &["monitor", "--once"]).ok();
    assert_eq!(kinds(&file), ["test", "freeze", "message"]);
    assert!(!told(&file)[2]["subject"].as_str().unwrap().contains('\u{1b}'));
}

#[test]
fn what_one_monitor_did_not_tell_the_next_one_tells() {
    let (world, file) = world("echo $$ > ../at-it; test ! -e ../hangs || exec sleep 600");
    let (at_it, hangs) = (world.dir.path().join("at-it"), world.dir.path().join("hangs"));
    world.tool("cmw-health", &["monitor", "--once"]).ok();
    std::fs::write(&hangs, "").unwrap();
    world.tool_as("Librarian", "cmw-freeze", &["now", "--reason", "looking"]).ok();
    world.tool_as("Dev-A", "cmw-send", &["User", "--priority", "critical", "--subject", "look", "x"]).ok();
    let mut monitor = world.command(&crate::support::session::programs().join("cmw-health"));
    let mut monitor = monitor.arg("monitor").spawn().unwrap();
    let pid = || std::fs::read_to_string(&at_it).ok()?.trim().parse::<u32>().ok();
    wait_for("the command to hang", || pid().is_some());
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    kill(&process::identify(pid().unwrap()).unwrap());
    assert_eq!(kinds(&file), Vec::<String>::new());
    std::fs::remove_file(&hangs).unwrap();
    for _ in 0..2 {
        world.tool("cmw-health", &["monitor", "--once"]).ok();
        assert_eq!(kinds(&file), ["freeze", "message"], "all of it in one look, and once");
    }
}

#[test]
fn a_command_that_hangs_or_fails_stops_nothing() {
    let (world, file) = world("sleep 30");
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    kill(&world.instance("Dev-A").process);
    wait_for("the crash to be noticed", || crashes(&world).len() == 1);
    kill(&world.instance("Dev-B").process);
    wait_for("the other one, while the command hangs", || crashes(&world).len() == 2);
    // It has begun with the first one, which is something to tell since it is not restarted.
    assert_eq!(kinds(&file), Vec::<String>::new());
    assert_eq!(named(&world, "RESTART_BEGUN").len() + named(&world, "INSTANCE_RESTARTED").len(), 0);
}
