//! What follows a crash, once and in this order: it is recorded and reported, what the instance held is
//! released, and it is restarted or its tasks are reassigned (docs/rules.md R8.4 to R8.6). Usage limits and
//! stale instances too.
//!
//! Any command that finds an instance dead performs these steps. Invariants (each has a test of the same
//! name in `tests/fast/rules/health.rs` or `health_session.rs`):
//! * `a_crash_is_recorded_once`
//! * `what_was_stopped_did_not_crash`
//! * `after_three_restarts_somebody_has_to_look`
//! * `without_a_session_no_role_is_restarted_alone`
//! * `who_does_not_come_back_with_its_session_is_restarted_alone`
//! * `work_is_handed_over_only_when_nobody_comes_back`

use crate::domain::command::Reply;
use crate::domain::decision::DecisionBuilder;
use crate::domain::health::command::HealthCommand;
use crate::domain::health::event::HealthEvent;
use crate::domain::health::incident::{
    self, Crash, CrashImpact, CrashResponse, InstanceParked, InstanceStale, PARKED_MS, PARKED_MS_MAX,
    ProcessEnd, RESTART_MS, RestartBegun, RestartFailed, RestartState, Restarted, RoleOnly,
    SESSION_RESTART_MS, STAGGER_MS, SessionLost,
};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::lock::queue;
use crate::domain::lock::release::Release;
use crate::domain::refusal::Refusal;
use crate::domain::session::instance::{Instance, InstancePhase, Session};
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};
use crate::domain::work::event::WorkEvent;
use crate::domain::work::task::{self, TaskReassigned, WorkBlocked};

/// The reason for a failed restart whose program died or hangs.
const LEFT: &str = "the program that restarted it ended before it was done";
/// The reason for restarting an instance alone after its session is back.
const NOT_BACK: &str = "it did not come back with its session";

