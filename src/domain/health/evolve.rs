//! What crashes, restarts and usage limits change in the state.

use crate::domain::health::event::HealthEvent;
use crate::domain::health::incident::{Crash, Lost, Plan, Restart, RestartBegun, RestartFailed, WINDOW_MS};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::session::instance::{Instance, Parked, Phase};
use crate::domain::state::State;
use crate::domain::util::time::{Moment, Wall};

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &HealthEvent, at: Wall) {
    match event {
        HealthEvent::SessionLost(lost) => {
            let (roles, restart) = (lost.roles.clone(), lost.due.clone().map(Restart::Due));
            let starts = |i: &&mut Instance| i.phase == Phase::Starting;
            let instances = state.instances.iter_mut().filter(|(role, _)| roles.contains(role));
            for instance in instances.map(|(_, i)| i).filter(starts) {
                (instance.phase, instance.since) = (Phase::Crashed, at);
            }
            state.lost = Some(Lost { roles, restart });
        }
        HealthEvent::InstanceStopping(it) => {
            with(state, &it.role, |i| (i.phase, i.since) = (Phase::Stopping, at))
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

/// Who was lost with its session comes back with it, when a program brought it back; a person starts whom they
/// want.
pub(crate) fn session_is_back(state: &mut State, by: &Actor) {
    let Some(lost) = state.lost.take().filter(|_| *by == Actor::System) else { return };
    let Some((program, until)) = lost.restart.as_ref().and_then(Restart::at_it) else { return };
    let alone = |i: &Instance| matches!(i.restart, Some(Restart::Running { .. }));
    for role in &lost.roles {
        with(state, role, |i| {
            if i.phase == Phase::Crashed && !alone(i) {
                i.restart = Some(Restart::WithSession { program: program.clone(), until: until.clone() });
            }
        });
    }
}

fn crashed(state: &mut State, crash: &Crash, at: Wall) {
    with(state, &crash.role, |i| {
        (i.phase, i.since, i.stale, i.parked) = (Phase::Crashed, at, None, None);
        i.restart = match &crash.plan {
            Plan::Restart { due, .. } => Some(Restart::Due(due.clone())),
            Plan::WithTheSession | Plan::Nothing { .. } => None,
        };
    });
    // It may have begun to run while its session was being lost.
    if let (Plan::WithTheSession, Some(lost)) = (&crash.plan, &mut state.lost)
        && !lost.roles.contains(&crash.role)
    {
        lost.roles.push(crash.role.clone());
    }
}

fn restart_begun(state: &mut State, begun: &RestartBegun) {
    let running = Restart::Running { program: begun.program.clone(), until: begun.until.clone() };
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

/// Notes an attempt, and forgets those that count no longer.
fn remember(attempts: &mut Vec<Moment>, when: &Moment) {
    attempts.retain(|at| when.ms_since(at) < WINDOW_MS);
    attempts.push(when.clone());
}

fn restart_failed(state: &mut State, failed: &RestartFailed, at: Wall) {
    let again = failed.again.clone().map(Restart::Due);
    match &failed.role {
        Some(role) => with(state, role, |i| {
            if i.phase != Phase::Crashed {
                (i.phase, i.since) = (Phase::Crashed, at);
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
