//! The state document `cmw/state.json`: the coordination state, its outbox and the head of the audit chain.
//!
//! Format 1. A document of a later format is refused and never overwritten. A document is replaced as a
//! whole: new file, fsync, rename, fsync of the directory; a left-over new file is harmless.

use serde::{Deserialize, Serialize};

use crate::domain::audit::growth;
use crate::domain::audit::record::Record;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::identity::actor::Actor;
use crate::domain::mail::message::Draft;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;
use crate::domain::util::time::WallTime;

use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::layout;

/// The newest format that this program reads and writes.
pub const FORMAT: u64 = 1;

/// Largest document, in bytes; checked before parsing.
pub const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// The content of `cmw/state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The format number.
    pub format: u64,
    /// The sequence number of the last event.
    pub seq: u64,
    /// The hash of the last event's record.
    pub head: String,
    /// How many bytes of the hooks' journal have been turned into events.
    pub journal_read: u64,
    /// Events and messages of this publish that may not have been delivered yet.
    pub outbox: Outbox,
    /// The state itself.
    pub state: State,
}

/// Records and messages that the next transaction delivers when they are missing at their destination.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    /// For the audit logs.
    pub records: Vec<Record>,
    /// For the message registry; their ids are final.
    pub mail: Vec<Draft>,
    /// The registry's last number at the time of the publish: the messages can only follow it.
    pub mail_after: u64,
}

#[derive(Deserialize)]
struct VersionProbe {
    format: Option<u64>,
}

impl Document {
    /// Returns the document of a new repository.
    #[must_use]
    pub fn new(state: State, at: WallTime, by: &Actor) -> Self {
        let event = Event::Policy(PolicyEvent::PolicySet {
            repo_id: state.repo_id.clone(),
            digest: state.policy.digest(),
            policy: Box::new(state.policy.clone()),
            weakens: Vec::new(),
        });
        let (head, outbox) = (String::new(), Outbox::default());
        let empty = Self { format: FORMAT, seq: 0, head, journal_read: 0, outbox, state };
        empty.followed_by(vec![event], at, by)
    }

    /// Returns the document that follows from these events; its outbox holds only what is new.
    #[must_use]
    pub fn followed_by(&self, events: Vec<Event>, at: WallTime, by: &Actor) -> Self {
        let mut next = Self { outbox: Outbox::default(), ..self.clone() };
        for mut event in events {
            if let Event::Audit(event) = &mut event {
                growth::number(&next.state, event);
            }
            evolve(&mut next.state, &event, at, by);
            next.seq += 1;
            let record = Record::chain(next.seq, at, by, event, &next.head);
            next.head.clone_from(&record.hash);
            next.outbox.records.push(record);
        }
        next
    }

    /// Reads the current document.
    ///
    /// # Errors
    /// [`StoreError::NotInitialised`], [`StoreError::Damaged`], [`StoreError::Newer`].
    pub fn load<D: Disk>(disk: &D) -> Result<Self, StoreError> {
        let bytes = disk
            .read(layout::STATE, DOCUMENT_BYTES_MAX)
            .map_err(|e| StoreError::io("read", layout::STATE, e))?;
        let Some(bytes) = bytes else { return Err(missing(disk)) };
        Self::parse(&bytes)
    }

    /// Parses a document.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Newer`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let file = layout::STATE.to_owned();
        let remedy = "cmw-doctor --fix";
        let damaged =
            |e: serde_json::Error| StoreError::Damaged { file: file.clone(), what: e.to_string(), remedy };
        let parsed: Result<Self, _> = serde_json::from_slice(bytes);
        // The usual case is parsed once. A document of a later version need not parse as ours.
        let parsed = match parsed {
            Ok(document) if document.format <= FORMAT => return Ok(document),
            other => other,
        };
        let probe: VersionProbe = serde_json::from_slice(bytes).map_err(damaged)?;
        if let Some(theirs) = probe.format.filter(|theirs| *theirs > FORMAT) {
            return Err(StoreError::Newer { file, theirs, ours: FORMAT });
        }
        parsed.map_err(damaged)
    }

    /// Replaces the current document with this one: the only commit point.
    ///
    /// # Errors
    /// [`StoreError::Io`]; then either the previous document is current, or this one is.
    pub fn publish<D: Disk>(&self, disk: &D) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec(self).expect("a document has only texts and numbers");
        bytes.push(b'\n');
        let (tmp, state) = (layout::STATE_TMP, layout::STATE);
        if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(StoreError::TooLarge { file: state.to_owned(), bytes: bytes.len() as u64 });
        }
        // A document that could not be read again must never become the current one.
        Self::parse(&bytes)?;
        disk.remove(tmp).map_err(|e| StoreError::io("remove", tmp, e))?;
        disk.create_new(tmp, &bytes).map_err(|e| StoreError::io("write", tmp, e))?;
        disk.sync(tmp).map_err(|e| StoreError::io("sync", tmp, e))?;
        disk.rename(tmp, state).map_err(|e| StoreError::io("publish", state, e))?;
        disk.sync_dir("cmw").map_err(|e| StoreError::io("sync", "cmw", e))
    }
}

/// Tells a repository that was never set up from a lost document: the audit has a record of the first
/// publish.
fn missing<D: Disk>(disk: &D) -> StoreError {
    if disk.list(layout::AUDIT).is_ok_and(|names| names.iter().any(|name| name.ends_with(".log"))) {
        return StoreError::Damaged {
            file: layout::STATE.to_owned(),
            what: "it is missing, and it was there".to_owned(),
            remedy: "cmw-doctor --fix",
        };
    }
    StoreError::NotInitialised
}
