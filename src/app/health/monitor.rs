//! The loop of `cmw-health monitor`: sleeps until an instance dies, a change is published, or half a minute
//! has passed, and then checks all instances.
//!
//! Invariants, each with a test of the same name in `tests/live/health/monitor`:
//! * `one_monitor_at_a_time`: the next one takes over when it has ended.
//! * `a_killed_one_is_noticed_within_a_second`
//! * `a_clock_that_is_set_back_stops_no_monitor`
//! * `a_monitor_whose_terminal_closes_first_brings_the_session_back`
//! * `it_sleeps_when_nothing_happens`

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::adapters::os::{clock, process};
use crate::domain::command::Caller;
use crate::domain::health::decide::comes_with_session;
use crate::domain::identity::actor::Actor;
use crate::domain::session::instance::{Instance, InstancePhase, Session};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::time::BootTime;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::health::monitor::{self, MonitorRecord};
use crate::store::layout;
use crate::store::watch::Watch;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::monitor_pass::Monitor;
use crate::app::workspace::Context;

/// How often all instances are checked, in milliseconds (docs/rules.md R8.8).
pub const EVERY_MS: u64 = 30_000;
/// The time without a check after which the monitor counts as missing, in milliseconds.
pub const MISSED_MS: u64 = 150_000;
/// The shortest interval between two checks caused by publishes, in milliseconds.
const CALM_MS: u64 = 500;
/// How many processes are watched for their end; the others are polled.
const WATCHED_MAX: usize = 700;
/// The directory of the person's new messages.
const MAIL: &str = "messages/User/new";
/// How often a monitor that waits for its turn tries to take over: often at first, since most locks are those of
/// a single check or of a monitor that ends. It does not block in the lock, where it could neither be told to end
/// nor notice that there is nothing left to watch.
const TURNS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// How many times it tries often.
const SOON: u32 = 100;
/// How long tmux may take to end after it has closed the monitor's terminal, in milliseconds.
const ENDING_MS: u64 = 2_000;

/// Returns the monitor's identity: it acts for no role.
#[must_use]
pub fn system() -> Caller {
    Caller { actor: Actor::System, process: process::current() }
}

/// Monitors the instances, for one check or until it is ended.
///
/// # Errors
/// [`Failure`]: 69 when it cannot wait, 78 when cmw is not set up.
pub fn run(context: Context<'_>, once: bool, every_ms: u64) -> Result<Answer, Failure> {
    let every_ms = every_ms.max(1_000);
    if is_gone(&context) {
        return Err(StoreError::NotInitialised.into());
    }
    let ended = |why: &str| Ok(Answer::done(json!({"ended": why}), why));
    if once {
        let Some(_lock) = monitor::acquire_monitor_lock(context.store.disk())? else {
            return ended("another monitor is running");
        };
        let mut monitor = Monitor::new(&context);
        monitor.run_pass(true)?;
        note(&context, false);
        monitor.finish();
        return ended("checked once");
    }
    let mut signals = Signals::catch()?;
    let mut tries = 0;
    let _lock = loop {
        if signals.ended() || signals.tmux_may_end_ms(&clock::now().boot) == Some(0) {
            return ended("told to end while another monitor was running");
        }
        if let Some(lock) = monitor::acquire_monitor_lock(context.store.disk())? {
            break lock;
        }
        std::thread::sleep(TURNS[usize::from(tries >= SOON)]);
        tries += 1;
    };
    let watch = watch(&context)?;
    // The first check can take long, and the record of an earlier monitor would say that none watches.
    note(&context, true);
    let mut monitor = Monitor::new(&context);
    let mut next_full = clock::now().boot;
    loop {
        if signals.ended() {
            return ended("told to end");
        }
        if is_gone(&context) {
            return ended("the repository is gone");
        }
        let began = clock::now().boot;
        let tmux_may_end_ms = signals.tmux_may_end_ms(&began);
        // An unreadable state proves nothing.
        let is_over = |may_end_ms| context.state().is_ok_and(|state| is_over(&state, may_end_ms));
        if tmux_may_end_ms.is_some_and(is_over) {
            return ended("its terminal and its session are gone");
        }
        let full = next_full.has_passed(&began);
        if full {
            next_full = began.plus(every_ms);
        }
        // A store that is busy or damaged is read again in the next round.
        if let Err(failure) = monitor.run_pass(full) {
            context.env.report(&failure.text());
        }
        if full {
            note(&context, true);
        }
        let due_ms = next_full.ms_until(&clock::now().boot).min(monitor.due_ms());
        let due_ms = tmux_may_end_ms.filter(|ms| *ms > 0).map_or(due_ms, |ms| due_ms.min(ms));
        sleep(&context, &watch, &began, due_ms)?;
    }
}

/// Returns whether cmw is not set up here, or no longer. A monitor that starts while its directory is being
/// removed recreates its own part.
#[must_use]
pub fn is_gone(context: &Context<'_>) -> bool {
    let is_there = |path: &str| context.store.disk().path().join(path).exists();
    !is_there(layout::STATE) && !is_there(layout::HOOKS)
}

/// Records that all instances were checked, or that a monitor begins to.
fn note(context: &Context<'_>, stays: bool) {
    let now = clock::now();
    let watcher = MonitorRecord { process: process::current(), looked: now.boot, at: now.wall, stays };
    // Readers recognise an old record by its time.
    let _ = monitor::write_monitor_record(context.store.disk(), &watcher);
}

