//! The messages that an event causes: the transactional outbox carries them with the event
//! (docs/decisions.md D8), so that a freeze and its SYSTEM_FREEZE are one decision. A line for each subject.

use crate::domain::audit;
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::freeze;
use crate::domain::health;
use crate::domain::identity::actor::Actor;
use crate::domain::lock;
use crate::domain::mail;
use crate::domain::mail::notice::Notice;
use crate::domain::policy;
use crate::domain::rescue;
use crate::domain::session;
use crate::domain::state::State;
use crate::domain::work;

/// Returns the messages that an event causes, given the states before and after it.
#[must_use]
pub fn notices(event: &Event, by: &Actor, before: &State, after: &State, facts: &Facts) -> Vec<Notice> {
    match event {
        Event::Policy(event) => policy::notices::notices(event, by, after),
        Event::Session(event) => session::notices::notices(event, after, facts),
        Event::Health(event) => health::notices::notices(event, after, facts),
        Event::Work(event) => work::notices::notices(event, by, after),
        Event::Lock(event) => lock::notices::notices(event, by, before, facts),
        Event::Rescue(event) => rescue::notices::notices(event, before, after),
        Event::Freeze(event) => freeze::notices::notices(event, by, after),
        Event::Audit(event) => audit::notices::notices(event, after),
        Event::Mail(event) => mail::notices::notices(event, after),
    }
}
