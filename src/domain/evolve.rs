//! Owns what an event changes: the one `evolve`.

use crate::domain::audit::self_test::SelfTest;
use crate::domain::audit::violation::{Tainted, Violation};
use crate::domain::event::Event;
use crate::domain::freeze::freeze_state::Glass;
use crate::domain::freeze::freeze_state::System;
use crate::domain::freeze::pins;
use crate::domain::freeze::pins::PinId;
use crate::domain::guard::git_ref::RefName;
use crate::domain::health::evolve;
use crate::domain::health::incident::Restart;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::queue;
use crate::domain::lock::request::{Waiter, is_same};
use crate::domain::lock::write_lock::{Offer, WriteLock};
use crate::domain::session::instance::{Instance, Pause, Phase, Session};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::time::{Moment, Wall};

/// Applies an event. The only function that changes a [`State`].
pub fn evolve(state: &mut State, event: &Event, at: Wall, by: &Actor) {
    match event {
        Event::PolicySet { policy, digest, .. } | Event::PolicyRestored { policy, digest, .. } => {
            state.policy = (**policy).clone();
            state.policy_digest.clone_from(digest);
        }
        Event::SessionUp { name, socket, server, agent } => {
            let (name, socket, server) = (name.clone(), socket.clone(), server.clone());
            state.session = Session::Up { name, socket, server, agent: agent.clone(), since: at };
            evolve::session_is_back(state, by);
        }
        Event::SessionDown => {
            state.session = Session::Down;
            state.lost = None;
        }
        Event::SessionLost(_)
        | Event::InstanceStopping(_)
        | Event::InstanceCrashed(_)
        | Event::RestartBegun(_)
        | Event::InstanceRestarted(_)
        | Event::RestartFailed(_)
        | Event::InstanceStale(_)
        | Event::InstanceRecovered(_)
        | Event::InstanceParked(_)
        | Event::InstanceUnparked(_)
        | Event::TaskAssigned(_)
        | Event::TaskStarted(_)
        | Event::TaskDone(_)
        | Event::TaskCancelled(_)
        | Event::TaskReassigned(_)
        | Event::WorkBlocked(_) => evolve::evolve(state, event, at),
        Event::InstanceLaunched { role, process, pane, pane_id } => {
            set_instance(state, role, Phase::Starting, process, *pane, Some(pane_id), at);
        }
        Event::InstanceRegistered { role, process, pane } => {
            // Another process than the pane's is not in that pane.
            let same = state.instances.get(role).filter(|i| i.process == *process);
            let pane_id = same.and_then(|i| i.pane_id.clone());
            set_instance(state, role, Phase::Ready, process, *pane, pane_id.as_ref(), at);
        }
        Event::InstanceShutdown { role } => {
            if let Some(instance) = state.instances.get_mut(role) {
                instance.phase = Phase::Shutdown;
                instance.pane_id = None;
                (instance.stale, instance.parked, instance.restart) = (None, None, None);
                instance.since = at;
            }
        }
        Event::LockRequested { waiter } => {
            state.last.ticket = state.last.ticket.max(waiter.ticket);
            queue::enter(&mut state.queue, waiter.clone());
        }
        Event::LockGranted { lease, .. } => {
            state.last.token = lease.token;
            let stands_for =
                |w: &Waiter| w.actor == lease.holder && w.stand_in.as_ref() == Some(&lease.process);
            let is_granted =
                |w: &Waiter| stands_for(w) || is_same(&w.actor, &w.process, &lease.holder, &lease.process);
            state.queue.retain(|w| !is_granted(w));
            state.lock = WriteLock::Held(lease.clone());
        }
        Event::LockRenewed { expires, expires_at, files, process, .. } => {
            if let WriteLock::Held(held) = &mut state.lock {
                held.expires = expires.clone();
                held.expires_at = *expires_at;
                held.request.files = files.clone();
                // Whoever asks for more time has seen the grant.
                held.unseen = None;
                if let Some(process) = process {
                    held.process = process.clone();
                    held.auto = false;
                }
            }
        }
        Event::LockReleased { .. } => state.lock = WriteLock::Free,
        Event::LockOffered { offer } => state.lock = WriteLock::Offered(offer.clone()),
        Event::OfferMissed { waiter } => {
            if state.offer().is_some_and(|offer| offer.ticket == waiter.ticket) {
                state.lock = WriteLock::Free;
            }
            queue::put_back(&mut state.queue, waiter.clone());
        }
        Event::RecoveryStarted { recovery } => state.lock = WriteLock::Recovering(recovery.clone()),
        Event::RecoveryFailed { token, why, again, .. } => recovery_failed(state, *token, why, again),
        Event::WorkRescued { token, .. } | Event::RescueAbandoned { token, .. } => {
            work_is_safe(state, *token);
        }
        Event::WaiterRemoved { ticket, .. } => {
            state.last.left = *ticket;
            if state.offer().is_some_and(|offer| offer.ticket == *ticket) {
                state.lock = WriteLock::Free;
            }
            state.queue.retain(|w| w.ticket != *ticket);
        }
        Event::InstancesPaused { roles, reason } => {
            let pause = Pause { by: by.clone(), reason: reason.clone(), since: at };
            // Who keeps still takes no offer up; that is no miss.
            let is_paused = |offer: &Offer| offer.to.role().is_some_and(|role| roles.contains(role));
            if state.offer().is_some_and(is_paused) {
                state.lock = WriteLock::Free;
            }
            state.paused.extend(roles.iter().map(|role| (role.clone(), pause.clone())));
        }
        Event::InstancesResumed { roles } => state.paused.retain(|role, _| !roles.contains(role)),
        Event::SystemFrozen { reason, when, unsaved, pins: wish } => {
            // Frozen holds no lock: neither an offer nor a recovery goes on (I9).
            state.lock = WriteLock::Free;
            let (by, reason, at_moment) = (by.clone(), reason.clone(), when.clone());
            state.system = System::Frozen { by, reason, since: at, at: at_moment, unsaved: unsaved.clone() };
            if let Some(wish) = wish {
                state.pins = Some(pins::ordered(state.pins.as_ref(), wish));
            }
        }
        Event::FreezeHardened { pins: wish, .. } => {
            state.pins = Some(pins::ordered(state.pins.as_ref(), wish));
        }
        Event::PinsSet { freeze, pins } => {
            let found = pins.iter().map(|(name, id)| (name, Some(*id)));
            found.for_each(|(name, id)| know_pin(state, freeze, name, id));
        }
        Event::PinVanished { reference, freeze } => know_pin(state, freeze, reference, None),
        Event::PinsRemoved { freeze, references } => {
            if let Some(pins) = state.pins.as_mut().filter(|pins| pins.freeze == *freeze) {
                pins.refs.retain(|name, _| !references.contains(name));
            }
            state.pins.take_if(|pins| pins.refs.is_empty());
        }
        Event::BreakGlass { reason, until, until_at } => {
            let (reason, until) = (reason.clone(), until.clone());
            state.glass = Some(Glass { reason, since: at, until, until_at: *until_at });
        }
        Event::BreakGlassEnded { .. } => state.glass = None,
        Event::SystemUnfrozen { still, .. } => {
            state.system = System::Running;
            if let Some(pins) = &mut state.pins {
                pins.wanted = false;
            }
            let ticket_ms = state.policy.lock.ticket_ms;
            state.stood_still.retain(|i| still.to.ms_since(&i.to) <= ticket_ms);
            state.stood_still.push(still.clone());
        }
        Event::StateRebuilt { token, .. } => state.last.token = state.last.token.max(*token),
        Event::ViolationFound { id, cause, refs } => {
            state.last.violation = state.last.violation.max(*id);
            let (cause, refs) = (cause.clone(), refs.iter().map(Tainted::of).collect());
            state.violations.push(Violation { id: *id, found: at, cause, refs });
        }
        Event::ViolationsAdopted { ids, .. } => state.violations.retain(|v| !ids.contains(&v.id)),
        Event::SelfTested { held, .. } => state.self_test = Some(SelfTest { at, held: *held }),
        Event::InitializationVerified { .. }
        | Event::RefsBaselined { .. }
        | Event::WeakeningRefused { .. }
        | Event::HooksAdopted { .. }
        | Event::LockRefused { .. }
        | Event::CheckWarned { .. }
        | Event::CommitVerified { .. }
        | Event::JournalLost { .. }
        | Event::MessageQuarantined { .. }
        | Event::MessagesUndelivered { .. } => {}
    }
}

