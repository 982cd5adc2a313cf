//! Owns the loop of `cmw-health monitor`: it sleeps until an instance dies, something is published, or half a
//! minute is over, and then looks.
//!
//! Invariants, each with a test of the same name in `tests/monitor`:
//! * `one_monitor_at_a_time`, and the next one takes over when it is gone.
//! * `a_killed_one_is_noticed_within_a_second`
//! * `a_clock_that_is_set_back_keeps_nobody_from_watching`
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
use crate::domain::command::Asker;
use crate::domain::health::decide::comes_with_session;
use crate::domain::identity::actor::Actor;
use crate::domain::session::instance::{Instance, Phase, Session};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::time::Moment;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::health::monitor;
use crate::store::health::monitor::Watcher;
use crate::store::layout;
use crate::store::watch::Watch;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::monitor_pass::Monitor;
use crate::app::workspace::Context;

/// How often everybody is looked at, in milliseconds (DOMAIN section 8).
pub const EVERY_MS: u64 = 30_000;
/// After what time without a look nobody watches, in milliseconds.
pub const MISSED_MS: u64 = 150_000;
/// Between two looks because something was published, in milliseconds.
const CALM_MS: u64 = 500;
/// How many processes are watched for their end; the others are looked at.
const WATCHED_MAX: usize = 700;
/// Where the person's new messages are.
const MAIL: &str = "messages/User/new";
/// How often a monitor that waits for its turn looks whether it is its own. It does not wait in the lock: who
/// waits there for hours can neither be told to end, nor look whether there is still something to watch.
const TURN: Duration = Duration::from_secs(1);
/// How long tmux may take to end after it has closed the monitor's terminal, in milliseconds.
const ENDING_MS: u64 = 2_000;

/// Whoever looks after instances acts for nobody.
#[must_use]
pub fn system() -> Asker {
    Asker { actor: Actor::System, process: process::me() }
}

/// Watches over the instances, for one look or for as long as it is let.
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
        let Some(_lock) = monitor::take_watch(context.store.disk())? else {
            return ended("a monitor is at it");
        };
        let mut monitor = Monitor::new(&context);
        monitor.look(true)?;
        note(&context, false);
        monitor.finish();
        return ended("looked once");
    }
    let mut signals = Signals::catch()?;
    let _lock = loop {
        if signals.ended() || signals.tmux_may_end_ms(&clock::now().boot) == Some(0) {
            return ended("told to end while another monitor was at it");
        }
        if let Some(lock) = monitor::take_watch(context.store.disk())? {
            break lock;
        }
        std::thread::sleep(TURN);
    };
    let watch = watch(&context)?;
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
        // A state that cannot be read tells nothing.
        let is_over = |may_end_ms| context.state().is_ok_and(|state| is_over(&state, may_end_ms));
        if tmux_may_end_ms.is_some_and(is_over) {
            return ended("its terminal and its session are gone");
        }
        let full = next_full.has_passed(&began);
        if full {
            next_full = began.plus(every_ms);
        }
        // A store that is busy or ill is looked at again.
        if let Err(failure) = monitor.look(full) {
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

/// Whether cmw is not set up here, or not any more. A monitor that begins while its directory is taken away makes
/// its own part of that anew.
fn is_gone(context: &Context<'_>) -> bool {
    let is_there = |path: &str| context.store.disk().path().join(path).exists();
    !is_there(layout::STATE) && !is_there(layout::HOOKS)
}

/// Notes that everybody was looked at.
fn note(context: &Context<'_>, stays: bool) {
    let now = clock::now();
    let watcher = Watcher { process: process::me(), looked: now.boot, at: now.wall, stays };
    // Whoever reads it takes an old one for what it is.
    let _ = monitor::note_watcher(context.store.disk(), &watcher);
}

/// Whether a monitor without its terminal has nothing to do any more: its session was ended, it was brought
/// back and has a monitor of its own, or that was tried in vain. A terminal is closed before the tmux that ends
/// is gone, so that for so many milliseconds one that lives tells nothing.
fn is_over(state: &State, tmux_may_end_ms: u64) -> bool {
    match &state.session {
        Session::Down => true,
        Session::Up { server, .. } => {
            let given_up = state.lost.as_ref().is_some_and(|lost| lost.restart.is_none());
            given_up || (tmux_may_end_ms == 0 && process::is_alive(server))
        }
    }
}

/// What a monitor is told.
struct Signals {
    end: Arc<AtomicBool>,
    hangup: Arc<AtomicBool>,
    /// When it was first seen that the terminal is closed.
    hung_up: Option<Moment>,
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        let signals = Self { end: Arc::default(), hangup: Arc::default(), hung_up: None };
        let cannot =
            |e: std::io::Error| Failure::told(Exit::Unavailable, format!("cannot catch signals: {e}"), "");
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&signals.end)).map_err(cannot)?;
        }
        // When tmux ends it stays to bring the session back.
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&signals.hangup))
            .map_err(cannot)?;
        Ok(signals)
    }

    fn ended(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// For how long tmux may still be ending, when the terminal is closed.
    fn tmux_may_end_ms(&mut self, now: &Moment) -> Option<u64> {
        if self.hung_up.is_none() && self.hangup.load(Ordering::Relaxed) {
            self.hung_up = Some(now.clone());
        }
        self.hung_up.as_ref().map(|at| at.plus(ENDING_MS).ms_until(now))
    }
}

