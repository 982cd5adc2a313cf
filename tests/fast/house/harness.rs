//! The harness itself: what it starts, it ends; what differs from run to run, transcripts hide.

use crate::support::World;

#[test]
fn what_was_started_in_a_world_ends_with_it() {
    let world = World::new();
    let (dev, person) = (world.agent("Dev-A"), world.person());
    let asleep =
        [dev.spawn("sleep 600"), person.spawn("setsid sleep 600"), dev.spawn("trap '' TERM; sleep 600")];
    let mut pids = asleep.each_ref().map(crate::support::Pending::pid).to_vec();
    pids.extend([dev.pid(), person.pid()]);
    let root = world.root().to_owned();
    drop((dev, person));
    drop(world);
    for pid in pids {
        let left = cmw::adapters::os::process::stat(pid).filter(|stat| !stat.zombie);
        assert_eq!(left, None, "process {pid} is left");
    }
    assert!(!root.exists());
}

#[test]
fn a_crash_takes_all_and_a_role_comes_back_as_another_process() {
    let world = World::new();
    let dev = world.agent("Dev-A");
    let asleep = dev.spawn("sleep 600").pid();
    dev.kill();
    assert!(cmw::adapters::os::process::stat(asleep).is_none_or(|stat| stat.zombie));
    let again = world.agent("Dev-A");
    assert_ne!(again.pid(), dev.pid());
    assert_eq!(again.ok("echo $CLAUDE_ROLE"), "Dev-A\n");
}

#[test]
fn environments_hold_nothing_else() {
    let world = World::new();
    let names = |text: String| -> Vec<String> {
        let mut names: Vec<String> = text.lines().map(|l| l.split('=').next().unwrap().to_owned()).collect();
        names.retain(|name| !["PWD", "OLDPWD", "_", "SHLVL", "SHELL"].contains(&name.as_str()));
        names.retain(|name| !name.starts_with("GIT_"));
        names.sort();
        names
    };
    let common = ["HOME", "LC_ALL", "NO_COLOR", "PATH", "TMUX_TMPDIR", "TZ"];
    assert_eq!(names(world.unidentified().ok("env")), common);
    assert_eq!(names(world.person().ok("env")), common);
    assert_eq!(names(world.agent("QA").ok("env")), [&["CLAUDE_ROLE"], &common[..]].concat());
    assert_eq!(world.unidentified().run("exec 3</dev/tty").code, 2, "an unidentified one has no terminal");
    world.person().ok("exec 3</dev/tty");
}

#[test]
fn a_command_is_shown_as_a_terminal_would() {
    let world = World::new();
    let output = world.agent("Dev-A").fails(3, "echo out; echo err >&2; exit 3");
    assert_eq!(output.to_string(), "Dev-A$ echo out; echo err >&2; exit 3\nout\n! err\n[exit 3]\n");
    let text = "01ARZ3NDEKTSV4RRFFQ69G5FAV 01BX5ZZKBKACTAV9WEVGEMMVRZ 01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert_eq!(world.normalised(text), "[ULID-1] [ULID-2] [ULID-1]");
    let text = "2026-11-22T13:45:11.123Z 13:45Z (4m 59s left) waiting for 3s";
    assert_eq!(world.normalised(text), "[TIME] [HH:MM] ([LEFT] left) waiting for [AGE]");
    assert_eq!(world.normalised(&world.at("repo").display().to_string()), "[DIR]/repo");
}
