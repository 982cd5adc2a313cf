//! A storm of real processes that are killed at random, and an audit of the wreck.
//!
//! Eight roles take the lock, give it back, run commands under it and send messages, with the
//! built programs on a real disk; every other program is killed with SIGKILL after a random time.
//! Afterwards: nothing acknowledged is lost, nothing happened twice, the lock was never held by
//! two, the chain is whole, and the next command works. `CMW_STORM_SECONDS` makes it longer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cmw::domain::event::Event;
use cmw::domain::evolve::evolve;
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::roster::Roster;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::policy::compiled::Policy;
use cmw::domain::state::State;
use cmw::store::Store;
use cmw::store::audit::log;
use cmw::store::disk::RealDisk;
use cmw::store::mail::registry::Registry;
use serde_json::Value;

const ROLES: usize = 8;

/// What a role was told by programs that ended by themselves.
#[derive(Default)]
struct Told {
    tokens: BTreeSet<u64>,
    sent: BTreeSet<String>,
}

/// A small generator: the same seed gives the same storm, as far as processes allow.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Yard {
    dir: tempfile::TempDir,
    roster: Roster,
    killed: AtomicUsize,
    ended: AtomicUsize,
}

fn git(dir: &Path, args: &[&str]) {
    let status = Command::new("git")
        .current_dir(dir)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .status()
        .unwrap();
    assert!(status.success());
}

impl Yard {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "-b", "main", "."]);
        let roster = Roster::of_size(ROLES + 1);
        let store = Store::new(RealDisk::open(&dir.path().join(".git")).unwrap());
        let state = State::new("01STORM".to_owned(), Policy::of(roster.clone()));
        store.create(state, &cmw::adapters::os::clock::now(), &Actor::System).unwrap();
        Self { dir, roster, killed: AtomicUsize::new(0), ended: AtomicUsize::new(0) }
    }

    fn store(&self) -> Store<RealDisk> {
        Store::new(RealDisk::open(&self.dir.path().join(".git")).unwrap())
    }

    fn command(&self, program: &str, role: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).env_clear();
        command.env("CLAUDE_ROLE", role).env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a program, or kills it after some microseconds; `None` when it was killed.
    fn run(&self, role: &str, args: &[&str], program: &str, kill_after_us: Option<u64>) -> Option<Output> {
        let mut child = self.command(program, role, args).spawn().unwrap();
        if let Some(us) = kill_after_us {
            std::thread::sleep(Duration::from_micros(us));
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let was_killed = output.status.code().is_none();
        let counter = if was_killed { &self.killed } else { &self.ended };
        counter.fetch_add(1, Ordering::Relaxed);
        (!was_killed).then_some(output)
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

fn live(yard: &Yard, role: &str, other: &str, seed: u64, until: Instant) -> Told {
    let (lock, send) = (env!("CARGO_BIN_EXE_cmw-lock"), env!("CARGO_BIN_EXE_cmw-send"));
    let mut dice = Dice(seed);
    let mut told = Told::default();
    while Instant::now() < until {
        let deadly = (dice.roll(2) == 0).then(|| dice.roll(12_000));
        match dice.roll(5) {
            0 | 1 => {
                let got = yard.run(role, &["acquire", "--wait", "300ms", "--json"], lock, deadly);
                if let Some(output) = got.filter(|o| o.status.success()) {
                    told.tokens.insert(json(&output)["data"]["token"].as_u64().unwrap());
                }
            }
            2 => drop(yard.run(role, &["release", "--json"], lock, deadly)),
            3 => drop(yard.run(role, &["run", "--wait", "300ms", "--", "true"], lock, deadly)),
            _ => {
                let got = yard.run(role, &[other, "--subject", "storm", "text"], send, deadly);
                if let Some(output) = got.filter(|o| o.status.success()) {
                    told.sent.insert(String::from_utf8(output.stdout).unwrap().trim().to_owned());
                }
            }
        }
    }
    told
}

#[test]
fn nothing_acknowledged_is_lost_in_a_storm() {
    #[expect(clippy::disallowed_methods, reason = "how long the storm lasts is said from outside")]
    let seconds = std::env::var("CMW_STORM_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(8);
    let yard = Yard::new();
    let until = Instant::now() + Duration::from_secs(seconds);
    let seed = u64::from(std::process::id());
    let writers: Vec<String> =
        yard.roster.members().iter().filter(|m| !m.kind.is_librarian()).map(|m| m.role.to_string()).collect();
    let told: Vec<(String, Told)> = std::thread::scope(|scope| {
        let start = |(i, role): (usize, &String)| {
            let (yard, role) = (&yard, role.clone());
            let other = writers[(i + 1) % writers.len()].clone();
            scope.spawn(move || (role.clone(), live(yard, &role, &other, seed + i as u64, until)))
        };
        let handles: Vec<_> = writers.iter().enumerate().map(start).collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    let (killed, ended) = (yard.killed.load(Ordering::Relaxed), yard.ended.load(Ordering::Relaxed));
    eprintln!("seed {seed}: {killed} killed, {ended} ended by themselves");
    assert!(killed > 50 && ended > 50, "no storm: {killed} killed, {ended} ended");
    audit_the_wreck(&yard, &told);
}

fn audit_the_wreck(yard: &Yard, told: &[(String, Told)]) {
    // Two commands, one after the other, bring to its place whatever the dead left.
    for _ in 0..2 {
        let lock = env!("CARGO_BIN_EXE_cmw-lock");
        let output = yard.run("Dev-A", &["cancel"], lock, None).unwrap();
        assert!(output.status.code().is_some_and(|c| c <= 1), "the next command works: {output:?}");
    }
    let store = yard.store();
    let document = store.document().unwrap();
    let records = log::read_all(store.disk()).unwrap();
    assert_eq!(log::verify(&records, &document.head), Ok(()), "I10");
    let mut state = State::new("01STORM".to_owned(), Policy::of(yard.roster.clone()));
    let mut grants = BTreeMap::new();
    for record in &records {
        if let Event::Lock(LockEvent::LockGranted { lease, .. }) = &record.event {
            assert_eq!(state.held(), None, "I1: {} while held", lease.lock_id());
            assert!(lease.token > state.last.token, "I2");
            grants.insert(lease.token, lease.holder.to_string());
        }
        evolve(&mut state, &record.event, record.at, &record.by);
    }
    assert_eq!(state, document.state, "the audit tells of the state");
    for (role, told) in told {
        for token in &told.tokens {
            assert_eq!(grants.get(token), Some(role), "a grant that was told is in the audit");
        }
    }
    let registry = Registry::new(store.disk(), cmw::adapters::os::clock::boot_id());
    registry.verify().unwrap();
    let mut stored: BTreeMap<String, usize> = BTreeMap::new();
    registry
        .scan(1, &mut |record| {
            *stored.entry(record.envelope.id.to_string()).or_default() += 1;
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert!(stored.values().all(|n| *n == 1), "no message twice");
    let sent: BTreeSet<&String> = told.iter().flat_map(|(_, t)| &t.sent).collect();
    assert!(!sent.is_empty());
    for id in &sent {
        assert!(stored.contains_key(*id), "I12: {id} was acknowledged as sent");
    }
    eprintln!(
        "{} records, {} grants, {} messages ({} acknowledged)",
        records.len(),
        grants.len(),
        stored.len(),
        sent.len()
    );
}
