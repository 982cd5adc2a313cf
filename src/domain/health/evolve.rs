//! State changes caused by crashes, restarts and usage limits.

use crate::domain::health::event::HealthEvent;
use crate::domain::health::incident::{
    Crash, CrashResponse, LostSession, RestartBegun, RestartFailed, RestartState, WINDOW_MS,
};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::session::instance::{Instance, InstancePhase, Parked};
use crate::domain::state::State;
use crate::domain::util::time::{BootTime, WallTime};

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &HealthEvent, at: WallTime) {
    match event {
        HealthEvent::SessionLost(lost) => {
            let (roles, restart) = (lost.roles.clone(), lost.due.clone().map(RestartState::Due));
            let starts = |i: &&mut Instance| i.phase == InstancePhase::Starting;
            let instances = state.instances.iter_mut().filter(|(role, _)| roles.contains(role));
            for instance in instances.map(|(_, i)| i).filter(starts) {
                (instance.phase, instance.since) = (InstancePhase::Crashed, at);
            }
            state.lost = Some(LostSession { roles, restart });
        }
        HealthEvent::InstanceStopping(it) => {
            with(state, &it.role, |i| (i.phase, i.since) = (InstancePhase::Stopping, at));
        }
        HealthEvent::InstanceCrashed(crash) => crashed(state, crash, at),
        HealthEvent::RestartBegun(begun) => restart_begun(state, begun),
        HealthEvent::InstanceRestarted(it) => with(state, &it.role, |i| i.restart = None),
        HealthEvent::RestartFailed(failed) => restart_failed(state, failed, at),
        HealthEvent::InstanceStale(stale) => with(state, &stale.role, |i| i.stale = Some(at)),
        HealthEvent::InstanceRecovered(it) => with(state, &it.role, |i| i.stale = None),
        HealthEvent::InstanceParked(parking) => with(state, &parking.role, |i| {
            let (until, until_at) = (parking.until.clone(), parking.until_at);
            i.parked = Some(Parked { until, until_at, since: at });
        }),
        HealthEvent::InstanceUnparked(it) => with(state, &it.role, |i| i.parked = None),
    }
}

fn with(state: &mut State, role: &Role, change: impl FnOnce(&mut Instance)) {
    if let Some(instance) = state.instances.get_mut(role) {
        change(instance);
    }
}

/// Marks the roles lost with their session as returning with it, if a program restored it; a person chooses
/// which roles to start.
pub(crate) fn session_is_back(state: &mut State, by: &Actor) {
    let Some(lost) = state.lost.take().filter(|_| *by == Actor::System) else { return };
    let Some((program, until)) = lost.restart.as_ref().and_then(RestartState::in_progress) else { return };
    let alone = |i: &Instance| matches!(i.restart, Some(RestartState::Running { .. }));
    for role in &lost.roles {
        with(state, role, |i| {
            if i.phase == InstancePhase::Crashed && !alone(i) {
                i.restart =
                    Some(RestartState::WithSession { program: program.clone(), until: until.clone() });
            }
        });
    }
}

fn crashed(state: &mut State, crash: &Crash, at: WallTime) {
    with(state, &crash.role, |i| {
        (i.phase, i.since, i.stale, i.parked) = (InstancePhase::Crashed, at, None, None);
        i.restart = match &crash.plan {
            CrashResponse::Restart { due, .. } => Some(RestartState::Due(due.clone())),
            CrashResponse::WithTheSession | CrashResponse::Nothing { .. } => None,
        };
    });
    // The instance may have started while its session was being lost.
    if let (CrashResponse::WithTheSession, Some(lost)) = (&crash.plan, &mut state.lost)
        && !lost.roles.contains(&crash.role)
    {
        lost.roles.push(crash.role.clone());
    }
}

fn restart_begun(state: &mut State, begun: &RestartBegun) {
    let running = RestartState::Running { program: begun.program.clone(), until: begun.until.clone() };
    match &begun.role {
        Some(role) => with(state, role, |i| {
            remember(&mut i.restarted, &begun.when);
            i.restart = Some(running);
        }),
        None => {
            remember(&mut state.session_restarts, &begun.when);
            if let Some(lost) = &mut state.lost {
                lost.restart = Some(running);
            }
        }
    }
}

/// Adds an attempt, and removes those that no longer count.
fn remember(attempts: &mut Vec<BootTime>, when: &BootTime) {
    attempts.retain(|at| when.ms_since(at) < WINDOW_MS);
    attempts.push(when.clone());
}

fn restart_failed(state: &mut State, failed: &RestartFailed, at: WallTime) {
    let again = failed.again.clone().map(RestartState::Due);
    match &failed.role {
        Some(role) => with(state, role, |i| {
            if i.phase != InstancePhase::Crashed {
                (i.phase, i.since) = (InstancePhase::Crashed, at);
            }
            i.restart = again;
        }),
        None => {
            if let Some(lost) = &mut state.lost {
                lost.restart = again;
            }
        }
    }
}
