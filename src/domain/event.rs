//! The events of all subjects, and the table of their tags.
//!
//! On disk an event is one object: its tag in the field `event`, and its own fields. A subject's
//! events, their tags and what follows from them are in the subject's folder; here is one line for each
//! subject.
//!
//! Invariants (each has a test of the same name):
//! * `each_tag_belongs_to_one_subject`
//! * `an_event_is_read_whatever_the_order_of_its_fields`
//! * `damage_is_named`

use std::fmt;
use std::sync::LazyLock;

use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::severity::Severity;
use crate::domain::freeze::event::FreezeEvent;
use crate::domain::health::event::HealthEvent;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::event::LockEvent;
use crate::domain::mail::event::MailEvent;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::session::event::SessionEvent;
use crate::domain::work::event::WorkEvent;

/// The field that holds the tag.
const TAG: &str = "event";

/// Defines [`Event`] and everything that is the same for each subject.
macro_rules! subjects {
    ($($(#[$doc:meta])* $subject:ident($event:ident),)*) => {
        /// An event. Each becomes exactly one audit record (docs/rules.md I10).
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $($(#[$doc])* $subject($event),)*
        }

        impl Event {
            /// Returns the tag: the name of the event in the audit trail.
            #[must_use]
            pub fn tag(&self) -> &'static str {
                match self {
                    $(Self::$subject(event) => event.tag(),)*
                }
            }

            /// Returns the file of `audit/` that holds its record, named as in the guide.
            #[must_use]
            pub fn log(&self) -> &'static str {
                match self {
                    $(Self::$subject(event) => event.log(),)*
                }
            }

            /// Returns how much attention it needs.
            #[must_use]
            pub fn severity(&self) -> Severity {
                match self {
                    $(Self::$subject(event) => event.severity(),)*
                }
            }

            /// Returns the actors concerned, other than the one that caused it.
            #[must_use]
            pub fn about(&self) -> Vec<Actor> {
                match self {
                    $(Self::$subject(event) => event.about(),)*
                }
            }
        }

        $(impl From<$event> for Event {
            fn from(event: $event) -> Self {
                Self::$subject(event)
            }
        })*

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Subject {
            $($subject,)*
        }

        /// The tags of each subject.
        const SUBJECTS: &[(Subject, &[&str])] = &[$((Subject::$subject, $event::TAGS),)*];

        impl Subject {
            /// Reads an event of the subject.
            fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Event, D::Error> {
                match self {
                    $(Self::$subject => $event::deserialize(deserializer).map(Event::$subject),)*
                }
            }
        }
    };
}

subjects! {
    /// The policy, adopted hooks, and checks that only warn.
    Policy(PolicyEvent),
    /// The session, and instances that are started, registered and stopped.
    Session(SessionEvent),
    /// Crashes, restarts and usage limits.
    Health(HealthEvent),
    /// Work items.
    Work(WorkEvent),
    /// The write lock, its queue, and commits under it.
    Lock(LockEvent),
    /// Saving the uncommitted work of a former holder.
    Rescue(RescueEvent),
    /// Freezes, pins, pauses and break-glass.
    Freeze(FreezeEvent),
    /// Violations, the ref journal, and the audit trail itself.
    Audit(AuditEvent),
    /// Undelivered and quarantined messages.
    Mail(MailEvent),
}

/// Every tag with its subject, sorted by tag.
static TABLE: LazyLock<Vec<(&'static str, Subject)>> = LazyLock::new(|| {
    let of = |(subject, tags): &(Subject, &'static [&'static str])| {
        let subject = *subject;
        tags.iter().map(move |tag| (*tag, subject))
    };
    let mut table: Vec<_> = SUBJECTS.iter().flat_map(of).collect();
    table.sort_unstable_by_key(|(tag, _)| *tag);
    table
});

static TAGS: LazyLock<Vec<&'static str>> = LazyLock::new(|| TABLE.iter().map(|(tag, _)| *tag).collect());

/// Returns the tags of all events, sorted.
#[must_use]
pub fn tags() -> &'static [&'static str] {
    &TAGS
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

/// Finds the tag, which is the first field in cmw's own output, and hands the fields to its subject.
struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let mut before = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == TAG {
                let Known(tag, subject) = map.next_value()?;
                let before = before.into_iter();
                let fields = Fields { tag, is_tag_read: false, before, value: None, rest: map };
                return subject.read(MapAccessDeserializer::new(fields));
            }
            before.push((key, map.next_value()?));
        }
        Err(A::Error::missing_field(TAG))
    }
}

/// A tag that is in the table.
struct Known(&'static str, Subject);

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KnownVisitor)
    }
}

struct KnownVisitor;

impl Visitor<'_> for KnownVisitor {
    type Value = Known;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tag of an event")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Known, E> {
        let known = TABLE.binary_search_by_key(&text, |(tag, _)| *tag);
        let (tag, subject) = known.map(|at| TABLE[at]).map_err(|_| E::unknown_variant(text, tags()))?;
        Ok(Known(tag, subject))
    }
}

/// The fields of an event once its tag is known: the tag, what stood before it, and what is still unread.
struct Fields<A> {
    tag: &'static str,
    is_tag_read: bool,
    before: std::vec::IntoIter<(String, Value)>,
    value: Option<FieldValue>,
    rest: A,
}

/// The value of a field that does not come from the rest.
enum FieldValue {
    Tag(&'static str),
    Before(Value),
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        if !std::mem::replace(&mut self.is_tag_read, true) {
            self.value = Some(FieldValue::Tag(self.tag));
            return seed.deserialize(TAG.into_deserializer()).map(Some);
        }
        let Some((key, value)) = self.before.next() else { return self.rest.next_key_seed(seed) };
        self.value = Some(FieldValue::Before(value));
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.value.take() {
            Some(FieldValue::Tag(tag)) => seed.deserialize(tag.into_deserializer()),
            Some(FieldValue::Before(value)) => seed.deserialize(value).map_err(A::Error::custom),
            None => self.rest.next_value_seed(seed),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.rest.size_hint().map(|rest| rest + self.before.len() + usize::from(!self.is_tag_read))
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "event_samples_tests.rs"]
pub(crate) mod samples;
