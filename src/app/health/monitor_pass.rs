//! One pass of the monitor over all instances: records dead ones and releases what they held, starts
//! restarts, reports silent ones, ends expired limits, sends alerts, and updates tmux.

use std::collections::BTreeMap;
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use crate::adapters::os::clock;
use crate::adapters::tmux::pane::PaneInfo;
use crate::domain::command::{Caller, Command};
use crate::domain::facts::Facts;
use crate::domain::health::command::HealthCommand;
use crate::domain::health::condition;
use crate::domain::health::decide::{comes_with_session, needs_its_session};
use crate::domain::health::incident::RestartState;
use crate::domain::identity::role::Role;
use crate::domain::lock::checks;
use crate::domain::lock::lease::is_overdue;
use crate::domain::session::instance::{Instance, InstancePhase, Session};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::time::BootTime;

use crate::app::audit::periodic_check;
use crate::app::error::Failure;
use crate::app::health::evidence::InstanceEvidence;
use crate::app::health::monitor::{EVERY_MS, system};
use crate::app::health::notify::Notifier;
use crate::app::mail::undelivered;
use crate::app::programs;
use crate::app::session::status_line::StatusLineCache;
use crate::app::session::tmux;
use crate::app::workspace::Context;

/// How long a condition must last before it is reported, in milliseconds.
const SURE_MS: u64 = 25_000;
/// How long after a gap in the monitor's own passes no instance counts as silent, in milliseconds: the
/// machine was asleep.
const AWAKE_MS: u64 = 130_000;

/// How often, and after which pause, the monitor asks whether tmux has reported how a process ended.
const TOLD_TRIES: u32 = 10;
const TOLD_PAUSE: Duration = Duration::from_millis(25);

/// The monitor, with what it remembers between passes.
pub struct Monitor<'c> {
    context: &'c Context<'c>,
    caller: Caller,
    /// Running programs that restart a role; without a role: the session.
    at_it: BTreeMap<Option<Role>, Child>,
    /// Roles with a suspicious condition, and since when.
    suspects: BTreeMap<Role, BootTime>,
    /// When all instances were last checked.
    looked: Option<BootTime>,
    /// Before this time no instance counts as silent.
    awake_from: BootTime,
    /// In how many milliseconds something is due.
    due_ms: u64,
    panes: Option<Vec<PaneInfo>>,
    notifier: Notifier,
    shown: StatusLineCache,
}

impl<'c> Monitor<'c> {
    /// Returns a monitor without memory.
    #[must_use]
    pub fn new(context: &'c Context<'c>) -> Self {
        Self {
            context,
            caller: system(),
            at_it: BTreeMap::new(),
            suspects: BTreeMap::new(),
            looked: None,
            awake_from: clock::now().boot,
            due_ms: EVERY_MS,
            panes: None,
            notifier: Notifier::default(),
            shown: StatusLineCache::default(),
        }
    }

    /// Returns in how many milliseconds something is due without a further event.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Makes a pass; `full`: includes the checks that no event triggers.
    ///
    /// # Errors
    /// [`Failure`] of the store: the next pass tries again.
    pub fn run_pass(&mut self, full: bool) -> Result<(), Failure> {
        self.reap();
        let mut state = self.context.state()?;
        let mut facts = self.facts_with_endings(&state);
        if let Some(care) = self.due_commands(&state, &facts) {
            for command in care {
                state = self.context.transact(&self.caller, &command)?.state;
            }
            facts = self.context.facts(&state);
        }
        self.begin_restarts(&state, &facts);
        if full {
            self.panes = panes(self.context, &state);
            self.check_liveness(&state, &facts)?;
            // Findings are in the audit; the next pass repeats a check that failed.
            let _ = periodic_check::run_if_due(self.context, &state, &self.caller);
            let _ = undelivered::run_if_due(self.context, &state, &self.caller);
        }
        self.notifier.check(self.context, &state, &facts);
        self.due_ms = self.notifier.due_ms().map_or(self.due_ms, |due_ms| self.due_ms.min(due_ms));
        self.shown.show(self.context, &state, &facts, self.panes.as_deref());
        Ok(())
    }

