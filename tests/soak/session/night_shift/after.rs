//! Checks after a night: nothing lost, no role stuck, every incident recorded once, every lock legal, nothing
//! left running.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cmw::adapters::os::clock;
use cmw::domain::audit::record::Record;
use cmw::domain::session::instance::{InstancePhase, Session};
use cmw::domain::state::State;
use cmw::store::audit::log;
use cmw::store::mail::registry::Registry;

use super::below;
use super::incidents::{self, Incidents};
use super::legal::{self, Lock};
use super::night::Night;
use crate::support::session::World;
use crate::support::session::wait_for;
use crate::support::whole::{no_commit_holds_the_file_of_another, nothing_that_was_saved_is_missing};

/// How long all roles may need to be back when nothing goes wrong any more: the longest back-off is a minute,
/// a registration is waited for as long, and a program that hangs is left alone for two, or for three when it
/// brings the session back.
const BACK_S: u64 = 240;
/// Within that time each works or answers once more.
const ONCE_MORE_S: u64 = 60;
/// The longest time without a monitor: a beat looks every 15 s, and on a busy machine late.
const AWAY_S_MAX: u64 = 60;
/// Those who write nothing.
const READERS: [&str; 2] = ["Orchestrator", "Librarian"];

/// All of it, when the chaos is over; ends the session.
pub(crate) fn check(night: &mut Night) {
    night.wake_all();
    every_role_is_back(night);
    no_role_is_stuck(night);
    every_child_process_is_reaped(&night.world);
    assert!(night.away_longest() < Duration::from_secs(AWAY_S_MAX), "{:?}", night.away_longest());
    assert_eq!(night.odd, Vec::<String>::new());
    night.world.session(&["down"]).ok();
    wait_for("all to end", || night.world.living().is_empty());
    night.look(&night.world.state());
    let world = &night.world;
    assert_eq!(world.git(&["fsck", "--strict", "--no-dangling"]), "", "every commit is whole");
    let commits = no_commit_holds_the_file_of_another(world);
    let records = records(world);
    let rescued = nothing_that_was_saved_is_missing(world, &records);
    no_line_is_lost(world);
    no_message_is_lost(night);
    every_lock_is_legal(&records, &world.state());
    let incidents = incidents::replay(&records, &night.killed).unwrap_or_else(|broken| panic!("{broken}"));
    the_person_is_told_once(world, &incidents);
    world.tool("cmw-audit", &["verify"]).ok();
    eprintln!("{}", night.figures());
    eprintln!(
        "night: {commits} commits, {rescued} rescues, {} messages sent by the chaos; {incidents}; seed {}",
        night.sent.len(),
        night.seed
    );
    assert!(commits > 12, "they worked: {commits}");
}