/// Returns whether a monitor without its terminal has nothing left to do: its session was ended, or was
/// restored and has a monitor of its own, or restoring failed. A terminal is closed before the ending tmux is
/// gone, so that for this many milliseconds a living tmux proves nothing.
fn is_over(state: &State, tmux_may_end_ms: u64) -> bool {
    match &state.session {
        Session::Down => true,
        Session::Up { server, .. } => {
            let given_up = state.lost.as_ref().is_some_and(|lost| lost.restart.is_none());
            given_up || (tmux_may_end_ms == 0 && process::is_alive(server))
        }
    }
}

/// Signals that a monitor handles.
struct Signals {
    end: Arc<AtomicBool>,
    hangup: Arc<AtomicBool>,
    /// When the terminal was first seen closed.
    hung_up: Option<BootTime>,
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        let signals = Self { end: Arc::default(), hangup: Arc::default(), hung_up: None };
        let cannot = |e: std::io::Error| {
            Failure::with_next_step(Exit::Unavailable, format!("cannot catch signals: {e}"), "")
        };
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&signals.end)).map_err(cannot)?;
        }
        // When tmux ends, the monitor stays to restore the session.
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&signals.hangup))
            .map_err(cannot)?;
        Ok(signals)
    }

    fn ended(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Returns for how long tmux may still be ending, when the terminal is closed.
    fn tmux_may_end_ms(&mut self, now: &BootTime) -> Option<u64> {
        if self.hung_up.is_none() && self.hangup.load(Ordering::Relaxed) {
            self.hung_up = Some(now.clone());
        }
        self.hung_up.as_ref().map(|at| at.plus(ENDING_MS).ms_until(now))
    }
}

/// Returns a watch on the state, on the records of ended panes, and on the person's mailbox.
fn watch(context: &Context<'_>) -> Result<Watch, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot watch: {e}"), "cmw-doctor")
    };
    let disk = context.store.disk();
    let mut watch = Watch::on(&disk.path().join("cmw")).map_err(cannot)?;
    for dir in [layout::ENDED, MAIL] {
        disk.ensure_dir(dir).map_err(cannot)?;
        watch.add(&disk.path().join(dir)).map_err(cannot)?;
    }
    Ok(watch)
}

/// Sleeps until a process dies, shortly after a publish, or until the time is over.
fn sleep(context: &Context<'_>, watch: &Watch, began: &BootTime, due_ms: u64) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor")
    };
    let processes = context.state().map(|state| watched(&state)).unwrap_or_default();
    let lives: Vec<OwnedFd> = processes.iter().filter_map(process::watch).collect();
    // A process that died in the meantime would not be reported.
    let due_ms = if lives.len() < processes.len() { due_ms.min(CALM_MS) } else { due_ms };
    let fds: Vec<_> = lives.iter().map(AsFd::as_fd).collect();
    let (changed, dead) = watch.wait_any(&fds, due_ms.max(1)).map_err(cannot)?;
    if !changed || !dead.is_empty() {
        return Ok(());
    }
    // Publishes within a short interval are handled together; a death is handled at once.
    let calm_ms = began.plus(CALM_MS).ms_until(&clock::now().boot);
    if calm_ms > 0 {
        Watch::none().wait_any(&fds, calm_ms).map_err(cannot)?;
    }
    Ok(())
}

/// Returns the processes to watch: instances that are ready, being stopped or to return with their session,
/// tmux, and programs that restart a role.
fn watched(state: &State) -> Vec<Process> {
    let server = match &state.session {
        Session::Up { server, .. } if state.lost.is_none() => Some(server),
        Session::Up { .. } | Session::Down => None,
    };
    let is_watched = |i: &&Instance| match i.phase {
        InstancePhase::Ready | InstancePhase::Stopping => true,
        InstancePhase::Starting => comes_with_session(i),
        InstancePhase::Crashed | InstancePhase::Shutdown => false,
    };
    // A dead one outside our panes is noticed by the check, and recorded as dead.
    let runs = state.instances.values().filter(is_watched).map(|i| &i.process);
    // One program may restart several roles.
    let programs: BTreeSet<_> = state.restart_programs().collect();
    server.into_iter().chain(runs).chain(programs).take(WATCHED_MAX).cloned().collect()
}

/// Returns why no monitor watches the instances; `None` when one does, or no session is up.
#[must_use]
pub fn monitor_problem(context: &Context<'_>, state: &State) -> Option<String> {
    let is_up = matches!(&state.session, Session::Up { .. });
    if !is_up {
        return None;
    }
    let now = clock::now().boot;
    let last = monitor::monitor_record(context.store.disk()).ok().flatten();
    match last {
        None => Some("no monitor: crashes go unnoticed; start one: cmw-health monitor".to_owned()),
        Some(watcher) if watcher.stays && !process::is_alive(&watcher.process) => {
            let at = watcher.at.clock();
            Some(format!("the monitor is gone, its last check was at {at}; start one: cmw-health monitor"))
        }
        Some(watcher) if now.ms_since(&watcher.looked) > MISSED_MS => {
            let (pid, at) = (watcher.process.pid, watcher.at.clock());
            Some(format!("the monitor (process {pid}) has made no check since {at}: cmw-health monitor"))
        }
        Some(_) => None,
    }
}
