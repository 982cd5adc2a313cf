//! State changes of events: a line for each subject.

use crate::domain::audit;
use crate::domain::event::Event;
use crate::domain::freeze;
use crate::domain::health;
use crate::domain::identity::actor::Actor;
use crate::domain::lock;
use crate::domain::policy;
use crate::domain::rescue;
use crate::domain::session;
use crate::domain::state::State;
use crate::domain::util::time::WallTime;
use crate::domain::work;

/// Applies an event. The only function that changes a [`State`].
pub fn evolve(state: &mut State, event: &Event, at: WallTime, by: &Actor) {
    match event {
        Event::Policy(event) => policy::evolve::evolve(state, event),
        Event::Session(event) => session::evolve::evolve(state, event, at, by),
        Event::Health(event) => health::evolve::evolve(state, event, at),
        Event::Work(event) => work::evolve::evolve(state, event, at),
        Event::Lock(event) => lock::evolve::evolve(state, event),
        Event::Rescue(event) => rescue::evolve::evolve(state, event),
        Event::Freeze(event) => freeze::evolve::evolve(state, event, at, by),
        Event::Audit(event) => audit::evolve::evolve(state, event, at),
        // Messages have a registry of their own.
        Event::Mail(_) => {}
    }
}