/// A watch on the state, on what tmux tells of panes, and on the person's mailbox.
fn watch(context: &Context<'_>) -> Result<Watch, Failure> {
    let cannot =
        |e: std::io::Error| Failure::told(Exit::Unavailable, format!("cannot watch: {e}"), "cmw-doctor");
    let disk = context.store.disk();
    let watch = Watch::on(&disk.path().join("cmw")).map_err(cannot)?;
    for dir in [layout::ENDED, MAIL] {
        disk.ensure_dir(dir).map_err(cannot)?;
        watch.also(&disk.path().join(dir)).map_err(cannot)?;
    }
    Ok(watch)
}

/// Sleeps until somebody dies, something is published a little later, or the time is over.
fn sleep(context: &Context<'_>, watch: &Watch, began: &Moment, due_ms: u64) -> Result<(), Failure> {
    let cannot =
        |e: std::io::Error| Failure::told(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor");
    let processes = context.state().map(|state| watched(&state)).unwrap_or_default();
    let lives: Vec<OwnedFd> = processes.iter().filter_map(process::watch).collect();
    // Of one that died meanwhile nobody would be told.
    let due_ms = if lives.len() < processes.len() { due_ms.min(CALM_MS) } else { due_ms };
    let fds: Vec<_> = lives.iter().map(AsFd::as_fd).collect();
    let (changed, dead) = watch.wait_any(&fds, due_ms.max(1)).map_err(cannot)?;
    if !changed || !dead.is_empty() {
        return Ok(());
    }
    // Whatever is published within the next moment is looked at together; a death is not waited with.
    let calm_ms = began.plus(CALM_MS).ms_until(&clock::now().boot);
    if calm_ms > 0 {
        let quiet = Watch::none().map_err(cannot)?;
        quiet.wait_any(&fds, calm_ms).map_err(cannot)?;
    }
    Ok(())
}

/// Whose end is waited for: instances that are ready, being stopped or to come back with their session, tmux, and
/// programs that restart somebody.
fn watched(state: &State) -> Vec<Process> {
    let server = match &state.session {
        Session::Up { server, .. } if state.lost.is_none() => Some(server),
        Session::Up { .. } | Session::Down => None,
    };
    let is_watched = |i: &&Instance| match i.phase {
        Phase::Ready | Phase::Stopping => true,
        Phase::Starting => comes_with_session(i),
        Phase::Crashed | Phase::Shutdown => false,
    };
    // One outside our panes that is dead is looked at, and recorded as such.
    let runs = state.instances.values().filter(is_watched).map(|i| &i.process);
    // One program may bring many back.
    let programs: BTreeSet<_> = state.restart_programs().collect();
    server.into_iter().chain(runs).chain(programs).take(WATCHED_MAX).cloned().collect()
}

/// Why nobody watches over the instances, if nobody does: while a session is up somebody should.
#[must_use]
pub fn missing(context: &Context<'_>, state: &State) -> Option<String> {
    let is_up = matches!(&state.session, Session::Up { .. });
    if !is_up {
        return None;
    }
    let now = clock::now().boot;
    let last = monitor::watcher(context.store.disk()).ok().flatten();
    match last {
        None => Some("no monitor: crashes go unnoticed; start one: cmw-health monitor".to_owned()),
        Some(watcher) if watcher.stays && !process::is_alive(&watcher.process) => {
            let at = watcher.at.clock();
            Some(format!("the monitor is gone, it last looked at {at}; start one: cmw-health monitor"))
        }
        Some(watcher) if now.ms_since(&watcher.looked) > MISSED_MS => {
            let (pid, at) = (watcher.process.pid, watcher.at.clock());
            Some(format!("the monitor (process {pid}) has not looked since {at}: cmw-health monitor"))
        }
        Some(_) => None,
    }
}
