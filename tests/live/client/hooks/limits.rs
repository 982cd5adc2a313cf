//! Tests of the events that stop a client, and of whether its end is a crash.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use cmw::adapters::os::{clock, process};
use cmw::domain::audit::record::Record;
use cmw::domain::command::{Caller, Command};
use cmw::domain::event::Event;
use cmw::domain::facts::Facts;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::health::incident::STAGGER_MS;
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::role::Role;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::lock::release::Release;
use cmw::domain::session::instance::{Instance, InstancePhase};
use cmw::domain::session::process::Process;
use cmw::domain::state::State;
use cmw::domain::util::time::WallTime;
use cmw::store::audit::reader::AuditReader;
use cmw::store::disk::RealDisk;
use cmw::store::{self, Store};
use serde_json::{Value, json};

use super::{Client, Said};
use crate::support::agent::wait_until;
use crate::support::{Agent, World};

const HOUR_MS: i64 = 3_600_000;

fn store(world: &World) -> Store<RealDisk> {
    Store::new(RealDisk::open(&world.at("repo/.git")).unwrap())
}

fn instance(world: &World, role: &str) -> Instance {
    let state = store(world).document().unwrap().state;
    state.instances.get(&Role::parse(role).unwrap()).cloned().unwrap()
}

fn phase(world: &World, role: &str) -> InstancePhase {
    instance(world, role).phase
}

/// The last records, newest first.
fn records(world: &World) -> Vec<Record> {
    let store = store(world);
    let mut trail = AuditReader::open(store.disk()).unwrap();
    std::iter::from_fn(|| trail.previous()).collect()
}

/// The subjects of the messages of this kind in a mailbox.
fn got(who: &Agent, kind: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(&who.ok("cmw-inbox list --all --json")).unwrap();
    let subject = |message: &Value| message["subject"].as_str().unwrap().to_owned();
    list["data"].as_array().unwrap().iter().filter(|m| m["type"] == kind).map(subject).collect()
}

/// A registered role whose client has begun.
fn registered<'w>(world: &'w World, role: &'static str) -> Client<'w> {
    world.agent(role).ok("cmw-heartbeat register");
    Client::begun(world, role)
}

fn in_an_hour() -> WallTime {
    WallTime(clock::now().wall.0 + HOUR_MS)
}

/// A turn that a limit stops.
fn limited(client: &Client<'_>, until: Option<WallTime>) -> Said {
    let words = until.map_or_else(|| "try later".to_owned(), |until| format!("limit; resets at {until}"));
    client.event("StopFailure", json!({"error": "rate_limit", "last_assistant_message": words}))
}

#[test]
fn whom_a_limit_stops_keeps_no_lock_and_its_work_is_saved() {
    let world = World::ready();
    let client = registered(&world, "Dev-A");
    world.agent("Dev-A").ok("cmw-lock acquire --files a && echo half >>a");
    let until = in_an_hour();
    limited(&client, Some(until)).nothing();
    let parked = instance(&world, "Dev-A").parked.expect("it is parked");
    assert!(parked.until_at.0.abs_diff(until.0) < 5_000, "{} is not {until}", parked.until_at);
    assert_eq!(phase(&world, "Dev-A"), InstancePhase::Ready, "it lives");
    let released = |record: &Record| {
        matches!(&record.event, Event::Lock(LockEvent::LockReleased { reason: Release::Parked, .. }))
    };
    assert!(records(&world).iter().any(released), "{:?}", records(&world));
    world.agent("Dev-B").ok("cmw-lock acquire --files b");
    let saved = world.git(&["for-each-ref", "--format=%(refname)", "refs/cmw/rescue/Dev-A"]);
    assert_eq!(world.git(&["show", &format!("{saved}:a")]), "first\nhalf");
    for who in [world.person(), world.agent("Librarian")] {
        let told = got(&who, "INSTANCE_PARKED");
        assert!(matches!(told.as_slice(), [one] if one.contains("Dev-A")), "{told:?}");
    }
    // The same again says nothing new; a prompt goes on at once.
    limited(&client, None).nothing();
    assert_eq!(instance(&world, "Dev-A").parked, Some(parked));
    client.event("UserPromptSubmit", json!({"prompt": "go on"}));
    assert_eq!(instance(&world, "Dev-A").parked, None);
    assert_eq!(got(&world.person(), "INSTANCE_PARKED").len(), 1);
}

#[test]
fn another_fault_parks_no_role() {
    let world = World::ready();
    let client = registered(&world, "Dev-A");
    world.agent("Dev-A").ok("cmw-lock acquire --files a");
    client.event("StopFailure", json!({"error": "overloaded", "error_details": "x"})).nothing();
    assert_eq!(instance(&world, "Dev-A").parked, None);
    assert!(world.unidentified().run("cmw-lock status").stdout.starts_with("Dev-A holds"));
}

