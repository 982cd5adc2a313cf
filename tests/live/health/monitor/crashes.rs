//! Tests of the consequences of a crash: each once, and in order.

use std::time::{Duration, Instant};

use cmw::adapters::os::process;
use cmw::domain::event::Event;
use cmw::domain::freeze::freeze_state::FreezeState;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::health::incident::ProcessEnd;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::lock::release::Release;
use cmw::domain::rescue::event::RescueEvent;
use cmw::domain::session::instance::InstancePhase;

use super::{IDLE, crashes, kill, monitor, named, of_kind, records, role};
use crate::support::session::{World, wait_for};

/// From the moment a role is killed until its crash is recorded.
fn noticed(world: &World, name: &str) -> Duration {
    let process = world.instance(name).process;
    let known = crashes(world).len();
    let began = Instant::now();
    kill(&process);
    wait_for("the crash to be noticed", || crashes(world).len() > known);
    began.elapsed()
}

#[test]
fn a_killed_one_is_noticed_within_a_second() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    let pane = world.instance("Dev-A").pane_id;
    let took = noticed(&world, "Dev-A");
    // It takes some tenths of a second; who waited for the next look would need up to thirty seconds.
    assert!(took < Duration::from_secs(10), "{took:?}");
    wait_for("it to be back", || !named(&world, "INSTANCE_RESTARTED").is_empty());
    let back = world.instance("Dev-A");
    assert!(
        back.phase == InstancePhase::Ready && process::is_alive(&back.process),
        "what_is_recorded_is_what_came_of_it"
    );
    assert_eq!(back.pane_id, pane, "it_comes_back_in_its_pane");
    assert_eq!(back.restart, None);
    // Once, and to those who watch.
    assert_eq!(crashes(&world), [role("Dev-A")]);
    for mailbox in ["User", "Librarian"] {
        let told = of_kind(&world, mailbox, "INSTANCE_CRASHED");
        assert!(told.len() == 1 && told[0].starts_with("Dev-A crashed"), "{mailbox}: {told:?}");
    }
    let Event::Health(HealthEvent::RestartBegun(begun)) = &named(&world, "RESTART_BEGUN")[0].event else {
        panic!()
    };
    assert_eq!(begun.attempt, 1);
    let check = world.tool("cmw-health", &["check", "Dev-A"]).ok();
    assert!(check.out.starts_with("Dev-A is "), "{}", check.out);
}

/// tmux is asked no longer than a moment, and as Debian builds it misses some ends.
#[test]
fn how_one_ended_is_known_from_tmux() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    let told = ["Dev-A", "Dev-B", "Librarian", "Orchestrator"].iter().zip(1..).any(|(name, nth)| {
        kill(&world.instance(name).process);
        wait_for("it to be restarted", || named(&world, "RESTART_BEGUN").len() == nth);
        let Event::Health(HealthEvent::RestartBegun(begun)) = &named(&world, "RESTART_BEGUN")[nth - 1].event
        else {
            panic!()
        };
        assert!([None, Some(ProcessEnd::Signal(9))].contains(&begun.how), "{begun:?}");
        begun.how.is_some()
    });
    assert!(told, "of four ends it told none");
}

