//! A message that an event causes, before it has an id, a time and a digest; and the recipients of such
//! messages.

use serde_json::Value;

use crate::domain::identity::actor::{Actor, Address};
use crate::domain::identity::role::RoleKind;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::SUBJECT_CHARS_MAX;
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;
use crate::domain::util::sanitize;

/// A message without id, time and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sender.
    pub from: Actor,
    /// The address.
    pub to: Address,
    /// Its type.
    pub kind: MessageType,
    /// Its priority.
    pub priority: Priority,
    /// Its subject, one line.
    pub subject: String,
    /// Its body, for programs.
    pub body: Value,
}

/// Returns the same message from the system to each of these actors.
pub(crate) fn from_system(
    kind: MessageType,
    to: &[Actor],
    priority: Priority,
    subject: String,
    body: Value,
) -> Vec<Notice> {
    to.iter()
        .filter_map(|actor| match actor {
            Actor::Role(role) => Some(Address::Role(role.clone())),
            Actor::User => Some(Address::User),
            Actor::System | Actor::Unproven => None,
        })
        .map(|to| Notice {
            from: Actor::System,
            to,
            kind: kind.clone(),
            priority,
            subject: subject.clone(),
            body: body.clone(),
        })
        .collect()
}

/// Returns one message in the name of the acting actor; none when it would go to that actor.
pub(crate) fn letter(
    from: &Actor,
    to: &Actor,
    kind: MessageType,
    priority: Priority,
    subject: &str,
    body: Value,
) -> Vec<Notice> {
    if from == to {
        return Vec::new();
    }
    let to = match to {
        Actor::Role(role) => Address::Role(role.clone()),
        Actor::User | Actor::Unproven => Address::User,
        Actor::System => return Vec::new(),
    };
    vec![Notice { from: from.clone(), to, kind, priority, subject: shortened(subject), body }]
}

/// Returns a critical message to everyone.
pub(crate) fn to_all(by: &Actor, kind: MessageType, subject: String, body: Value) -> Notice {
    Notice { from: by.clone(), to: Address::All, kind, priority: Priority::Critical, subject, body }
}

/// Returns a security alert to the overseers and the User.
pub(crate) fn alarm(state: &State, subject: String, body: Value) -> Vec<Notice> {
    from_system(MessageType::SECURITY_ALERT, &watchers(state), Priority::High, subject, body)
}

/// Returns the overseers and the User.
pub(crate) fn watchers(state: &State) -> Vec<Actor> {
    let mut to = overseers(state);
    to.extend((!to.contains(&Actor::User)).then_some(Actor::User));
    to
}

/// Returns the Librarian, or the User when there is none.
pub(crate) fn overseers(state: &State) -> Vec<Actor> {
    vec![state.policy.roster.first_of(RoleKind::is_librarian).map_or(Actor::User, |l| Actor::Role(l.clone()))]
}

/// Returns the subject, cut to the permitted length.
pub(crate) fn shortened(subject: &str) -> String {
    sanitize::shorten(subject, SUBJECT_CHARS_MAX)
}
