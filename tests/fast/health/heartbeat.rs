//! Transcripts of `cmw-heartbeat`: who is there, and who lives.

use crate::support::agent::wait_until;
use crate::support::{World, assert_transcript};

#[test]
fn a_role_registers_beats_and_leaves() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-heartbeat register").ignored();
        t.agent("Dev-B", "cmw-heartbeat register --json | jq .data.registry[].role").ignored();
        t.agent("Dev-A", "cmw-heartbeat beat --task 'fix the login'").ignored();
        t.agent("Dev-A", "grep -o 'fix the login' .git/cmw/beats/Dev-A").ignored();
        t.agent("Dev-A", "cmw-heartbeat beat --json | jq .").ignored();
        t.agent("Dev-A", "grep -o 'fix the login' .git/cmw/beats/Dev-A").ignored();
        t.note("Twice is as good as once.");
        t.agent("Dev-A", "cmw-heartbeat register").ignored();
        t.note("What it held goes with it.");
        t.agent("Dev-A", "cmw-lock acquire --quiet").ignored();
        t.agent("Dev-A", "cmw-heartbeat deregister").ignored();
        t.agent("Dev-B", "cmw-lock status").ignored();
        t.agent("Dev-A", "cmw-heartbeat deregister").ignored();
        t.agent("Dev-A", "cmw-heartbeat register").ignored();
    });
    assert_transcript("heartbeat", &text);
}

#[test]
fn only_roles_have_a_heartbeat_and_each_has_one_process() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.person("cmw-heartbeat beat").ignored();
        t.unidentified("cmw-heartbeat register").ignored();
        t.unidentified("CLAUDE_ROLE=Nobody-Such cmw-heartbeat register").ignored();
        t.agent("Dev-A", "cmw-heartbeat register --quiet").ignored();
        let twin = world.another("twin", "Dev-A");
        t.show(&twin.run("cmw-heartbeat register"));
        t.agent("Dev-B", "cmw-heartbeat register --quiet").ignored();
        t.agent("Dev-B", "CLAUDE_ROLE=Dev-A cmw-heartbeat beat").ignored();
        world.agent("Dev-A").kill();
        t.note("The first process is dead now.");
        t.show(&twin.run("cmw-heartbeat register"));
    });
    assert_transcript("heartbeat-roles", &text);
}

#[test]
fn run_ends_with_its_process_or_its_role() {
    let world = World::ready();
    let dev = world.agent("Dev-A");
    dev.ok("cmw-heartbeat register");
    let beat = || world.read("repo/.git/cmw/beats/Dev-A");
    let first = beat();
    let beating = dev.spawn("cmw-heartbeat run --every 100ms");
    wait_until("another beat", || beat() != first);
    assert!(!beating.is_over());
    dev.ok("cmw-heartbeat deregister");
    let output = beating.wait();
    assert_eq!((output.stdout.as_str(), output.code), ("Dev-A: the role is shut down\n", 0), "\n{output}");

    dev.ok("cmw-heartbeat register");
    // Its first beat is the only one for an hour: what was before must be read before.
    let first = beat();
    let beating = dev.spawn("cmw-heartbeat run --every 1h");
    let pid = beating.pid();
    wait_until("another beat", || beat() != first);
    dev.kill_leader();
    let gone = || cmw::adapters::os::process::stat(pid).is_none_or(|stat| stat.zombie);
    wait_until("the end of the beats, at once", gone);
}

#[test]
fn the_help() {
    let world = World::new();
    let text = world.transcript(|t| {
        t.unidentified("cmw-heartbeat --help").ignored();
        for verb in ["register", "beat", "run", "deregister"] {
            t.unidentified(&format!("cmw-heartbeat {verb} --help")).ignored();
        }
        t.unidentified("cmw-heartbeat --version").ignored();
        t.agent("Dev-A", "cmw-heartbeat").ignored();
        t.agent("Dev-A", "cmw-heartbeat run --every sometimes").ignored();
        t.agent("Dev-A", "cmw-heartbeat beat").ignored();
    });
    assert_transcript("heartbeat-help", &text);
}
