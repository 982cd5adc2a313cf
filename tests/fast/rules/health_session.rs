//! A session that is lost with its tmux, and who comes back with it.

use cmw::domain::command::Command;
use cmw::domain::event::Event;
use cmw::domain::health::command::HealthCommand;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::health::incident::{CrashResponse, RestartState};
use cmw::domain::lock::event::LockEvent;

use super::health::{ROLES, World, asker, begin, look, program, role, session_up, system, user};
use crate::support::cast::process;

#[test]
fn a_lost_session_is_one_incident() {
    let mut world = World::new();
    world.dead.insert(process(1));
    ROLES.iter().for_each(|name| world.kill(name));
    let events = world.run(&system(), &look());
    assert!(
        matches!(&events[0], Event::Health(HealthEvent::SessionLost(lost)) if lost.roles.len() == 4),
        "{events:?}"
    );
    let with_it = |e: &Event| matches!(e, Event::Health(HealthEvent::InstanceCrashed(c)) if c.plan == CrashResponse::WithTheSession);
    assert_eq!(events.iter().filter(|e| with_it(e)).count(), 4);
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(world.state.tasks[&1].assignee, role("Dev-A"), "it comes back with its session");
    assert_eq!(world.run(&system(), &look()), []);
    let program = process(50);
    assert_eq!(world.run(&system(), &Command::Care(HealthCommand::Begin { role: None, program })).len(), 1);
    world.dead.insert(process(50));
    let events = world.run(&system(), &look());
    assert!(
        matches!(&events[..], [Event::Health(HealthEvent::RestartFailed(f))] if f.role.is_none()),
        "{events:?}"
    );
    world.run(&user(), &session_up(5));
    assert_eq!(world.state.lost, None);
}

#[test]
fn who_does_not_come_back_with_its_session_is_restarted_alone() {
    let lost = || {
        let mut world = World::new();
        world.dead.insert(process(1));
        ROLES.iter().for_each(|name| world.kill(name));
        world.run(&system(), &look());
        world.run(&system(), &Command::Care(HealthCommand::Begin { role: None, program: process(50) }));
        let refused = world.run(&system(), &session_up(5));
        assert!(
            matches!(&refused[..], [Event::Lock(LockEvent::LockRefused { .. })]),
            "only who has begun brings it back"
        );
        world.run(&program(), &session_up(5));
        world
    };
    let due = |world: &World, name: &str| matches!(world.instance(name).restart, Some(RestartState::Due(_)));
    // Its program registers one, starts another, which dies, and ends before the others.
    let mut world = lost();
    world.run(&system(), &Command::Launch(vec![(role("Dev-A"), process(60), "%12".to_owned())]));
    world.run(&asker("Dev-A", 60), &Command::Register);
    assert_eq!(world.instance("Dev-A").restart, None, "it is back");
    world.run(&system(), &Command::Launch(vec![(role("Dev-B"), process(61), "%13".to_owned())]));
    world.dead.insert(process(61));
    let events = world.run(&system(), &look());
    let failed = |e: &Event, name: &str| matches!(e, Event::Health(HealthEvent::RestartFailed(f)) if f.role == Some(role(name)));
    assert!(matches!(&events[..], [e] if failed(e, "Dev-B")) && due(&world, "Dev-B"), "{events:?}");
    world.dead.insert(process(50));
    let events = world.run(&system(), &look());
    let others = failed(&events[0], "Librarian") && failed(&events[1], "Orchestrator");
    assert!(events.len() == 2 && others && due(&world, "Librarian"), "{events:?}");
    // It ends well, and one has said nothing.
    let mut world = lost();
    for (name, pid) in [("Orchestrator", 61), ("Librarian", 62), ("Dev-B", 63), ("Dev-A", 64)] {
        let it = (role(name), process(pid), format!("%{pid}"));
        world.run(&program(), &Command::Launch(vec![it]));
        (name != "Dev-A").then(|| world.run(&asker(name, pid), &Command::Register));
    }
    let end = Command::Care(HealthCommand::End { role: None, failure: None });
    assert_eq!(world.run(&system(), &end), [], "another program's end says nothing");
    let events = world.run(&program(), &end);
    assert!(matches!(&events[..], [e] if failed(e, "Dev-A")) && due(&world, "Dev-A"), "{events:?}");
    assert_eq!(world.run(&system(), &begin("Dev-A", 51)).len(), 1);
}

#[test]
fn without_a_session_no_role_is_restarted_alone() {
    let mut world = World::new();
    world.kill("Dev-A");
    world.run(&system(), &look());
    ROLES.iter().for_each(|name| world.kill(name));
    world.dead.insert(process(1));
    world.run(&system(), &look());
    world.ms += 15_000;
    assert_eq!(world.run(&system(), &begin("Dev-A", 50)), [], "it would fail, and count");
    world.run(&user(), &session_up(5));
    let events = world.run(&system(), &begin("Dev-A", 50));
    assert!(
        matches!(&events[..], [Event::Health(HealthEvent::RestartBegun(begun))] if begun.attempt == 1),
        "{events:?}"
    );
}
