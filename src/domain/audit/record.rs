//! The audit record of an event: its number, its time, and its place in the chain.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::audit::severity::Severity;
use crate::domain::event::Event;
use crate::domain::identity::actor::Actor;
use crate::domain::util::digest::hex;
use crate::domain::util::time::WallTime;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