    /// Waits for the programs that restart a role, at the end of a single pass.
    pub fn finish(&mut self) {
        for child in self.at_it.values_mut() {
            let _ = child.wait();
        }
        if let Ok(State { policy, .. }) = self.context.state()
            && let Some(command) = &policy.health.notify
        {
            self.notifier.finish(self.context, command);
        }
    }

    /// Gathers the facts; for a process reported dead by the kernel, tmux reports a moment later how it
    /// ended.
    fn facts_with_endings(&self, state: &State) -> Facts {
        let untold = |facts: &Facts| {
            let died =
                |i: &&Instance| i.phase == InstancePhase::Ready && i.pane_id.is_some() && i.restart.is_none();
            let mut dead = state.instances.values().filter(died).map(|i| &i.process);
            dead.any(|process| facts.dead.contains(process) && !facts.endings.contains_key(process))
        };
        let mut facts = self.context.facts(state);
        for _ in 0..TOLD_TRIES {
            if !untold(&facts) || !state.session_is_up(&facts) {
                break;
            }
            std::thread::sleep(TOLD_PAUSE);
            facts = self.context.facts(state);
        }
        facts
    }

    /// Returns the commands to publish because of what happened.
    fn due_commands(&self, state: &State, facts: &Facts) -> Option<Vec<Command>> {
        let dead = |process: &Process| facts.dead.contains(process);
        let running = |restart: Option<&RestartState>| restart.and_then(RestartState::program).is_some();
        let left = |restart: Option<&RestartState>| {
            let at_it = restart.and_then(RestartState::in_progress);
            at_it.is_some_and(|(program, until)| dead(program) || until.has_passed(&facts.now.boot))
        };
        let mut care: Vec<Command> = Vec::new();
        let mut sweep = is_overdue(state, facts) && checks::running(state).is_ok();
        for (role, instance) in &state.instances {
            let gone = dead(&instance.process) && !running(instance.restart.as_ref());
            match instance.phase {
                InstancePhase::Ready if gone && instance.pane_id.is_none() => {
                    care.push(Command::Care(HealthCommand::Gone(role.clone())));
                }
                InstancePhase::Ready | InstancePhase::Stopping if gone => sweep = true,
                InstancePhase::Starting => sweep |= dead(&instance.process) && comes_with_session(instance),
                InstancePhase::Ready
                | InstancePhase::Stopping
                | InstancePhase::Crashed
                | InstancePhase::Shutdown => {}
            }
            sweep |= left(instance.restart.as_ref());
            if instance.parked.as_ref().is_some_and(|parked| parked.until.has_passed(&facts.now.boot)) {
                care.push(Command::Care(HealthCommand::Unpark(role.clone())));
            }
        }
        if let Session::Up { server, .. } = &state.session {
            let had_panes = state.instances.values().any(needs_its_session);
            sweep |= dead(server) && state.lost.is_none() && had_panes;
            sweep |= state.lost.as_ref().is_some_and(|lost| left(lost.restart.as_ref()));
        }
        if sweep && care.is_empty() {
            care.push(Command::Observe(Vec::new()));
        }
        (!care.is_empty()).then_some(care)
    }

