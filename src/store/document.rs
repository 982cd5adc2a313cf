//! The state document `cmw/state.json`: the coordination state, its outbox and the head of the audit chain.
//!
//! Format 1. A document of a later format is refused and never overwritten. A document is replaced as a
//! whole: new file, fsync, rename, fsync of the directory; a left-over new file is harmless.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::domain::audit::growth;
use crate::domain::audit::record::{DocumentSeal, Record};
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::identity::actor::Actor;
use crate::domain::mail::event::MessageMark;
use crate::domain::mail::message::Draft;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;
use crate::domain::util::digest::hex;
use crate::domain::util::time::{BootId, WallTime};

use crate::store::audit::log;
use crate::store::damage;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::{gate, jsonl, layout};

/// What repairs a damaged document.
const REMEDY: &str = "cmw-doctor --fix";

/// How the description of a document begins that is whole and not the one that was published.
pub(super) const EDITED: &str = "it was changed by hand";

/// The newest format that this program reads and writes.
pub const FORMAT: u64 = 1;

/// How a document of [`FORMAT`] begins; its number follows.
const NUMBER_FOLLOWS: &str = "{\"format\":1,\"seq\":";

/// How long a publish waits for a hook that appends to the journal, in milliseconds.
const JOURNAL_WAIT_MS: u64 = 500;

/// Largest document, in bytes; checked before parsing.
pub const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// The content of `cmw/state.json`.
#[derive(Clone, Debug)]
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
    /// The state as it is written: its digest is in the last record.
    written: Box<RawValue>,
}

