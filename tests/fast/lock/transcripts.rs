//! Transcripts of `cmw-lock`: what is typed, what is said, how it ends.

use crate::support::agent::wait_until;
use crate::support::{World, assert_transcript};
use cmw::adapters::os::{clock, process};
use cmw::domain::command::{Caller, Command};
use cmw::domain::facts::Facts;
use cmw::domain::identity::actor::Actor;
use cmw::domain::state::State;
use cmw::store::disk::RealDisk;
use cmw::store::{self, Store};
use rustix::process::Signal;

#[test]
fn one_takes_it_another_waits_and_gets_it() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock status").ignored();
        t.agent("Dev-A", "cmw-lock acquire --files a --purpose 'fix the login'").ignored();
        t.agent("Dev-A", "cmw-lock status").ignored();
        t.agent("Dev-B", "cmw-lock acquire --files b --priority high").ignored();
        t.agent("Dev-B", "cmw-lock status").ignored();
        t.agent("Dev-A", "cmw-lock renew").ignored();
        t.agent("Dev-A", "cmw-lock acquire --files c").ignored();
        t.agent("Dev-A", "cmw-lock release").ignored();
        t.agent("Dev-A", "cmw-lock release").ignored();
        t.agent("Dev-B", "cmw-lock status").ignored();
        t.agent("Dev-B", "cmw-lock acquire --files b").ignored();
        t.agent("Dev-A", "cmw-lock renew").ignored();
    });
    assert_transcript("lock-basics", &text);
}

#[test]
fn the_person_is_known_by_the_terminal() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.person("cmw-lock acquire --purpose 'a hand-made fix'").ignored();
        t.unidentified("cmw-lock status --json | jq .data.lock.holder").ignored();
        t.unidentified("cmw-lock acquire").ignored();
        t.person("cmw-lock release").ignored();
        t.note("Only the person may speak for others.");
        t.person("cmw-lock acquire --as Dev-A").ignored();
        t.person("cmw-lock release --as dev-a").ignored();
        t.agent("Dev-A", "cmw-lock acquire --as Dev-B").ignored();
        t.agent("Dev-A", "cmw-lock acquire --as User").ignored();
        t.agent("Dev-A", "cmw-lock acquire --as Dev-A --quiet").ignored();
    });
    assert_transcript("lock-person", &text);
}

#[test]
fn who_waits_is_told_and_gets_it() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock acquire --files a").ignored();
        let waiting = world.agent("Dev-B").spawn("cmw-lock acquire --files b --wait 1m");
        waiting.until_it_says("waiting up to");
        t.agent("Dev-A", "cmw-lock queue").ignored();
        t.agent("Dev-A", "cmw-lock release").ignored();
        t.show(&waiting.wait());
        t.note("The time is over: the place in the queue stays.");
        t.agent("Dev-A", "cmw-lock acquire --files a --wait 100ms").ignored();
        t.agent("Dev-A", "cmw-lock queue").ignored();
        t.agent("Dev-A", "cmw-lock cancel").ignored();
        t.agent("Dev-A", "cmw-lock cancel").ignored();
        t.agent("Dev-A", "cmw-lock queue").ignored();
    });
    assert_transcript("lock-waiting", &text);
}

#[test]
fn the_queue_is_the_person_then_priority_then_order_of_arrival() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock acquire").ignored();
        t.agent("Dev-B", "cmw-lock acquire --priority low --purpose 'tidy up'").ignored();
        t.agent("QA-A", "cmw-lock acquire --purpose tests").ignored();
        t.agent("Planner-A", "cmw-lock acquire").ignored();
        t.agent("Architect-A", "cmw-lock acquire --priority critical").ignored();
        t.person("cmw-lock acquire").ignored();
        t.agent("Dev-B", "cmw-lock queue").ignored();
        t.note("Out of order only by the holder's own hand.");
        t.agent("Dev-B", "cmw-lock handover QA-A").ignored();
        t.agent("Dev-A", "cmw-lock handover Docs").ignored();
        t.agent("Dev-A", "cmw-lock handover QA-A").ignored();
        t.agent("QA-A", "cmw-lock status").ignored();
    });
    assert_transcript("lock-queue", &text);
}

#[test]
fn taking_it_away_is_for_orchestrator_and_user() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock acquire").ignored();
        t.agent("Dev-B", "cmw-lock force-release --reason 'it takes too long'").ignored();
        t.unidentified("cmw-lock force-release --reason 'it takes too long'").ignored();
        t.agent("Orchestrator", "cmw-lock force-release --reason 'stuck in a loop'").ignored();
        t.agent("Dev-A", "cmw-lock release --token 1").ignored();
        t.agent("Dev-A", "cmw-lock acquire").ignored();
        t.agent("Dev-A", "cmw-lock release --token 1").ignored();
        t.person("cmw-lock force-release --reason 'I need it'").ignored();
        t.person("cmw-lock force-release --reason 'once more'").ignored();
        t.agent("Dev-A", "cmw-lock status").ignored();
    });
    assert_transcript("lock-force", &text);
}

