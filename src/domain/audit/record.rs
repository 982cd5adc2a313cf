//! The audit record of an event: its number, its time, and its place in the chain.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::audit::severity::Severity;
use crate::domain::event::Event;
use crate::domain::identity::actor::Actor;
use crate::domain::mail::event::{MailEvent, MessageMark};
use crate::domain::util::digest::hex;
use crate::domain::util::time::{BootId, WallTime};

/// An event with its number, its time and its place in the chain: one line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number; every record of the repository has the next one.
    pub seq: u64,
    /// The time.
    pub at: WallTime,
    /// The actor.
    pub by: Actor,
    /// How much attention it needs.
    pub severity: Severity,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// In the last record of a publish: the document that it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentSeal>,
    /// The hash of the record before, in any file.
    pub prev: String,
    /// SHA-256 of `prev` and of this record without `hash`.
    pub hash: String,
}

/// What the last record of a publish says of the document, so that an edited one shows (docs/decisions.md D29).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentSeal {
    /// SHA-256 of the state as it is written in the document.
    pub state: String,
    /// How many bytes of the ref journal have been turned into events.
    pub journal_read: u64,
    /// Where the journal ended when this document became the current one: what follows was judged by it, or by a
    /// later one. Documents of the first versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_end: Option<u64>,
    /// SHA-256 of the journal's last line at that end; empty in an empty journal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub journal_head: String,
    /// The boot in which it was published: a power cut lies between two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootId>,
    /// The messages in the User's name that this publish causes: the audit knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_mail: Vec<MessageMark>,
}

impl Record {
    /// Chains an event to the record before.
    #[must_use]
    pub fn chain(seq: u64, at: WallTime, by: &Actor, event: Event, prev: &str) -> Self {
        let severity = event.severity();
        let (by, prev) = (by.clone(), prev.to_owned());
        Self { seq, at, by, severity, event, document: None, prev, hash: String::new() }.rehashed()
    }

    /// Makes it the last record of a publish.
    #[must_use]
    pub fn sealed(self, document: DocumentSeal) -> Self {
        Self { document: Some(document), ..self }.rehashed()
    }

    /// Gives it the hash of its content.
    #[must_use]
    pub fn rehashed(mut self) -> Self {
        self.hash = self.digest();
        self
    }

    /// Returns the messages in the User's name of which it tells.
    pub fn user_mail(&self) -> impl Iterator<Item = &MessageMark> {
        let caused = self.document.iter().flat_map(|document| &document.user_mail);
        let sent = match &self.event {
            Event::Mail(MailEvent::UserMessageSent { message, .. }) => Some(message),
            Event::Mail(MailEvent::MessageQuarantined { .. } | MailEvent::MessagesUndelivered { .. })
            | Event::Policy(_)
            | Event::Session(_)
            | Event::Health(_)
            | Event::Work(_)
            | Event::Lock(_)
            | Event::Rescue(_)
            | Event::Freeze(_)
            | Event::Audit(_) => None,
        };
        caused.chain(sent)
    }

    /// Whether the record is unchanged since it was written.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.hash == self.digest()
    }

    /// Whether the actor caused it, or is concerned by it.
    #[must_use]
    pub fn concerns(&self, actor: &Actor) -> bool {
        self.by == *actor || self.event.about().contains(actor)
    }

    fn digest(&self) -> String {
        let blank = Self { hash: String::new(), ..self.clone() };
        let json = serde_json::to_vec(&blank).expect("a record has only texts and numbers");
        hex(&Sha256::new().chain_update(self.prev.as_bytes()).chain_update(json).finalize())
    }
}
