//! Crashes, restarts and handing over, over many histories: breadth-first at first, then at random and longer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cmw::domain::command::{Caller, Command};
use cmw::domain::decide::decide;
use cmw::domain::event::Event;
use cmw::domain::evolve::evolve;
use cmw::domain::facts::Facts;
use cmw::domain::health::command::HealthCommand;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::health::incident::{ATTEMPTS_MAX, CrashResponse, WINDOW_MS};
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::role::Role;
use cmw::domain::identity::roster::Roster;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::lock::release::Release;
use cmw::domain::lock::write_lock::WriteLock;
use cmw::domain::mail::priority::Priority;
use cmw::domain::policy::compiled::Policy;
use cmw::domain::session::event::SessionEvent;
use cmw::domain::session::instance::{InstancePhase, Session};
use cmw::domain::session::process::Process;
use cmw::domain::state::State;
use cmw::domain::util::time::WallTime;
use cmw::domain::work::command::{AssignTo, WorkCommand};
use cmw::domain::work::event::WorkEvent;

use crate::support::cast::{facts, process, request};

pub(super) const ROLES: [&str; 4] = ["Orchestrator", "Librarian", "Dev-A", "Dev-B"];

pub(super) fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

/// A world with its history, as far as the checks need it.
#[derive(Clone)]
pub(super) struct World {
    pub(super) state: State,
    pub(super) ms: u64,
    pub(super) dead: BTreeSet<Process>,
    /// Processes of which a crash is recorded.
    crashed: BTreeSet<Process>,
    /// When restarts of Dev-A were begun since it was last started by hand.
    begun: Vec<u64>,
    /// Roles that are not restarted any more, or that the person left out.
    given_up: BTreeSet<Role>,
    next_pid: u32,
}

impl World {
    /// Four instances in panes, ready, and a task for Dev-A.
    pub(super) fn new() -> Self {
        let all = Roster::of_size(12);
        let members = all.members().iter().filter(|m| ROLES.contains(&m.role.as_str())).cloned().collect();
        let state = State::new("01".to_owned(), Policy::of(Roster::new(members).unwrap()));
        let mut world = Self {
            state,
            ms: 1_000_000,
            dead: BTreeSet::new(),
            crashed: BTreeSet::new(),
            begun: Vec::new(),
            given_up: BTreeSet::new(),
            next_pid: 100,
        };
        world.run(&user(), &session_up(1));
        for (pid, name) in (10..).zip(ROLES) {
            world.run(&user(), &Command::Launch(vec![(role(name), process(pid), format!("%{pid}"))]));
            world.run(&asker(name, pid), &Command::Register);
        }
        world.run(&asker("Orchestrator", 10), &assign("Dev-A", vec![]));
        world
    }

    fn facts(&self) -> Facts {
        facts(self.ms, i64::try_from(self.ms).unwrap(), &self.dead)
    }

    pub(super) fn instance(&self, name: &str) -> &cmw::domain::session::instance::Instance {
        &self.state.instances[&role(name)]
    }

    fn server(&self) -> Process {
        let Session::Up { server, .. } = &self.state.session else { panic!("there is one") };
        server.clone()
    }

    pub(super) fn kill(&mut self, name: &str) {
        self.dead.insert(self.instance(name).process.clone());
    }

    /// Decides, checks, and goes on with what came of it.
    pub(super) fn run(&mut self, asker: &Caller, command: &Command) -> Vec<Event> {
        let decision = decide(&self.state, asker, command, &self.facts());
        let given_up: BTreeSet<&Role> = decision.events.iter().filter_map(gives_up).collect();
        self.given_up.extend(given_up.iter().map(|role| (*role).clone()));
        if asker.actor == Actor::User && matches!(command, Command::SessionUp { .. }) {
            self.given_up.extend(ROLES.map(role));
        }
        for event in &decision.events {
            self.check(event, command, &given_up);
            if let Event::Session(SessionEvent::InstanceLaunched { role, .. })
            | Event::Session(SessionEvent::InstanceRegistered { role, .. }) = event
            {
                self.given_up.remove(role);
            }
            evolve(&mut self.state, event, WallTime(0), &asker.actor);
        }
        self.check_state();
        decision.events
    }