#[test]
fn the_lock_goes_on_within_a_second_when_its_holder_crashes() {
    let world = World::new(12);
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    // The first one has the lock, a command of each other one waits for it.
    let writers: Vec<String> = (world.state().policy.roster.members().iter())
        .filter(|m| !m.kind.is_librarian())
        .map(|m| m.role.to_string())
        .collect();
    let ask = |name: &str, wait: &str| {
        // As a command below the pane's process would: from here none can be started there.
        let asker = cmw::domain::command::Caller {
            actor: cmw::domain::identity::actor::Actor::Role(role(name)),
            process: world.instance(name).process,
        };
        let request = request(name);
        let caller = (wait != "none").then(process::current);
        let command = cmw::domain::command::Command::Acquire { request, caller, stand_in: None };
        transact(&world, &asker, &command);
    };
    ask(&writers[0], "none");
    std::fs::write(world.repo.join("work.txt"), "not committed\n").unwrap();
    for name in &writers[1..] {
        ask(name, "waits");
    }
    let state = world.state();
    assert_eq!(state.held().map(|held| held.holder.to_string()), Some(writers[0].clone()));
    assert_eq!(state.queue.len(), writers.len() - 1);
    let began = Instant::now();
    kill(&world.instance(&writers[0]).process);
    wait_for("the next one to have it", || {
        world.state().held().is_some_and(|held| held.holder.to_string() == writers[1])
    });
    let took = began.elapsed();
    let all = records(&world);
    let at = |wanted: &dyn Fn(&Event) -> bool| all.iter().position(|r| wanted(&r.event)).unwrap();
    let crashed = at(&|e| matches!(e, Event::Health(HealthEvent::InstanceCrashed(_))));
    let released =
        at(&|e| matches!(e, Event::Lock(LockEvent::LockReleased { reason: Release::HolderDied, .. })));
    let saved = at(&|e| matches!(e, Event::Rescue(RescueEvent::WorkRescued { reference: Some(_), .. })));
    let granted = at(
        &|e| matches!(e, Event::Lock(LockEvent::LockGranted { holder, .. }) if holder.to_string() == writers[1]),
    );
    assert!(crashed < released && released < saved && saved < granted, "recorded, taken, saved, granted");
    let since = all[granted].at.ms_since(all[crashed].at);
    // Alone on a machine it takes about 200 ms, most of it git, which saves the work; tests run side by side.
    assert!(since < 10_000, "{since} ms after it was noticed, {took:?} after it died");
    let Event::Health(HealthEvent::InstanceCrashed(crash)) = &all[crashed].event else { panic!() };
    assert_eq!(crash.impact.lock.as_deref(), Some("WL-0001"));
    assert!(of_kind(&world, "User", "INSTANCE_CRASHED")[0].contains("it held the write lock"));
}

fn request(name: &str) -> cmw::domain::lock::request::LockRequest {
    cmw::domain::lock::request::LockRequest {
        files: cmw::domain::lock::claim::Claim::All,
        purpose: format!("{name} works"),
        estimate_ms: None,
        loc: None,
        priority: cmw::domain::mail::priority::Priority::Normal,
        work_tree: None,
        guessed: false,
    }
}

fn transact(world: &World, asker: &cmw::domain::command::Caller, command: &cmw::domain::command::Command) {
    let store = world.store();
    let facts = |state: &cmw::domain::state::State| {
        let mut facts = cmw::app::workspace::facts(&store, state);
        facts.saver = Some(process::current());
        facts
    };
    let done = store
        .transact(
            asker,
            command,
            cmw::store::TransactionEnv { facts: &facts, random: &cmw::adapters::os::random::bits },
        )
        .unwrap();
    done.outcome.unwrap();
}

#[test]
fn two_at_once_and_those_of_whom_there_is_one() {
    let world = World::new(12);
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    for name in ["Orchestrator", "Librarian", "Docs"] {
        kill(&world.instance(name).process);
    }
    wait_for("all three to be back", || named(&world, "INSTANCE_RESTARTED").len() == 3);
    let mut crashed = crashes(&world);
    crashed.sort();
    assert_eq!(crashed, [role("Docs"), role("Librarian"), role("Orchestrator")]);
    let told = of_kind(&world, "User", "INSTANCE_CRASHED");
    assert_eq!(told.len(), 3, "{told:?}");
    for (name, words) in [("Docs", "no other docs runs"), ("Orchestrator", "no other orchestrator runs")] {
        assert!(told.iter().any(|s| s.starts_with(name) && s.contains(words)), "{told:?}");
    }
    assert!(of_kind(&world, "Librarian", "INSTANCE_CRASHED").len() >= 2, "not of itself");
    assert_eq!(world.ready(), 12);
    // And now all roles but one in one stroke.
    let all = world.processes();
    for (_, process) in all.iter().filter(|(name, _)| name.as_str() != "QA-B") {
        kill(process);
    }
    wait_for("all to be back", || named(&world, "INSTANCE_RESTARTED").len() == 3 + 11);
    assert_eq!(crashes(&world).len(), 3 + 11, "each once");
    assert_eq!(world.ready(), 12);
}

#[test]
fn a_crash_during_a_freeze_is_looked_after_and_stays_frozen() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    let librarian = cmw::domain::command::Caller {
        actor: cmw::domain::identity::actor::Actor::Role(role("Librarian")),
        process: world.instance("Librarian").process,
    };
    let freeze = cmw::domain::command::Command::Freeze { reason: "looking".to_owned(), pins: None };
    transact(&world, &librarian, &freeze);
    kill(&world.instance("Dev-A").process);
    wait_for("it to be back", || !named(&world, "INSTANCE_RESTARTED").is_empty());
    assert!(matches!(world.state().system, FreezeState::Frozen { .. }));
    assert_eq!(of_kind(&world, "User", "INSTANCE_CRASHED").len(), 1, "that passes a freeze");
}