#[test]
fn run_gives_the_lock_back_however_the_command_ends() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock run -- sh -c 'cmw-lock status; exit 7'").ignored();
        t.agent("Dev-A", "cmw-lock status").ignored();
        t.agent("Dev-A", "cmw-lock run -- sh -c 'kill -TERM $$'").ignored();
        t.agent("Dev-A", "cmw-lock run -- no-such-program").ignored();
        t.agent("Dev-A", "cmw-lock status").ignored();
        t.note("A lock that was held before stays held.");
        t.agent("Dev-A", "cmw-lock acquire --quiet").ignored();
        t.agent("Dev-A", "cmw-lock run -- true").ignored();
        t.agent("Dev-B", "cmw-lock run --wait 100ms -- true").ignored();
        t.agent("Dev-A", "cmw-lock release").ignored();
        t.agent("Dev-A", "cmw-lock status").ignored();
    });
    assert_transcript("lock-run", &text);
}

#[test]
fn a_signal_ends_the_command_and_gives_the_lock_back() {
    let world = World::ready();
    let all = [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)];
    for (signal, code) in all {
        let dev = world.agent("Dev-A");
        let run = dev.spawn("cmw-lock run -- sh -c 'ulimit -c 0; echo started; exec sleep 600'");
        run.until_it_says("started");
        run.signal(signal);
        let output = run.wait();
        assert_eq!(output.code, code, "\n{output}");
        assert_eq!(dev.ok("cmw-lock status"), "the write lock is free\n");
    }
}

#[test]
fn the_exit_code_is_the_commands_also_when_the_state_is_busy() {
    let world = World::ready();
    let busy = "flock .git/cmw/state.lock sh -c 'touch held; sleep 600'";
    world.write(
        "command",
        format!("setsid {busy} >held.log 2>&1 &\nwhile ! [ -e held ]; do sleep 0.01; done\nexit 7\n"),
    );
    let output = world.agent("Dev-A").fails(7, "cmw-lock run -- sh ../command");
    assert!(output.stderr.contains("error: "), "\n{output}");
}

/// A session whose server is this very process, so that it is up as long as the test runs.
fn with_a_session_up(world: &World, test: impl FnOnce()) {
    let store = Store::new(RealDisk::open(&world.at("repo/.git")).unwrap());
    let facts = |_: &State| Facts {
        now: clock::now(),
        dead: Default::default(),
        active: Default::default(),
        saver: None,
        endings: Default::default(),
    };
    let asker = Caller { actor: Actor::User, process: process::current() };
    let server = process::current();
    let up = Command::SessionUp { name: "s".into(), socket: None, server, agent: None };
    let clocks = || store::TransactionEnv { facts: &facts, random: &|| 1 };
    store.transact(&asker, &up, clocks()).unwrap().outcome.unwrap();
    test();
}

#[test]
fn run_works_for_a_person_beside_a_session() {
    let world = World::ready();
    with_a_session_up(&world, || {
        for who in [world.person(), world.unidentified()] {
            who.ok("cmw-lock run -- git commit -q --allow-empty -m one");
            who.ok("cmw-lock run -- sh -c 'cmw-lock run -- git commit -q --allow-empty -m two'");
            assert_eq!(who.ok("cmw-lock status"), "the write lock is free\n");
        }
        let run = world.person().spawn("cmw-lock run -- sleep 600");
        wait_until("the lock", || world.unidentified().run("cmw-lock status").stdout.contains("holds"));
        world.unidentified().fails(1, "echo x >>a; git commit -q -a -m three").ignored();
        run.kill().ignored();
    });
}

#[test]
fn a_person_beside_a_session_is_told_a_way() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-lock acquire");
    with_a_session_up(&world, || {
        let text = world.transcript(|t| {
            t.person("cmw-lock force-release --reason 'it takes too long'").ignored();
            t.person("cmw-freeze thaw --reason 'it is over'").ignored();
            t.person("cmw-session down").ignored();
        });
        assert_transcript("lock-session", &text);
    });
}

#[test]
fn whose_time_is_over_is_not_given_the_lock_any_more() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-lock acquire");
    for line in ["cmw-lock acquire --wait 50ms", "cmw-lock run --wait 50ms -- true"] {
        world.agent("Dev-B").fails(75, line).ignored();
        let state = world.unidentified().ok("jq -c .state.queue .git/cmw/state.json");
        // Published under the gate: a snapshot cannot tell that no command grants it the lock meanwhile.
        assert!(!state.contains("\"caller\"") && !state.contains("\"stand_in\""), "{line}: {state}");
        assert!(state.contains("\"ticket\""), "{line}: {state}");
    }
}

