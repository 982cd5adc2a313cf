//! Usage limits and stale instances: what they take, and in which order instances go on.

use cmw::domain::command::Command;
use cmw::domain::event::Event;
use cmw::domain::health::command::HealthCommand;
use cmw::domain::health::incident::STAGGER_MS;
use cmw::domain::identity::role::RoleKind;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::lock::release::Release;
use cmw::domain::lock::write_lock::WriteLock;
use cmw::domain::mail::priority::Priority;
use cmw::domain::util::time::WallTime;
use cmw::domain::work::command::{AssignTo, WorkCommand};

use crate::support::cast::{process, request, saver};

use super::health::{World, asker, role, system, user};

#[test]
fn a_limit_takes_the_lock_and_wakes_one_after_the_other() {
    let mut world = World::new();
    world.run(
        &asker("Dev-A", 12),
        &Command::Acquire { request: request(Priority::Normal), caller: None, stand_in: None },
    );
    let until = Some(WallTime(1_600_000));
    let park = |name: &str| Command::Care(HealthCommand::Park { role: role(name), until });
    let events = world.run(&asker("Dev-A", 12), &park("Dev-A"));
    let released =
        |e: &Event| matches!(e, Event::Lock(LockEvent::LockReleased { reason: Release::Parked, .. }));
    assert!(events.iter().any(released), "{events:?}");
    assert!(matches!(world.state.lock, WriteLock::Recovering(_)), "what it left is saved first");
    world.run(&asker("Dev-B", 13), &park("Dev-B"));
    world.run(&asker("Orchestrator", 10), &park("Orchestrator"));
    let ends: Vec<u64> = ["Dev-A", "Dev-B", "Orchestrator"]
        .map(|name| world.instance(name).parked.as_ref().unwrap().until.ms)
        .into();
    assert_eq!(ends, [1_600_000, 1_600_000 + STAGGER_MS, 1_600_000 + 2 * STAGGER_MS]);
    world.run(&asker("Dev-A", 12), &Command::Care(HealthCommand::Unpark(role("Dev-A"))));
    assert!(world.instance("Dev-A").parked.is_none());
    assert_eq!(saver(), process(99));
}

#[test]
fn who_is_stale_is_told_once_and_takes_nothing_over() {
    let mut world = World::new();
    let seen = |stale: &[&str], well: &[&str]| {
        Command::Care(HealthCommand::Seen {
            stale: stale.iter().map(|name| (role(name), "silent".to_owned())).collect(),
            well: well.iter().map(|name| role(name)).collect(),
        })
    };
    assert_eq!(world.run(&system(), &seen(&["Dev-B"], &[])).len(), 1);
    assert_eq!(world.run(&system(), &seen(&["Dev-B"], &[])), [], "once");
    let (to, title) = (AssignTo::Kind(RoleKind::parse("dev").unwrap()), "u".to_owned());
    let any = WorkCommand::Assign {
        to,
        title,
        body: None,
        priority: Priority::Normal,
        after: vec![],
        reviewers: vec![],
    };
    world.run(&user(), &Command::Work(any));
    assert_eq!(world.state.tasks[&2].assignee, role("Dev-A"), "though it has more to do");
    assert_eq!(world.run(&system(), &seen(&[], &["Dev-B", "Dev-A"])).len(), 1);
}
