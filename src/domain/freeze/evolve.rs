//! The changes of the state by freezes, pins, pauses and break-glass.

use crate::domain::freeze::event::FreezeEvent;
use crate::domain::freeze::freeze_state::{BreakGlass, FreezeState};
use crate::domain::freeze::pins::{self, PinId};
use crate::domain::guard::git_ref::RefName;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::write_lock::{Offer, WriteLock};
use crate::domain::session::instance::RolePause;
use crate::domain::state::State;
use crate::domain::util::time::WallTime;

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &FreezeEvent, at: WallTime, by: &Actor) {
    match event {
        FreezeEvent::InstancesPaused { roles, reason } => {
            let pause = RolePause { by: by.clone(), reason: reason.clone(), since: at };
            // A paused role takes no offer up; that does not count as a miss.
            let is_paused = |offer: &Offer| offer.to.role().is_some_and(|role| roles.contains(role));
            if state.offer().is_some_and(is_paused) {
                state.lock = WriteLock::Free;
            }
            state.paused.extend(roles.iter().map(|role| (role.clone(), pause.clone())));
        }
        FreezeEvent::InstancesResumed { roles } => state.paused.retain(|role, _| !roles.contains(role)),
        FreezeEvent::SystemFrozen { reason, when, unsaved, pins: wish } => {
            // A frozen system holds no lock: neither an offer nor a recovery continues (docs/rules.md I9).
            state.lock = WriteLock::Free;
            let (by, reason, at_moment) = (by.clone(), reason.clone(), when.clone());
            state.system =
                FreezeState::Frozen { by, reason, since: at, at: at_moment, unsaved: unsaved.clone() };
            if let Some(wish) = wish {
                state.pins = Some(pins::ordered(state.pins.as_ref(), wish));
            }
        }
        FreezeEvent::FreezeHardened { pins: wish, .. } => {
            state.pins = Some(pins::ordered(state.pins.as_ref(), wish));
        }
        FreezeEvent::PinsSet { freeze, pins } => {
            let found = pins.iter().map(|(name, id)| (name, Some(*id)));
            found.for_each(|(name, id)| set_pin(state, freeze, name, id));
        }
        FreezeEvent::PinVanished { reference, freeze } => set_pin(state, freeze, reference, None),
        FreezeEvent::PinsRemoved { freeze, references } => {
            if let Some(pins) = state.pins.as_mut().filter(|pins| pins.freeze == *freeze) {
                pins.refs.retain(|name, _| !references.contains(name));
            }
            state.pins.take_if(|pins| pins.refs.is_empty());
        }
        FreezeEvent::BreakGlass { reason, until, until_at } => {
            let (reason, until) = (reason.clone(), until.clone());
            state.glass = Some(BreakGlass { reason, since: at, until, until_at: *until_at });
        }
        FreezeEvent::BreakGlassEnded { .. } => state.glass = None,
        FreezeEvent::SystemUnfrozen { still, .. } => {
            state.system = FreezeState::Running;
            if let Some(pins) = &mut state.pins {
                pins.wanted = false;
            }
            let ticket_ms = state.policy.lock.ticket_ms;
            state.stood_still.retain(|i| still.to.ms_since(&i.to) <= ticket_ms);
            state.stood_still.push(still.clone());
        }
    }
}

/// Records what is known of a pin that is wanted.
fn set_pin(state: &mut State, freeze: &str, name: &RefName, id: Option<PinId>) {
    let pins = state.pins.as_mut().filter(|pins| pins.freeze == freeze);
    if let Some(known) = pins.and_then(|pins| pins.refs.get_mut(name)) {
        *known = id;
    }
}