#[test]
fn a_command_that_waited_in_vain_leaves_the_role_its_place() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-lock acquire");
    world.agent("Dev-B").fails(75, "cmw-lock acquire").ignored();
    world.agent("QA-A").fails(75, "cmw-lock acquire").ignored();
    world.agent("Dev-B").fails(75, "cmw-lock run --wait 50ms -- true").ignored();
    world.agent("Dev-A").ok("cmw-lock renew");
    let queue = world.agent("Dev-A").ok("cmw-lock queue");
    assert!(queue.starts_with("  1. Dev-B NORMAL, away") && queue.contains("  2. QA-A"), "{queue}");
}

#[test]
fn who_waits_gets_the_lock_of_a_killed_command_at_once() {
    let world = World::ready();
    let run = world.agent("Dev-A").spawn("cmw-lock run -- sleep 600");
    let next = world.agent("Dev-B");
    wait_until("the lock", || next.run("cmw-lock status").stdout.contains("Dev-A holds"));
    let waiting = next.spawn("cmw-lock acquire --wait 1m");
    waiting.until_it_says("waiting up to");
    let start = std::time::Instant::now();
    run.kill().ignored();
    let output = waiting.wait();
    assert_eq!(output.code, 0, "\n{output}");
    assert!(start.elapsed().as_secs() < 30, "the lease was waited for: {:?}", start.elapsed());
    assert!(next.ok("cmw-lock status").starts_with("Dev-B holds WL-0002"));
}

#[test]
fn who_waits_gets_the_lock_of_a_crashed_agent_at_once() {
    let world = World::ready();
    let holder = world.agent("Dev-A");
    holder.ok("cmw-lock acquire");
    let waiting = world.agent("Dev-B").spawn("cmw-lock acquire --wait 1m");
    waiting.until_it_says("waiting up to");
    holder.kill();
    let output = waiting.wait();
    assert_eq!(output.code, 0, "\n{output}");
}

#[test]
fn the_help_names_every_verb() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.unidentified("cmw-lock --help").ignored();
        for verb in ["acquire", "release", "renew", "status", "queue", "cancel", "handover"] {
            t.unidentified(&format!("cmw-lock {verb} --help")).ignored();
        }
        t.unidentified("cmw-lock force-release --help").ignored();
        t.unidentified("cmw-lock run --help").ignored();
        t.unidentified("cmw-lock --version").ignored();
    });
    assert_transcript("lock-help", &text);
}

#[test]
fn a_wrong_command_line_is_explained() {
    let world = World::ready();
    let text = world.transcript(|t| {
        for line in [
            "cmw-lock",
            "cmw-lock aquire",
            "cmw-lock acquire --wait soon",
            "cmw-lock acquire --estimate -5m",
            "cmw-lock acquire --loc many",
            "cmw-lock acquire --priority urgent",
            "cmw-lock acquire --file a",
            "cmw-lock acquire --files /etc/passwd",
            "cmw-lock acquire --files ''",
            "cmw-lock release --token one",
            "cmw-lock handover",
            "cmw-lock handover Nobody",
            "cmw-lock force-release",
            "cmw-lock run true",
            "cmw-lock run --",
            "cmw-lock status --repo /nonexistent",
            "cmw-lock status --as",
            "cmw-lock --json status extra",
        ] {
            t.agent("Dev-A", line).ignored();
        }
    });
    assert_transcript("lock-usage", &text);
}

#[test]
fn json_is_for_programs_and_quiet_is_quiet() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock acquire --files a --json | jq .").ignored();
        t.agent("Dev-B", "cmw-lock acquire --files b --json | jq .").ignored();
        t.agent("Dev-B", "cmw-lock status --json | jq .").ignored();
        t.agent("Dev-B", "cmw-lock release --json | jq .").ignored();
        t.agent("Dev-B", "cmw-lock release --token x --json | jq .code,.ok").ignored();
        t.agent("Dev-A", "cmw-lock release --json | jq .").ignored();
        t.note("Kept for who waited.");
        t.agent("Dev-A", "cmw-lock status --json | jq .data.offered").ignored();
        t.agent("Dev-B", "cmw-lock cancel --quiet").ignored();
        t.agent("Dev-A", "cmw-lock acquire --quiet").ignored();
        t.note("A reader that went away harms nobody.");
        t.agent("Dev-A", "{ cmw-lock status; echo $? >&2; } | head -c 0").ignored();
        t.agent("Dev-A", "{ cmw-lock status --json; echo $? >&2; } | head -c 0").ignored();
        t.agent("Dev-A", "cmw-lock status >&-").ignored();
        t.agent("Dev-A", "cmw-lock status >&- 2>&- <&-").ignored();
        t.agent("Dev-A", "cmw-lock release >/dev/full").ignored();
    });
    assert_transcript("lock-json", &text);
}