#[test]
fn a_closed_pane_is_opened_again() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    monitor(&world);
    let pane = world.instance("Dev-A").pane_id.unwrap();
    assert_eq!(world.tmux(&["kill-pane", "-t", &pane]).code, 0);
    wait_for("it to be back", || !named(&world, "INSTANCE_RESTARTED").is_empty());
    let back = world.instance("Dev-A");
    assert!(back.pane_id.as_ref() != Some(&pane) && process::is_alive(&back.process));
    assert_eq!(crashes(&world).len(), 1);
    assert_eq!(
        world.tmux(&["list-panes", "-s", "-t", "=claude-multi:"]).out.lines().count(),
        5,
        "with the monitor's"
    );
}

#[test]
fn a_restart_that_fails_three_times_is_given_up_and_its_work_goes_on() {
    let world = World::new(12);
    // It runs once; afterwards it ends with 3 at once.
    let once = "exec 9>\"$0.$CLAUDE_ROLE\"; [ \"$CLAUDE_ROLE\" = Dev-A ] && [ -s \"$0.began\" ] && exit 3; \
                [ \"$CLAUDE_ROLE\" = Dev-A ] && echo x >\"$0.began\"; exec cmw-demo-agent --rounds 0";
    let program = world.program("agent", once);
    world.up_watched(&["--agent", program.to_str().unwrap()]).ok();
    monitor(&world);
    let work = |to: &str, reviewer: &[&str]| {
        let asker = cmw::domain::command::Caller {
            actor: cmw::domain::identity::actor::Actor::Role(role("Orchestrator")),
            process: world.instance("Orchestrator").process,
        };
        let assign = cmw::domain::work::command::WorkCommand::Assign {
            to: cmw::domain::work::command::AssignTo::Role(role(to)),
            title: "a thing".to_owned(),
            body: None,
            priority: cmw::domain::mail::priority::Priority::Normal,
            after: Vec::new(),
            reviewers: reviewer.iter().map(|name| role(name)).collect(),
        };
        transact(&world, &asker, &cmw::domain::command::Command::Work(assign));
    };
    work("Dev-A", &[]);
    work("Dev-A", &["Dev-B"]);
    kill(&world.instance("Dev-A").process);
    let failed = || named(&world, "RESTART_FAILED");
    // After ten seconds it is tried again, and after a minute.
    for (tried, seconds) in [(1, 10), (2, 60)] {
        wait_for("an attempt that fails", || failed().len() == tried);
        world.pass(Duration::from_secs(seconds));
    }
    wait_for("the last attempt to fail", || failed().len() == 3);
    let failed = failed();
    let attempts: Vec<_> = failed
        .iter()
        .map(|record| match &record.event {
            Event::Health(HealthEvent::RestartFailed(failed)) => (failed.attempt, failed.again.is_some()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(attempts, [(1, true), (2, true), (3, false)]);
    let apart = failed[2].at.ms_since(failed[0].at);
    assert!(apart > 69_000, "{apart} ms from the first to the third");
    assert_eq!(crashes(&world).len(), 1, "one incident, however often it is tried");
    let tasks = world.state().tasks;
    assert_eq!(tasks[&1].assignee, role("Dev-B"));
    assert!(tasks[&2].assignee == role("Dev-A") && tasks[&2].blocked.is_some());
    assert_eq!(of_kind(&world, "Dev-B", "WORK_REASSIGNMENT").len(), 1);
    assert_eq!(of_kind(&world, "User", "WORK_BLOCKED").len(), 1);
    let told = of_kind(&world, "User", "INSTANCE_CRASHED");
    assert!(told.last().unwrap().contains("could not be restarted"), "{told:?}");
    let table = world.tool("cmw-health", &[]).ok().out;
    assert!(table.contains("CRASHED"), "{table}");
    assert_eq!(world.tool("cmw-health", &["check", "Dev-A"]).code, 1);
    // The person mends it, and starts it by hand.
    std::fs::remove_file(world.dir.path().join("agent.began")).unwrap();
    world.tool("cmw-health", &["restart", "Dev-A"]).ok();
    assert!(world.state().tasks[&2].blocked.is_none());
    assert!(world.tool("cmw-health", &["check", "Dev-A"]).ok().out.starts_with("Dev-A is "));
}