impl DecisionBuilder<'_> {
    pub(crate) fn decide_health(&mut self, care: &HealthCommand) -> Result<Reply, Refusal> {
        match care {
            HealthCommand::Stopping(roles) => roles.iter().for_each(|role| self.stopping(role)),
            HealthCommand::Gone(role) => {
                let gone =
                    |i: &Instance| i.phase == InstancePhase::Ready && self.facts.dead.contains(&i.process);
                if self.state.instances.get(role).is_some_and(gone) {
                    self.record_crash(role);
                }
            }
            HealthCommand::Begin { role, program } => return self.begin_restart(role.as_ref(), program),
            HealthCommand::End { role, failure } => self.end_restart(role.as_ref(), failure.as_deref()),
            HealthCommand::Seen { stale, well } => self.record_stale(stale, well),
            HealthCommand::Park { role, until } => self.park(role, *until),
            HealthCommand::Unpark(role) => {
                if self.state.instances.get(role).is_some_and(|i| i.parked.is_some()) {
                    self.emit(HealthEvent::InstanceUnparked(RoleOnly { role: role.clone() }));
                }
            }
        }
        Ok(Reply::Done)
    }

    /// Finds dead instances, before what they held is released.
    pub(crate) fn detect_crashes(&mut self) {
        self.detect_lost_session();
        let state = &self.state;
        let is_dead = |i: &Instance| self.facts.dead.contains(&i.process);
        let dead: Vec<(Role, InstancePhase)> = (state.instances.iter())
            .filter(|(_, i)| {
                is_dead(i) && i.pane_id.is_some() && !matches!(i.restart, Some(RestartState::Running { .. }))
            })
            .map(|(role, i)| (role.clone(), i.phase))
            .collect();
        for (role, phase) in dead {
            match phase {
                InstancePhase::Ready => self.record_crash(&role),
                InstancePhase::Stopping => {
                    let _ = self.shutdown(&role);
                }
                InstancePhase::Starting if self.comes_with_session(&role) => {
                    self.did_not_come_back(&role, "it ended before it registered");
                }
                // An instance that never registered is reported by its starter; the others are known.
                InstancePhase::Starting | InstancePhase::Crashed | InstancePhase::Shutdown => {}
            }
        }
        let abandoned = |i: &Instance| i.restart.as_ref().is_some_and(|r| self.is_abandoned(r));
        let left: Vec<Role> =
            self.state.instances.iter().filter(|(_, i)| abandoned(i)).map(|(role, _)| role.clone()).collect();
        for role in left {
            self.end_restart(Some(&role), Some(LEFT));
        }
    }

    /// Detects a session whose tmux server is gone, and the end of a program that was restarting one.
    fn detect_lost_session(&mut self) {
        let Session::Up { name, server, .. } = &self.state.session else { return };
        if !self.facts.dead.contains(server) {
            return;
        }
        if let Some(lost) = &self.state.lost {
            if lost.restart.as_ref().is_some_and(|restart| self.is_abandoned(restart)) {
                self.end_restart(None, Some(LEFT));
            }
            return;
        }
        let instances = self.state.instances.iter();
        let roles: Vec<Role> =
            instances.filter(|(_, i)| needs_its_session(i)).map(|(role, _)| role.clone()).collect();
        if !roles.is_empty() {
            let (name, now) = (name.clone(), &self.facts.now.boot);
            let tried = incident::recent(&self.state.session_restarts, now);
            let due = incident::next_attempt(tried, now).filter(|_| self.state.policy.health.restart);
            self.emit(HealthEvent::SessionLost(SessionLost { name, roles, due }));
        }
    }

    fn is_abandoned(&self, restart: &RestartState) -> bool {
        let is_left = |(program, until): (&Process, &BootTime)| {
            self.facts.dead.contains(program) || until.has_passed(&self.facts.now.boot)
        };
        restart.in_progress().is_some_and(is_left)
    }

    /// Whether the calling program is restarting the session, within its time.
    pub(crate) fn brings_session_back(&self) -> bool {
        let restart = self.state.lost.as_ref().and_then(|lost| lost.restart.as_ref());
        restart.and_then(RestartState::program) == Some(&self.caller.process)
    }

    fn comes_with_session(&self, role: &Role) -> bool {
        self.state.instances.get(role).is_some_and(comes_with_session)
    }

    /// Handles an instance missing from its restored session: it is restarted like one that crashed alone.
    fn did_not_come_back(&mut self, role: &Role, why: &str) {
        let attempts = self.state.instances.get(role).map(|i| i.restarted.as_slice()).unwrap_or_default();
        let recent = incident::recent(attempts, &self.facts.now.boot);
        self.restart_failed(Some(role), 0, recent, why);
    }

    fn stopping(&mut self, role: &Role) {
        let runs = |i: &Instance| {
            matches!(i.phase, InstancePhase::Starting | InstancePhase::Ready | InstancePhase::Crashed)
        };
        if self.state.instances.get(role).is_some_and(runs) {
            self.emit(HealthEvent::InstanceStopping(RoleOnly { role: role.clone() }));
        }
    }

    fn record_crash(&mut self, role: &Role) {
        let Some(instance) = self.state.instances.get(role) else { return };
        let process = instance.process.clone();
        let how: Option<ProcessEnd> = self.facts.endings.get(&process).copied();
        let plan = self.plan(instance);
        let impact = self.impact(role);
        self.emit(HealthEvent::InstanceCrashed(Crash {
            role: role.clone(),
            process,
            how,
            impact,
            plan: plan.clone(),
        }));
        match plan {
            CrashResponse::Nothing { why } => self.hand_over(role, &why),
            CrashResponse::Restart { .. } | CrashResponse::WithTheSession => {}
        }
    }

    fn plan(&self, instance: &Instance) -> CrashResponse {
        let now = &self.facts.now.boot;
        let nothing = |why: &str| CrashResponse::Nothing { why: why.to_owned() };
        if self.state.lost.is_some() {
            return CrashResponse::WithTheSession;
        }
        if instance.pane_id.is_none() {
            return nothing("it ran outside the session's panes");
        }
        if !self.state.policy.health.restart {
            return nothing("restarting is off (cmw.health.restart)");
        }
        let recent = incident::recent(&instance.restarted, now);
        match incident::next_attempt(recent, now) {
            Some(due) => CrashResponse::Restart { attempt: recent + 1, due },
            None => nothing("it was restarted three times within ten minutes"),
        }
    }

    fn impact(&self, role: &Role) -> CrashImpact {
        let state = &self.state;
        let actor = Actor::Role(role.clone());
        let ticket = state.queue.iter().find(|w| w.actor == actor).map(|w| w.ticket);
        let kind = state.policy.roster.kind(role);
        let others =
            state.policy.roster.members().iter().filter(|m| m.role != *role && Some(&m.kind) == kind);
        let runs = |other: &Role| self.is_up(other);
        let sole = !others.map(|m| &m.role).any(runs);
        CrashImpact {
            lock: state.held().filter(|held| held.holder == actor).map(|held| held.lock_id()),
            queue_place: ticket.and_then(|ticket| queue::place(state, ticket)),
            tasks: task::pending(&state.tasks, role).iter().map(|task| task.id).collect(),
            sole: kind.filter(|_| sole).cloned(),
        }
    }

    /// Whether a role's instance is ready and lives.
    pub(crate) fn is_up(&self, role: &Role) -> bool {
        let up = |i: &Instance| i.phase == InstancePhase::Ready && !self.facts.dead.contains(&i.process);
        self.state.instances.get(role).is_some_and(up)
    }

    /// Returns the role of a kind that takes over work: up, able to work, not in `not`, the least loaded.
    pub(crate) fn least_loaded(&self, kind: &RoleKind, not: &[&Role]) -> Option<Role> {
        let state = &self.state;
        let can = |role: &Role| {
            let stale = state.instances.get(role).is_some_and(|i| i.stale.is_some());
            self.is_up(role) && !stale && !state.is_paused_or_parked(role) && !not.contains(&role)
        };
        let members = state.policy.roster.members().iter().filter(|m| m.kind == *kind && can(&m.role));
        let load = |role: &Role| task::pending(&state.tasks, role).len();
        members.min_by_key(|m| (load(&m.role), m.pane)).map(|m| m.role.clone())
    }

    /// Reassigns each open task of a role within its kind; tasks that no role can take are left to the User.
    fn hand_over(&mut self, role: &Role, why: &str) {
        let Some(kind) = self.state.policy.roster.kind(role).cloned() else { return };
        let tasks: Vec<_> = task::pending(&self.state.tasks, role).into_iter().cloned().collect();
        let mut left = Vec::new();
        for task in tasks {
            let not: Vec<&Role> = task.reviewers.iter().chain([role]).collect();
            let Some(assignee) = self.least_loaded(&kind, &not) else {
                left.push(task.id);
                continue;
            };
            let (former, reason) = (role.clone(), "Instance crash".to_owned());
            let (id, title) = (task.id, task.title);
            self.emit(WorkEvent::TaskReassigned(TaskReassigned { id, title, former, assignee, reason }));
        }
        if !left.is_empty() {
            let why = format!("{role} crashed ({why}), and no other {} can take it", kind.as_str());
            self.emit(WorkEvent::WorkBlocked(WorkBlocked { role: role.clone(), tasks: left, why }));
        }
    }

    /// Begins a restart. It determines what runs as the role: only the Orchestrator or a person may do it.
    fn begin_restart(&mut self, role: Option<&Role>, program: &Process) -> Result<Reply, Refusal> {
        if self.asker_kind().is_some_and(|kind| !kind.is_orchestrator()) {
            return Err(self.not_permitted("restarting", "the Orchestrator or a person"));
        }
        let now = self.facts.now.boot.clone();
        let (is_due, attempts) = match role {
            Some(role) => {
                let Some(instance) = self.state.instances.get(role) else { return Ok(Reply::Done) };
                let crashed =
                    instance.phase == InstancePhase::Crashed && is_due(instance.restart.as_ref(), &now);
                // Without a session the attempt would fail, and count.
                (crashed && self.state.lost.is_none(), &instance.restarted)
            }
            None => {
                let lost = self.state.lost.as_ref();
                let due = lost.is_some_and(|lost| is_due(lost.restart.as_ref(), &now));
                (due, &self.state.session_restarts)
            }
        };
        let recent = incident::recent(attempts, &now);
        if is_due && recent < incident::ATTEMPTS_MAX {
            let takes_ms = if role.is_some() { RESTART_MS } else { SESSION_RESTART_MS };
            let (attempt, until, program) = (recent + 1, now.plus(takes_ms), program.clone());
            let role = role.cloned();
            let process = role.as_ref().and_then(|role| self.state.instances.get(role)).map(|i| &i.process);
            let how = process.and_then(|process| self.facts.endings.get(process)).copied();
            self.emit(HealthEvent::RestartBegun(RestartBegun {
                role,
                attempt,
                when: now,
                program,
                until,
                how,
            }));
        }
        Ok(Reply::Done)
    }

    /// Ends a restart. Its result is the state found now, not what its program reports.
    fn end_restart(&mut self, role: Option<&Role>, failure: Option<&str>) {
        let now = self.facts.now.boot.clone();
        let running = |restart: Option<&RestartState>| matches!(restart, Some(RestartState::Running { .. }));
        let Some(role) = role else {
            let lost = self.state.lost.as_ref().filter(|lost| running(lost.restart.as_ref()));
            if lost.is_some() {
                let attempt = incident::recent(&self.state.session_restarts, &now);
                self.restart_failed(None, attempt, attempt, failure.unwrap_or("there is no session"));
            }
            return self.end_with_session();
        };
        if self.comes_with_session(role) {
            return self.did_not_come_back(role, failure.unwrap_or(NOT_BACK));
        }
        let Some(instance) = self.state.instances.get(role).filter(|i| running(i.restart.as_ref())) else {
            return;
        };
        let attempt = incident::recent(&instance.restarted, &now);
        if self.is_up(role) {
            return self.emit(HealthEvent::InstanceRestarted(Restarted { role: role.clone(), attempt }));
        }
        self.restart_failed(Some(role), attempt, attempt, failure.unwrap_or("it ended again"));
    }

    /// Ends the session's restart: the calling program has restored it, and waits for no more instances.
    fn end_with_session(&mut self) {
        let mine = |i: &Instance| {
            i.restart.as_ref().is_some_and(|it| it.is_session_restart_by(&self.caller.process))
        };
        let left = self.state.instances.iter().filter(|(_, i)| mine(i));
        for role in left.map(|(role, _)| role.clone()).collect::<Vec<_>>() {
            self.did_not_come_back(&role, NOT_BACK);
        }
    }

    fn restart_failed(&mut self, role: Option<&Role>, attempt: u32, recent: u32, why: &str) {
        let again = incident::next_attempt(recent, &self.facts.now.boot);
        let over = again.is_none();
        let why = why.to_owned();
        self.emit(HealthEvent::RestartFailed(RestartFailed { role: role.cloned(), attempt, why, again }));
        if let Some(role) = role.filter(|_| over) {
            self.hand_over(role, "it could not be restarted");
        }
    }

    fn record_stale(&mut self, stale: &[(Role, String)], well: &[Role]) {
        for (role, why) in stale {
            let new = |i: &Instance| i.phase == InstancePhase::Ready && i.stale.is_none();
            if self.state.instances.get(role).is_some_and(new) {
                self.emit(HealthEvent::InstanceStale(InstanceStale { role: role.clone(), why: why.clone() }));
            }
        }
        for role in well {
            if self.state.instances.get(role).is_some_and(|i| i.stale.is_some()) {
                self.emit(HealthEvent::InstanceRecovered(RoleOnly { role: role.clone() }));
            }
        }
    }

    /// Parks a role, and ends its lease. Roles parked by the same limit are woken one after the other, or
    /// they would reach the next limit together.
    fn park(&mut self, role: &Role, until: Option<WallTime>) {
        let now = &self.facts.now;
        let Some(instance) = self.state.instances.get(role).filter(|i| i.phase == InstancePhase::Ready)
        else {
            return;
        };
        let ms = until.map_or(PARKED_MS, |until| until.ms_since(now.wall)).min(PARKED_MS_MAX);
        if instance.parked.is_some() && (until.is_none() || ms == 0) {
            return;
        }
        let base = now.boot.plus(ms);
        let apart = |other: &BootTime| base.ms.abs_diff(other.ms) < PARKED_MS;
        let others = self.state.instances.iter().filter(|(other, _)| *other != role);
        let parked = others.filter(|(_, i)| i.parked.as_ref().is_some_and(|p| apart(&p.until))).count();
        let later = u64::try_from(parked).unwrap_or(0) * STAGGER_MS;
        let (until_at, told) = (WallTime(now.wall.0.saturating_add_unsigned(ms + later)), until.is_some());
        let parking = InstanceParked { role: role.clone(), until: base.plus(later), until_at, told };
        self.emit(HealthEvent::InstanceParked(parking));
        if self.state.held().is_some_and(|held| held.holder == Actor::Role(role.clone())) {
            self.end_lease(Release::Parked);
        }
    }
}

/// Whether an instance is to be started again when the tmux session is restored, rather than alone.
#[must_use]
pub fn comes_with_session(instance: &Instance) -> bool {
    matches!(instance.restart, Some(RestartState::WithSession { .. }))
}

/// Whether an instance ends with the tmux server, or has to wait for a new one.
#[must_use]
pub fn needs_its_session(instance: &Instance) -> bool {
    let runs = matches!(instance.phase, InstancePhase::Starting | InstancePhase::Ready)
        || instance.restart.is_some();
    instance.pane_id.is_some() && runs
}

fn is_due(restart: Option<&RestartState>, now: &BootTime) -> bool {
    matches!(restart, Some(RestartState::Due(due)) if due.has_passed(now))
}