    fn check(&mut self, event: &Event, command: &Command, given_up: &BTreeSet<&Role>) {
        match event {
            Event::Health(HealthEvent::InstanceCrashed(crash)) => {
                let known = &self.state.instances[&crash.role];
                assert!(self.crashed.insert(crash.process.clone()), "a_crash_is_recorded_once: {command:?}");
                assert!(self.dead.contains(&crash.process), "only the dead have crashed");
                assert_eq!(known.phase, InstancePhase::Ready, "what_was_stopped_did_not_crash: {command:?}");
            }
            Event::Session(SessionEvent::InstanceLaunched { role, .. }) if role.as_str() == "Dev-A" => {
                let running = self.instance_running("Dev-A");
                if !running {
                    self.begun.clear();
                }
            }
            Event::Health(HealthEvent::RestartBegun(begun)) if begun.role == Some(role("Dev-A")) => {
                assert_eq!(self.state.lost, None, "without_a_session_no_role_is_restarted_alone");
                self.begun.push(self.ms);
                let recent = self.begun.iter().filter(|at| self.ms - **at < WINDOW_MS).count();
                let max = usize::try_from(ATTEMPTS_MAX).unwrap();
                assert!(recent <= max, "after_three_restarts_somebody_has_to_look: {:?}", self.begun);
            }
            Event::Health(HealthEvent::InstanceRestarted(it)) => {
                let instance = &self.state.instances[&it.role];
                let lives = !self.dead.contains(&instance.process);
                assert!(instance.phase == InstancePhase::Ready && lives, "what is said to run does");
            }
            Event::Work(WorkEvent::TaskReassigned(it)) if !matches!(command, Command::Work(_)) => {
                let word = "work_is_handed_over_only_when_nobody_comes_back";
                assert!(given_up.contains(&it.former), "{word}: {command:?}");
                assert!(it.assignee != it.former);
            }
            Event::Work(WorkEvent::WorkBlocked(it)) => assert!(given_up.contains(&it.role), "{command:?}"),
            _ => {}
        }
    }

    fn instance_running(&self, name: &str) -> bool {
        let instance = self.state.instances.get(&role(name));
        instance.and_then(|i| i.restart.as_ref()).is_some_and(|restart| restart.program().is_some())
    }

    fn check_state(&self) {
        for (role, instance) in &self.state.instances {
            let dead = self.dead.contains(&instance.process);
            let in_progress = instance.restart.is_some();
            if instance.phase == InstancePhase::Ready && dead && instance.pane_id.is_some() {
                assert!(in_progress, "a dead one is known as such after any command: {role}");
            }
            if instance.phase == InstancePhase::Crashed && self.state.lost.is_none() {
                let known = in_progress || self.given_up.contains(role);
                let word = "who_does_not_come_back_with_its_session_is_restarted_alone";
                assert!(known, "{word}: {role} {instance:?}");
            }
        }
        if let WriteLock::Held(held) = &self.state.lock {
            assert!(!self.dead.contains(&held.process), "the dead hold nothing");
        }
    }

    fn shape(&self) -> String {
        let instance = |(role, i): (&Role, &cmw::domain::session::instance::Instance)| {
            let (dead, restart) =
                (self.dead.contains(&i.process), i.restart.as_ref().map(|r| r.program().is_some()));
            let parked = i.parked.is_some();
            (role.clone(), i.phase, dead, restart, i.restarted.len(), parked, i.stale.is_some())
        };
        let tasks: Vec<_> =
            self.state.tasks.values().map(|t| (t.assignee.clone(), t.status, t.blocked.is_some())).collect();
        let instances: Vec<_> = self.state.instances.iter().map(instance).collect();
        let (up, lost) = (self.dead.contains(&self.server()), self.state.lost.is_some());
        format!("{instances:?} {tasks:?} {up} {lost} {}", self.state.held().is_some())
    }
}

fn gives_up(event: &Event) -> Option<&Role> {
    match event {
        Event::Health(HealthEvent::InstanceCrashed(crash)) => {
            matches!(crash.plan, CrashResponse::Nothing { .. }).then_some(&crash.role)
        }
        Event::Health(HealthEvent::RestartFailed(failed)) if failed.again.is_none() => failed.role.as_ref(),
        _ => None,
    }
}

pub(super) fn asker(name: &str, pid: u32) -> Caller {
    Caller { actor: Actor::Role(role(name)), process: process(pid) }
}

pub(super) fn user() -> Caller {
    Caller { actor: Actor::User, process: process(2) }
}

pub(super) fn system() -> Caller {
    Caller { actor: Actor::System, process: process(3) }
}

/// The program that brings the session back.
pub(super) fn program() -> Caller {
    Caller { actor: Actor::System, process: process(50) }
}

fn assign(to: &str, reviewers: Vec<Role>) -> Command {
    let (title, body, after) = ("t".to_owned(), None, Vec::new());
    let to = AssignTo::Role(role(to));
    Command::Work(WorkCommand::Assign { to, title, body, priority: Priority::Normal, after, reviewers })
}

pub(super) fn begin(name: &str, pid: u32) -> Command {
    Command::Care(HealthCommand::Begin { role: Some(role(name)), program: process(pid) })
}

fn end(name: &str, failure: Option<&str>) -> Command {
    Command::Care(HealthCommand::End { role: Some(role(name)), failure: failure.map(str::to_owned) })
}