#[test]
fn there_is_one_state_for_all_work_trees_and_subdirectories() {
    let world = World::ready();
    world.git(&["worktree", "add", "-q", "-b", "agent/Dev-B/x", "../linked"]);
    std::fs::create_dir(world.at("repo/sub")).unwrap();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cd sub && cmw-lock acquire --files a").ignored();
        t.agent("Dev-B", "cd ../linked && cmw-lock status").ignored();
        t.agent("Dev-B", "cd / && cmw-lock status").ignored();
        t.agent("Dev-B", "cd / && cmw-lock status --repo $OLDPWD/sub").ignored();
        t.agent("Dev-B", "cd .git && cmw-lock status").ignored();
        t.agent("Dev-B", "mkdir gone && cd gone && rmdir ../gone && cmw-lock status").ignored();
        t.agent("Dev-B", "mkdir gone && cd gone && rmdir ../gone && cmw-lock status --repo ..").ignored();
    });
    assert_transcript("lock-places", &text);
}

#[cfg(feature = "test-clock")]
mod by_the_clock {
    use cmw::domain::util::time::WallTime;

    use super::*;

    #[test]
    fn a_lease_ends_by_itself() {
        let world = World::ready();
        let text = world.transcript(|t| {
            t.agent("Dev-A", "cmw-lock acquire --files a").ignored();
            world.pass_ms(299_000);
            t.agent("Dev-B", "cmw-lock acquire --files b").ignored();
            world.pass_ms(3_000);
            t.note("The lease is over, the grace is not.");
            t.agent("Dev-B", "cmw-lock acquire --files b").ignored();
            world.pass_ms(4_000);
            t.note("Now it is.");
            t.agent("Dev-B", "cmw-lock status").ignored();
            t.agent("Dev-B", "cmw-lock acquire --files b").ignored();
            t.agent("Dev-A", "cmw-lock release").ignored();
            t.agent("Dev-A", "cmw-lock release --token 1").ignored();
        });
        assert_transcript("lock-lease", &text);
    }

    #[test]
    fn an_estimate_makes_it_longer_and_work_renews_it() {
        let world = World::ready();
        let dev = world.agent("Dev-A");
        let left = || -> u64 {
            let json = world.unidentified().run("cmw-lock status --json | jq .data.lock.left_s").stdout;
            json.trim().parse().unwrap()
        };
        dev.ok("cmw-lock acquire --estimate 10m");
        assert!((1_190..=1_200).contains(&left()), "{}", left());
        dev.ok("cmw-lock release");
        dev.ok("cmw-lock acquire --estimate 1h");
        assert!((1_790..=1_800).contains(&left()), "30m are the longest lease: {}", left());
        dev.ok("cmw-lock release");
        dev.ok("cmw-lock acquire");
        world.pass_ms(200_000);
        assert!((90..=100).contains(&left()), "{}", left());
        dev.ok("cmw-heartbeat beat --task login");
        assert!((290..=300).contains(&left()), "a sign of work starts the lease anew: {}", left());
        let shown = "cmw-lock status --json | jq -r .data.lock.expires_at";
        let view = "jq -r .current_lock.expires_at .git/locks/write-lock.json";
        let at = |line: &str| WallTime::try_from(dev.ok(line).trim().to_owned()).unwrap();
        let granted = dev.ok("cmw-lock status --json | jq -r .data.lock.granted_at").trim().to_owned();
        let lasts_ms = at(shown).ms_since(WallTime::try_from(granted).unwrap());
        assert!((500_000..=510_000).contains(&lasts_ms), "the end that is told is the real one: {lasts_ms}");
        assert_eq!(at(view), at(shown));
        world.pass_ms(200_000);
        dev.ok("cmw-lock renew");
        assert!((290..=300).contains(&left()), "{}", left());
    }

    #[test]
    fn a_silent_waiter_loses_its_place_after_half_an_hour() {
        let world = World::ready();
        world.agent("Dev-A").ok("cmw-lock acquire --estimate 1h");
        world.agent("Dev-B").fails(75, "cmw-lock acquire").ignored();
        world.pass_ms(1_799_000);
        world.agent("Dev-A").ok("cmw-lock renew");
        assert!(world.agent("QA-A").ok("cmw-lock queue").contains("1. Dev-B"));
        world.pass_ms(2_000);
        world.agent("Dev-A").ok("cmw-lock renew");
        assert_eq!(world.agent("QA-A").ok("cmw-lock queue"), "the queue is empty\n");
    }
}