/// What is known of a pin that is to be there.
fn know_pin(state: &mut State, freeze: &str, name: &RefName, id: Option<PinId>) {
    let pins = state.pins.as_mut().filter(|pins| pins.freeze == freeze);
    if let Some(known) = pins.and_then(|pins| pins.refs.get_mut(name)) {
        *known = id;
    }
}

fn recovery_failed(state: &mut State, token: u64, why: &str, again: &Moment) {
    if let WriteLock::Recovering(recovery) = &mut state.lock
        && recovery.unsaved.token == token
    {
        recovery.failure = Some(why.to_owned());
        recovery.until = again.clone();
    }
}

/// What the lease with this token left is saved, or given up.
fn work_is_safe(state: &mut State, token: u64) {
    if state.recovery().is_some_and(|r| r.unsaved.token == token) {
        state.lock = WriteLock::Free;
    }
    if let System::Frozen { unsaved, .. } = &mut state.system
        && unsaved.as_ref().is_some_and(|u| u.token == token)
    {
        *unsaved = None;
    }
}

fn set_instance(
    state: &mut State,
    role: &Role,
    phase: Phase,
    process: &Process,
    pane: u32,
    pane_id: Option<&String>,
    since: Wall,
) {
    let before = state.instances.get(role);
    let starts = match before {
        Some(instance) if instance.process == *process => instance.starts,
        Some(instance) => instance.starts + 1,
        None => 1,
    };
    // Whoever starts it by hand begins anew; what a restart has begun, it ends.
    let goes_on = |restart: &Restart| match restart {
        Restart::Due(_) => false,
        Restart::Running { .. } => true,
        Restart::WithSession { .. } => phase != Phase::Ready,
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
    if phase == Phase::Ready {
        evolve::unblock(state, role);
    }
}