pub(super) fn session_up(pid: u32) -> Command {
    Command::SessionUp { name: "s".to_owned(), socket: None, server: process(pid), agent: None }
}

pub(super) fn look() -> Command {
    Command::Observe(Vec::new())
}

/// One step of a history: something is asked, a process dies, or time passes.
fn step(world: &World, choice: u32) -> Option<World> {
    let mut next = world.clone();
    let a = role("Dev-A");
    let pid = next.next_pid;
    match choice {
        0 => drop(next.run(&system(), &look())),
        1 => next.kill("Dev-A"),
        2 => next.kill("Dev-B"),
        3 => drop(next.run(&user(), &Command::Care(HealthCommand::Stopping(vec![a])))),
        4 => drop(next.run(&system(), &begin("Dev-A", 50))),
        5 => drop(next.run(&system(), &end("Dev-A", None))),
        6 => drop(next.run(&system(), &end("Dev-A", Some("no")))),
        7 => {
            next.next_pid += 1;
            next.run(&system(), &Command::Launch(vec![(a, process(pid), "%12".to_owned())]));
        }
        8 => {
            let process = next.instance("Dev-A").process.clone();
            if next.dead.contains(&process) {
                return None;
            }
            next.run(&Caller { actor: Actor::Role(a), process }, &Command::Register);
        }
        9 => drop(next.run(&user(), &Command::Shutdown(a))),
        10 => next.ms += 15_000,
        11 => next.ms += 130_000,
        12 => next.ms += 700_000,
        13 => drop(next.dead.insert(process(50))),
        14 => drop(next.dead.remove(&process(50))),
        15 => drop(next.run(
            &system(),
            &Command::Care(HealthCommand::Park { role: a, until: Some(WallTime(2_000_000)) }),
        )),
        16 => drop(next.run(&system(), &Command::Care(HealthCommand::Unpark(a)))),
        17 => {
            drop(next.run(
                &system(),
                &Command::Care(HealthCommand::Seen { stale: vec![(a, "w".to_owned())], well: vec![] }),
            ));
        }
        18 => {
            let request = request(Priority::Normal);
            let process = next.instance("Dev-A").process.clone();
            if next.dead.contains(&process) {
                return None;
            }
            let asker = Caller { actor: Actor::Role(a), process };
            next.run(&asker, &Command::Acquire { request, caller: None, stand_in: None });
        }
        19 => drop(next.dead.insert(next.server())),
        20 => drop(next.run(&user(), &assign("Dev-A", vec![role("Dev-B")]))),
        21 => drop(
            next.run(&system(), &Command::Care(HealthCommand::Begin { role: None, program: process(50) })),
        ),
        22 => {
            next.next_pid += 1;
            next.run(&program(), &session_up(pid));
        }
        _ => drop(next.run(&program(), &Command::Care(HealthCommand::End { role: None, failure: None }))),
    }
    Some(next)
}

const CHOICES: u32 = 24;

#[test]
fn every_short_history_of_crashes_keeps_the_rules() {
    let depth = if cfg!(debug_assertions) { 4 } else { 5 };
    let mut seen = HashSet::new();
    let mut layer = vec![World::new()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for world in &layer {
            let found = (0..CHOICES).filter_map(|choice| step(world, choice));
            next.extend(found.filter(|world| seen.insert((world.shape(), world.ms))));
        }
        layer = next;
    }
    assert!(seen.len() > 1_000, "{} states", seen.len());
}

#[test]
fn long_histories_of_crashes_keep_the_rules() {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..400_u64 {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut world = World::new();
        let mut history = Vec::new();
        for _ in 0..120 {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let choice = u32::try_from(dice % u64::from(CHOICES)).unwrap();
            // Losing tmux ends the story of this session.
            if choice == 19 && dice % 7 != 0 {
                continue;
            }
            history.push(choice);
            let next = std::panic::catch_unwind(|| step(&world, choice));
            let next = next.unwrap_or_else(|_| {
                panic!("seed {seed}, after {history:?} from {:#?}", world.state.instances[&role("Dev-A")])
            });
            if let Some(next) = next {
                *kinds.entry(format!("{:?}", next.instance("Dev-A").phase)).or_default() += 1;
                world = next;
            }
        }
    }
    assert!(kinds.len() == 5 && kinds.values().all(|n| *n > 20), "every phase is reached: {kinds:?}");
}