fn every_role_is_back(night: &mut Night) {
    let began = Instant::now();
    loop {
        let state = night.world.state();
        night.look(&state);
        if Night::well(&state) == 12 && state.lost.is_none() && night.monitor().is_some() {
            return;
        }
        night.start_roles_without_a_process(&state);
        let how = || format!("{}\n{:?}", night.world.tool("cmw-health", &[]).out, state.instances);
        assert!(began.elapsed() < Duration::from_secs(BACK_S), "not all roles are back:\n{}", how());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Each writer commits once more, and every role answers.
fn no_role_is_stuck(night: &mut Night) {
    let before = night.commits();
    let began = Instant::now();
    let roles: Vec<String> = night.world.state().instances.keys().map(ToString::to_string).collect();
    let ask = |role: &String| {
        let said = night.world.tool("cmw-send", &[role, "--ack", "--subject", "morning", "x"]).ok();
        (role.clone(), said.out.trim().to_owned())
    };
    let asked: Vec<(String, String)> = roles.iter().map(ask).collect();
    night.sent.extend(asked.iter().map(|(_, id)| id.clone()));
    loop {
        night.look(&night.world.state());
        let now = night.commits();
        let worked =
            |role: &str| now.get(role).copied().unwrap_or(0) > before.get(role).copied().unwrap_or(0);
        let world = &night.world;
        let stuck = |(role, id): &&(String, String)| {
            let writes = !READERS.contains(&role.as_str());
            (writes && !worked(role)) || !is_acknowledged(world, role, id)
        };
        let stuck: Vec<&String> = asked.iter().filter(stuck).map(|(role, _)| role).collect();
        let Some(first) = stuck.first() else { return };
        let late = began.elapsed() > Duration::from_secs(ONCE_MORE_S);
        let table = || world.tool("cmw-health", &[]).out;
        assert!(!late, "{stuck:?} are stuck:\n{}\n{}", table(), world.shown(first));
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn is_acknowledged(world: &World, role: &str, id: &str) -> bool {
    let receipts = world.repo.join(format!(".git/cmw/receipts/{role}.jsonl"));
    let receipts = std::fs::read_to_string(receipts).unwrap_or_default();
    receipts.lines().any(|line| line.contains(id) && line.contains("acknowledged"))
}

fn every_child_process_is_reaped(world: &World) {
    let first: BTreeSet<_> = below::unburied(&below::all(world)).into_iter().collect();
    std::thread::sleep(Duration::from_secs(3));
    let still: Vec<_> =
        below::unburied(&below::all(world)).into_iter().filter(|it| first.contains(it)).collect();
    assert_eq!(still, Vec::<String>::new(), "dead, and not waited for");
}

fn records(world: &World) -> Vec<Record> {
    let store = world.store();
    let records = log::read_all(store.disk()).unwrap();
    log::head(&records).unwrap_or_else(|broken| panic!("{broken}"));
    records
}

/// Each line of each file is in the last commit, or in the work tree, where it is never removed. That none
/// vanished meanwhile was looked at all night.
fn no_line_is_lost(world: &World) {
    let files = world.git(&["ls-tree", "-r", "--name-only", "main", "demo/"]);
    for file in files.lines() {
        let committed = world.git(&["show", &format!("main:{file}")]);
        let there = std::fs::read_to_string(world.repo.join(file)).unwrap();
        assert!(there.starts_with(&committed), "{file}:\n{committed}\n---\n{there}");
    }
}

/// Whatever was acknowledged as sent is in the registry, and was acknowledged, or waits to be read.
fn no_message_is_lost(night: &Night) {
    let store = night.world.store();
    let registry = Registry::new(store.disk(), clock::boot_id());
    registry.verify().unwrap();
    let mut known = BTreeSet::new();
    let mut add = |record: &cmw::store::mail::registry::StoredMessage| {
        known.insert(record.envelope.id.to_string());
        Ok(ControlFlow::Continue(()))
    };
    registry.scan(1, &mut add).unwrap();
    for id in &night.sent {
        assert!(known.contains(id), "{id} was acknowledged as sent, and is nowhere");
    }
    let mut told = String::new();
    for role in night.world.state().instances.keys() {
        let receipts = night.world.repo.join(format!(".git/cmw/receipts/{role}.jsonl"));
        told += &std::fs::read_to_string(receipts).unwrap_or_default();
        told += &night.world.tool_as(role.as_str(), "cmw-inbox", &["list", "--all", "--json"]).ok().out;
    }
    for id in &night.sent {
        assert!(told.contains(id), "{id} is in no mailbox and was never read");
    }
}

fn every_lock_is_legal(records: &[Record], state: &State) {
    let replayed = legal::replay(records).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(replayed.lock, Lock::Free, "no role keeps it");
    assert!(state.held().is_none() && state.queue.is_empty(), "{:?} {:?}", state.lock, state.queue);
    assert!(replayed.grants > 12);
    assert_eq!(state.session, Session::Down);
    assert!(state.instances.values().all(|i| i.phase == InstancePhase::Shutdown), "{:?}", state.instances);
}

fn the_person_is_told_once(world: &World, incidents: &Incidents) {
    let store = world.store();
    let registry = Registry::new(store.disk(), clock::boot_id());
    let (mut crashes, mut sessions) = (0, 0);
    let mut count = |record: &cmw::store::mail::registry::StoredMessage| {
        let it = &record.envelope;
        let to_the_person = it.recipients.iter().any(|to| to.to_string() == "User");
        crashes += usize::from(to_the_person && it.kind.to_string() == "INSTANCE_CRASHED");
        sessions += usize::from(to_the_person && it.kind.to_string() == "SESSION_LOST");
        Ok(ControlFlow::Continue(()))
    };
    registry.scan(1, &mut count).unwrap();
    assert_eq!(crashes, incidents.alone + incidents.told_failed, "each crash once: {incidents}");
    assert_eq!(sessions, incidents.sessions, "each lost session once");
}