    /// Starts a program for each due restart. The program claims the restart itself, so that two monitors
    /// would still restart once.
    fn begin_restarts(&mut self, state: &State, facts: &Facts) {
        let now = &facts.now.boot;
        self.due_ms = EVERY_MS;
        let mut begin = Vec::new();
        for (role, instance) in &state.instances {
            match &instance.restart {
                // Without a session the restart waits for it.
                Some(RestartState::Due(_)) if state.lost.is_some() => {}
                Some(RestartState::Due(due)) if due.has_passed(now) => begin.push(Some(role.clone())),
                Some(RestartState::Due(due)) => self.due_ms = self.due_ms.min(due.ms_until(now) + 1),
                Some(RestartState::Running { until, .. } | RestartState::WithSession { until, .. }) => {
                    self.due_ms = self.due_ms.min(until.ms_until(now) + 1);
                }
                None => {}
            }
            if let Some(parked) = &instance.parked {
                self.due_ms = self.due_ms.min(parked.until.ms_until(now) + 1);
            }
        }
        if let Some(lost) = &state.lost {
            match &lost.restart {
                Some(RestartState::Due(due)) if due.has_passed(now) => begin.push(None),
                Some(RestartState::Due(due)) => self.due_ms = self.due_ms.min(due.ms_until(now) + 1),
                Some(RestartState::Running { .. } | RestartState::WithSession { .. }) | None => {}
            }
        }
        for whose in begin.into_iter().filter(|whose| !self.at_it.contains_key(whose)).collect::<Vec<_>>() {
            match program(self.context, whose.as_ref()) {
                Ok(child) => drop(self.at_it.insert(whose, child)),
                Err(failure) => self.context.env.report(&failure.text()),
            }
        }
    }

    fn reap(&mut self) {
        self.at_it.retain(|_, child| matches!(child.try_wait(), Ok(None)));
    }

    /// Reports instances that became silent, and those that are no longer.
    fn check_liveness(&mut self, state: &State, facts: &Facts) -> Result<(), Failure> {
        let now = facts.now.boot.clone();
        let slept = self.looked.as_ref().is_some_and(|looked| now.ms_since(looked) > 3 * EVERY_MS);
        if slept {
            self.awake_from = now.plus(AWAKE_MS);
        }
        self.looked = Some(now.clone());
        let disk = self.context.store.disk();
        let (mut stale, mut well) = (Vec::new(), Vec::new());
        for (role, instance) in state.instances.iter().filter(|(_, i)| i.phase == InstancePhase::Ready) {
            let gathered = InstanceEvidence::of(disk, role, state, facts, self.panes.as_deref());
            let evidence = gathered.evidence();
            let seen = if gathered.life == condition::ProcessStatus::Dead {
                None
            } else {
                condition::stale(&evidence)
            };
            let Some(why) = seen else {
                self.suspects.remove(role);
                well.extend(instance.stale.is_some().then(|| role.clone()));
                continue;
            };
            let since = self.suspects.entry(role.clone()).or_insert_with(|| now.clone());
            let sure = now.ms_since(since) >= SURE_MS;
            if sure && instance.stale.is_none() && self.awake_from.has_passed(&now) {
                stale.push((role.clone(), why));
            }
        }
        if stale.is_empty() && well.is_empty() {
            return Ok(());
        }
        self.context.transact(&self.caller, &Command::Care(HealthCommand::Seen { stale, well }))?.outcome?;
        Ok(())
    }
}

/// Returns the session's panes; `None` when tmux cannot be asked.
#[must_use]
pub fn panes(context: &Context<'_>, state: &State) -> Option<Vec<PaneInfo>> {
    let Session::Up { name, socket, .. } = &state.session else { return None };
    tmux::tmux(context.env, socket.as_deref()).ok()?.panes(name).ok()
}

/// Starts the program that restarts a role, or the session: it continues when this monitor ends.
fn program(context: &Context<'_>, role: Option<&Role>) -> Result<Child, Failure> {
    use std::os::unix::process::CommandExt;
    let mut program = Program::new(programs::directory()?.join("cmw-health"));
    let place = context.repo.work_tree.as_ref().unwrap_or(&context.repo.common_dir);
    program.arg("--repo").arg(place).arg("bring-back").args(role.map(Role::as_str));
    program.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    let cannot = |e: std::io::Error| {
        Failure::with_next_step(
            crate::app::exit::Exit::Unavailable,
            format!("cannot run cmw-health: {e}"),
            "cmw-doctor",
        )
    };
    program.spawn().map_err(cannot)
}