#[test]
fn a_crash_brings_about_everything_once_and_in_order() {
    let mut world = World::new();
    let holder = asker("Dev-A", 12);
    let acquire = |caller| Command::Acquire { request: request(Priority::Normal), caller, stand_in: None };
    world.run(&holder, &acquire(None));
    world.run(&asker("Dev-B", 13), &acquire(Some(process(40))));
    world.kill("Dev-A");
    let events = world.run(&system(), &look());
    let names: Vec<&str> = events.iter().map(cmw::domain::event::Event::tag).collect();
    assert_eq!(names, ["INSTANCE_CRASHED", "LOCK_RELEASED", "RECOVERY_STARTED"]);
    let Event::Health(HealthEvent::InstanceCrashed(crash)) = &events[0] else { panic!() };
    assert_eq!(crash.impact.lock.as_deref(), Some("WL-0001"));
    assert_eq!((crash.impact.tasks.as_slice(), &crash.impact.sole), (&[1][..], &None));
    assert!(matches!(crash.plan, CrashResponse::Restart { attempt: 1, .. }));
    assert!(matches!(&events[1], Event::Lock(LockEvent::LockReleased { reason: Release::HolderDied, .. })));
    assert_eq!(world.run(&system(), &look()), [], "once");
    // The lock goes on when its work is saved, restarted or not.
    let outcome = super::saved();
    let events = world.run(&system(), &Command::Rescued { token: 1, outcome });
    let granted = events
        .iter()
        .any(|e| matches!(e, Event::Lock(LockEvent::LockGranted { holder, .. }) if *holder == asker("Dev-B", 13).actor));
    assert!(granted, "{events:?}");
    assert_eq!(world.state.tasks[&1].assignee, role("Dev-A"), "it comes back, and so keeps its work");
    world.run(&system(), &begin("Dev-A", 50));
    world.run(&system(), &Command::Launch(vec![(role("Dev-A"), process(60), "%12".to_owned())]));
    world.run(&asker("Dev-A", 60), &Command::Register);
    let events = world.run(&system(), &end("Dev-A", None));
    assert!(matches!(events[..], [Event::Health(HealthEvent::InstanceRestarted(_))]), "{events:?}");
}

#[test]
fn a_restart_that_fails_three_times_hands_the_work_over() {
    let mut world = World::new();
    world.run(&user(), &assign("Dev-A", vec![role("Dev-B")]));
    world.kill("Dev-A");
    world.run(&system(), &look());
    for (attempt, wait_ms) in [(1, 0), (2, 10_000), (3, 60_000)] {
        if wait_ms > 0 {
            world.ms += wait_ms - 1;
            assert_eq!(world.run(&system(), &begin("Dev-A", 50)), [], "not yet: attempt {attempt}");
            world.ms += 1;
        }
        assert_eq!(world.run(&system(), &begin("Dev-A", 50)).len(), 1, "attempt {attempt}");
        let events = world.run(&system(), &end("Dev-A", Some("no such program")));
        let Some(Event::Health(HealthEvent::RestartFailed(failed))) = events.first() else {
            panic!("{events:?}")
        };
        assert_eq!((failed.attempt, failed.again.is_some()), (attempt, attempt < 3));
        let moved: Vec<_> =
            events.iter().filter(|e| matches!(e, Event::Work(WorkEvent::TaskReassigned(_)))).collect();
        assert_eq!(moved.len(), usize::from(attempt == 3));
    }
    assert_eq!(world.state.tasks[&1].assignee, role("Dev-B"));
    let blocked = &world.state.tasks[&2];
    assert!(blocked.assignee == role("Dev-A") && blocked.blocked.is_some(), "its reviewer does not get it");
    world.ms += 3_600_000;
    assert_eq!(world.run(&system(), &begin("Dev-A", 50)), [], "it is not tried any more");
    world.run(&user(), &Command::Launch(vec![(role("Dev-A"), process(70), "%12".to_owned())]));
    world.run(&asker("Dev-A", 70), &Command::Register);
    assert!(world.state.tasks[&2].blocked.is_none(), "a role that is back does its work");
}

#[test]
fn a_program_that_dies_at_a_restart_costs_one_attempt_and_what_runs_counts() {
    let mut world = World::new();
    world.kill("Dev-A");
    world.run(&system(), &look());
    world.run(&system(), &begin("Dev-A", 50));
    world.dead.insert(process(50));
    let events = world.run(&system(), &look());
    assert!(
        matches!(&events[..], [Event::Health(HealthEvent::RestartFailed(f))] if f.again.is_some()),
        "{events:?}"
    );
    world.dead.remove(&process(50));
    world.ms += 10_000;
    world.run(&system(), &begin("Dev-A", 50));
    world.run(&system(), &Command::Launch(vec![(role("Dev-A"), process(60), "%12".to_owned())]));
    world.run(&asker("Dev-A", 60), &Command::Register);
    world.dead.insert(process(50));
    let events = world.run(&system(), &look());
    assert!(
        matches!(&events[..], [Event::Health(HealthEvent::InstanceRestarted(_))]),
        "it runs, no matter which actor says so: {events:?}"
    );
}
