//! State changes caused by starting, registering and stopping a session and its instances.

use crate::domain::health;
use crate::domain::health::incident::RestartState;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::session::event::SessionEvent;
use crate::domain::session::instance::{Instance, InstancePhase, Session};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::time::WallTime;
use crate::domain::work;

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &SessionEvent, at: WallTime, by: &Actor) {
    match event {
        SessionEvent::SessionUp { name, socket, server, agent } => {
            let (name, socket, server) = (name.clone(), socket.clone(), server.clone());
            state.session = Session::Up { name, socket, server, agent: agent.clone(), since: at };
            health::evolve::session_is_back(state, by);
        }
        SessionEvent::SessionDown => {
            state.session = Session::Down;
            state.lost = None;
        }
        SessionEvent::InstanceLaunched { role, process, pane, pane_id } => {
            set_instance(state, role, InstancePhase::Starting, process, *pane, Some(pane_id), at);
        }
        SessionEvent::InstanceRegistered { role, process, pane } => {
            // A process other than the pane's does not run in that pane.
            let same = state.instances.get(role).filter(|i| i.process == *process);
            let pane_id = same.and_then(|i| i.pane_id.clone());
            set_instance(state, role, InstancePhase::Ready, process, *pane, pane_id.as_ref(), at);
        }
        SessionEvent::InstanceShutdown { role } => {
            if let Some(instance) = state.instances.get_mut(role) {
                instance.phase = InstancePhase::Shutdown;
                instance.pane_id = None;
                (instance.stale, instance.parked, instance.restart) = (None, None, None);
                instance.since = at;
            }
        }
        SessionEvent::InitializationVerified { .. } => {}
    }
}

fn set_instance(
    state: &mut State,
    role: &Role,
    phase: InstancePhase,
    process: &Process,
    pane: u32,
    pane_id: Option<&String>,
    since: WallTime,
) {
    let before = state.instances.get(role);
    let starts = match before {
        Some(instance) if instance.process == *process => instance.starts,
        Some(instance) => instance.starts + 1,
        None => 1,
    };
    // A start by hand ends a restart that is only due; a restart in progress goes on.
    let goes_on = |restart: &RestartState| match restart {
        RestartState::Due(_) => false,
        RestartState::Running { .. } => true,
        RestartState::WithSession { .. } => phase != InstancePhase::Ready,
    };
    let running = before.filter(|i| i.restart.as_ref().is_some_and(|restart| restart.program().is_some()));
    let restart = running.and_then(|i| i.restart.clone()).filter(goes_on);
    let goes_on = running.is_some() || before.is_some_and(|i| i.process == *process);
    let restarted = before.filter(|_| goes_on).map(|i| i.restarted.clone()).unwrap_or_default();
    let instance = Instance {
        phase,
        process: process.clone(),
        pane,
        pane_id: pane_id.cloned(),
        since,
        starts,
        stale: None,
        parked: None,
        restart,
        restarted,
    };
    state.instances.insert(role.clone(), instance);
    if phase == InstancePhase::Ready {
        work::evolve::unblock(state, role);
    }
}