/// The document as it is written, and as it is read before its state is parsed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDocument<'a> {
    format: u64,
    seq: u64,
    head: Cow<'a, str>,
    journal_read: u64,
    outbox: Cow<'a, Outbox>,
    #[serde(borrow)]
    state: &'a RawValue,
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

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = WrittenDocument {
            format: self.format,
            seq: self.seq,
            head: Cow::Borrowed(&self.head),
            journal_read: self.journal_read,
            outbox: Cow::Borrowed(&self.outbox),
            state: &self.written,
        };
        written.serialize(serializer)
    }
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
            version: 1,
        });
        Self::at(0, String::new(), 0, state).followed_by(vec![event], 0, at, by)
    }

    /// Returns a document with nothing in its outbox, from which the next one follows.
    #[must_use]
    pub fn at(seq: u64, head: String, journal_read: u64, state: State) -> Self {
        let written = written(&state);
        Self { format: FORMAT, seq, head, journal_read, outbox: Outbox::default(), state, written }
    }

    /// Returns the document that follows from these events; its outbox holds only what is new. `journal_read`:
    /// how many bytes of the journal are turned into events with these.
    #[must_use]
    pub fn followed_by(&self, events: Vec<Event>, journal_read: u64, at: WallTime, by: &Actor) -> Self {
        let mut next = Self { outbox: Outbox::default(), journal_read, ..self.clone() };
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
        next.written = written(&next.state);
        if let Some(last) = next.outbox.records.pop() {
            let state = digest(&next.written);
            let last = last.sealed(DocumentSeal { state, journal_read, ..DocumentSeal::default() });
            next.head.clone_from(&last.hash);
            next.outbox.records.push(last);
        }
        next
    }

    /// Whether an earlier version wrote the state: this one would write it otherwise.
    #[must_use]
    pub fn is_of_another_version(&self) -> bool {
        written(&self.state).get() != self.written.get()
    }

    /// Reads the current document, and compares it with the end of the audit: an older one that was put back, or
    /// one that was made from another history, is damage.
    ///
    /// # Errors
    /// [`StoreError::NotInitialised`], [`StoreError::Damaged`], [`StoreError::Newer`].
    pub fn load<D: Disk>(disk: &D) -> Result<Self, StoreError> {
        let mut recorded = 0;
        loop {
            let bytes = disk
                .read(layout::STATE, DOCUMENT_BYTES_MAX)
                .map_err(|e| StoreError::io("read", layout::STATE, e))?;
            let Some(bytes) = bytes else { return Err(missing(disk)) };
            let document = Self::parse(&bytes)?;
            if document.seq < recorded && document.is_followed(disk) {
                return Err(edited(format!(
                    "it ends with event {}, and the audit with {recorded}",
                    document.seq
                )));
            }
            match document.recorded_end(disk) {
                // Another publish has recorded its events after this one was read.
                Some((seq, _)) if seq > document.seq && recorded < seq => recorded = seq,
                Some((seq, hash)) if seq == document.seq && hash != document.head => {
                    return Err(edited(format!("event {seq} is another one in the audit")));
                }
                Some(_) | None => return Ok(document),
            }
        }
    }

    /// Returns the number of the current document, without reading more of it; `None` when its beginning is not one
    /// that a publish writes.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn current_number<D: Disk>(disk: &D) -> Result<Option<u64>, StoreError> {
        let bytes =
            disk.read_at(layout::STATE, 0, 64).map_err(|e| StoreError::io("read", layout::STATE, e))?;
        let digits = bytes.strip_prefix(NUMBER_FOLLOWS.as_bytes()).unwrap_or_default();
        let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(0);
        Ok(str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse().ok()))
    }

    /// Whether the audit goes on from this document without a gap. A single record that claims a later number is
    /// damage of its log, which the next append finds.
    fn is_followed<D: Disk>(&self, disk: &D) -> bool {
        let Ok(records) = log::read_all(disk) else { return false };
        let next = records.iter().find(|record| record.seq == self.seq + 1);
        next.is_some_and(|next| next.prev == self.head && next.is_intact())
    }

    /// Returns the number and the hash of the last record in the log that has, or is about to get, the last
    /// record of this document. A log that cannot be read, or ends with something else, is for
    /// `cmw-audit verify`: it stops no command.
    fn recorded_end<D: Disk>(&self, disk: &D) -> Option<(u64, String)> {
        #[derive(Deserialize)]
        struct RecordEnd {
            seq: u64,
            hash: String,
        }
        let last = self.outbox.records.last()?;
        let tail = jsonl::tail(disk, &layout::log(last.event.log())).ok()?;
        let end: RecordEnd = serde_json::from_slice(&tail.last?).ok()?;
        Some((end.seq, end.hash))
    }

    /// Parses a document, and compares it with its own last record.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Newer`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let file = layout::STATE.to_owned();
        let damaged = |e: serde_json::Error| StoreError::Damaged {
            file: file.clone(),
            what: e.to_string(),
            remedy: REMEDY,
        };
        let parsed = serde_json::from_slice(bytes).and_then(|it: WrittenDocument<'_>| {
            Ok(Self {
                format: it.format,
                seq: it.seq,
                head: it.head.into_owned(),
                journal_read: it.journal_read,
                outbox: it.outbox.into_owned(),
                state: serde_json::from_str(it.state.get())?,
                written: it.state.to_owned(),
            })
        });
        // The usual case is parsed once. A document of a later version need not parse as ours.
        let parsed = match parsed {
            Ok(document) if document.format <= FORMAT => return document.checked(),
            other => other,
        };
        let probe: VersionProbe = serde_json::from_slice(bytes).map_err(damaged)?;
        if let Some(theirs) = probe.format.filter(|theirs| *theirs > FORMAT) {
            return Err(StoreError::Newer { file, theirs, ours: FORMAT });
        }
        parsed.map_err(damaged)
    }

    /// Compares the document with its last record. The documents of the first versions say nothing of their
    /// state; their last record is compared with the audit.
    fn checked(self) -> Result<Self, StoreError> {
        let Some(last) = self.outbox.records.last() else {
            return Err(edited("it names no record".to_owned()));
        };
        if last.seq != self.seq || last.hash != self.head || !last.is_intact() {
            return Err(edited(format!("its last record is not event {}", self.seq)));
        }
        if let Some(seal) = &last.document {
            if seal.journal_read != self.journal_read {
                return Err(edited("another part of the ref journal was read".to_owned()));
            }
            if seal.state != digest(&self.written) {
                return Err(edited("the state is not the one that was recorded".to_owned()));
            }
        }
        Ok(self)
    }

    /// Replaces the current document with this one: the only commit point. Its last record says where the journal
    /// ends at that moment, and names the running boot: hooks append under the same lock, and look at the document's
    /// number there.
    ///
    /// # Errors
    /// [`StoreError::Io`]; then either the previous document is current, or this one is.
    pub fn publish<D: Disk>(&mut self, disk: &D, boot: &BootId) -> Result<(), StoreError> {
        let seen = journal_size(disk);
        self.seal_end(disk, boot);
        self.write_new(disk)?;
        // A hook that was stopped while it appends must not keep a freeze from its place.
        let journal = gate::take(disk, layout::JOURNAL_LOCK, JOURNAL_WAIT_MS).ok();
        if journal_size(disk) != seen {
            self.seal_end(disk, boot);
            self.write_new(disk)?;
        }
        disk.rename(layout::STATE_TMP, layout::STATE)
            .map_err(|e| StoreError::io("publish", layout::STATE, e))?;
        drop(journal);
        disk.sync_dir("cmw").map_err(|e| StoreError::io("sync", "cmw", e))
    }

    /// Notes in the last record the journal's present end, and the messages in the User's name. A journal that cannot
    /// be read has no end: `cmw-audit verify` reports it.
    pub(super) fn seal_end<D: Disk>(&mut self, disk: &D, boot: &BootId) {
        // Without a journal nothing is known of its end.
        let is_there = journal_size(disk).is_some();
        let tail = jsonl::tail(disk, layout::JOURNAL).ok().filter(|_| is_there);
        let journal_end = tail.as_ref().map(|tail| tail.whole);
        let journal_head =
            tail.and_then(|tail| tail.last).map_or_else(String::new, |line| hex(&Sha256::digest(line)));
        let of_user = self.outbox.mail.iter().filter(|draft| draft.from == Actor::User && draft.proven);
        let mark = |draft: &Draft| {
            let sealed = draft.clone().seal().ok()?;
            Some(MessageMark { id: draft.id, sha256: sealed.sha256() })
        };
        let user_mail: Vec<MessageMark> = of_user.filter_map(mark).collect();
        let boot = Some(boot.clone());
        if let Some(last) = self.outbox.records.pop() {
            let seal = last.document.clone().map(|seal| DocumentSeal {
                journal_end,
                journal_head,
                boot,
                user_mail,
                ..seal
            });
            let last = Record { document: seal, ..last }.rehashed();
            self.head.clone_from(&last.hash);
            self.outbox.records.push(last);
        }
    }

    /// Writes the document beside the current one, and syncs it.
    fn write_new<D: Disk>(&self, disk: &D) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec(self).expect("a document has only texts and numbers");
        bytes.push(b'\n');
        let (tmp, state) = (layout::STATE_TMP, layout::STATE);
        if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(StoreError::TooLarge { file: state.to_owned(), bytes: bytes.len() as u64 });
        }
        // A document that could not be read again must never become the current one.
        Self::parse(&bytes)?;
        damage::clear(disk, tmp)?;
        disk.create_new(tmp, &bytes).map_err(|e| StoreError::io("write", tmp, e))?;
        disk.sync(tmp).map_err(|e| StoreError::io("sync", tmp, e))
    }
}

fn journal_size<D: Disk>(disk: &D) -> Option<u64> {
    disk.size(layout::JOURNAL).ok().flatten()
}

fn written(state: &State) -> Box<RawValue> {
    serde_json::value::to_raw_value(state).expect("a state has only texts and numbers")
}

fn digest(state: &RawValue) -> String {
    hex(&Sha256::digest(state.get()))
}

/// Returns the error for a document that was changed by something else than a publish.
fn edited(why: String) -> StoreError {
    StoreError::Damaged { file: layout::STATE.to_owned(), what: format!("{EDITED}: {why}"), remedy: REMEDY }
}

/// Tells a repository that was never set up from a lost document: the audit has a record of the first
/// publish.
fn missing<D: Disk>(disk: &D) -> StoreError {
    if disk.list(layout::AUDIT).is_ok_and(|names| names.iter().any(|name| name.ends_with(".log"))) {
        return StoreError::Damaged {
            file: layout::STATE.to_owned(),
            what: "it is missing, and it was there".to_owned(),
            remedy: REMEDY,
        };
    }
    StoreError::NotInitialised
}