#[test]
fn those_with_the_same_end_are_woken_one_after_the_other() {
    let world = World::ready();
    let roles = ["Dev-A", "Dev-B", "QA-A"];
    let clients: Vec<Client<'_>> = roles.iter().map(|role| registered(&world, role)).collect();
    let until = in_an_hour();
    for client in &clients {
        limited(client, Some(until)).nothing();
    }
    let ends: Vec<u64> = roles.iter().map(|role| instance(&world, role).parked.unwrap().until.ms).collect();
    for two in ends.windows(2) {
        // The limit is told to the second, and some time passes between the hooks.
        assert!(two[1].abs_diff(two[0] + STAGGER_MS) < 5_000, "{ends:?}");
    }
    // The clock is where the first one may go on, and the last one may not yet.
    let wake = |client: &Client<'_>, ms: i64| {
        client.ahead_ms.set(HOUR_MS + ms);
        client.begin("wait", json!({}))
    };
    let first = Said::of(wake(&clients[0], 6_000));
    assert!(first.code == 2 && first.err.contains("the limit that stopped your turn"), "{first:?}");
    let mut last = wake(&clients[2], 6_000);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(last.try_wait().unwrap(), None, "it sleeps until its own end");
    let later = Said::of(wake(&clients[2], 2 * 20_000 + 6_000));
    assert_eq!(later.code, 2, "{later:?}");
    wait_until("the older waiter to end", || last.try_wait().unwrap().is_some());
}

/// A session whose server is this very process, with a pane for a role: the role's shell.
fn in_a_pane(world: &World, role: &str) -> Agent {
    let agent = world.agent(role);
    let store = store(world);
    let facts = |_: &State| Facts {
        now: clock::now(),
        dead: BTreeSet::new(),
        active: Default::default(),
        saver: None,
        endings: Default::default(),
    };
    let role = Role::parse(role).unwrap();
    let process = process::identify(agent.pid()).unwrap();
    let random = Cell::new(0);
    let next = || {
        random.set(random.get() + 1);
        random.get()
    };
    let ask = |actor: Actor, process: Process, command: &Command| {
        let clocks = store::TransactionEnv { facts: &facts, random: &next };
        store.transact(&Caller { actor, process }, command, clocks).unwrap().outcome.unwrap();
    };
    let me = process::current();
    let up = Command::SessionUp { name: "s".into(), socket: None, server: me.clone(), agent: None };
    ask(Actor::User, me.clone(), &up);
    ask(Actor::User, me, &Command::Launch(vec![(role.clone(), process.clone(), "%7".to_owned())]));
    ask(Actor::Role(role), process, &Command::Register);
    agent
}

/// Hooks of one client, in order: the shell that runs the line is the client.
fn hooks(events: &[(&str, Value)]) -> String {
    let hook = |(event, more): &(&str, Value)| {
        let mut input = json!({"session_id": "s"});
        more.as_object().unwrap().iter().for_each(|(name, value)| input[name] = value.clone());
        format!("echo '{input}' | cmw-hook claude {event}\n")
    };
    events.iter().map(hook).collect()
}

/// How a client ends that says this as its reason; and how often a crash is told.
fn ended_with(reason: &str) -> (InstancePhase, InstancePhase, usize) {
    let world = World::ready();
    let dev = in_a_pane(&world, "Dev-A");
    dev.ok(&hooks(&[
        ("SessionStart", json!({"source": "startup"})),
        ("SessionEnd", json!({"reason": reason})),
    ]));
    let said = phase(&world, "Dev-A");
    dev.kill();
    // The next publish finds that the process is gone.
    world.person().ok("cmw-work assign Dev-B look");
    let crashes = records(&world)
        .iter()
        .filter(|r| matches!(r.event, Event::Health(HealthEvent::InstanceCrashed(_))))
        .count();
    (said, phase(&world, "Dev-A"), crashes)
}

#[test]
fn whose_person_leaves_it_did_not_crash() {
    for reason in ["prompt_input_exit", "logout"] {
        assert_eq!(ended_with(reason), (InstancePhase::Stopping, InstancePhase::Shutdown, 0), "{reason}");
    }
}

#[test]
fn any_other_end_is_a_crash() {
    for reason in ["other", "clear"] {
        assert_eq!(ended_with(reason), (InstancePhase::Ready, InstancePhase::Crashed, 1), "{reason}");
    }
}

#[test]
fn who_wanted_to_leave_and_did_not_is_there_again() {
    let world = World::ready();
    let dev = in_a_pane(&world, "Dev-A");
    let start = || ("SessionStart", json!({"source": "startup"}));
    dev.ok(&hooks(&[start(), ("SessionEnd", json!({"reason": "logout"})), start()]));
    assert_eq!(phase(&world, "Dev-A"), InstancePhase::Ready);
    dev.kill();
    world.person().ok("cmw-work assign Dev-B look");
    assert_eq!(phase(&world, "Dev-A"), InstancePhase::Crashed);
}
