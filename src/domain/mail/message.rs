//! Messages: the envelope, its canonical bytes and their digest (docs/rules.md R3.1).
//!
//! Canonical bytes are the JSON of everything but `seq` and `sha256`, keys sorted, characters that
//! could act on a terminal escaped. They are what the registry stores and what the digest covers.
//!
//! Invariants (each has a test of the same name):
//! * `unknown_fields_survive_a_round_trip`
//! * `canonical_bytes_are_sorted_and_harmless`
//! * `any_change_to_a_message_changes_its_digest`
//! * `what_can_be_sealed_can_be_read_back`

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::mail::id::MessageId;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::priority::Priority;
use crate::domain::util::digest::Digest;
use crate::domain::util::sanitize;
use crate::domain::util::time::WallTime;

/// The largest body, in bytes as given (docs/rules.md R3.2).
pub const BODY_BYTES_MAX: usize = 262_144;
/// The longest subject, in characters.
pub const SUBJECT_CHARS_MAX: usize = 200;
/// The largest canonical form, in bytes: a legal body of control characters needs 1.6 MB.
pub const CANONICAL_BYTES_MAX: usize = 2_000_000;
/// The deepest nesting of JSON in a message; every reader stops at 128.
pub const DEPTH_MAX: usize = 64;

/// The names that an unknown field may not have: cmw adds them to the draft itself.
const RESERVED: [&str; 2] = ["seq", "sha256"];

/// The body of a message: text, or a JSON value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Body {
    /// Plain text.
    Text(String),
    /// Any JSON value but a string, which is [`Body::Text`].
    Json(Value),
}

impl Body {
    /// Returns a body of text.
    ///
    /// # Errors
    /// [`DraftError::BodyTooLarge`].
    pub fn text(text: impl Into<String>) -> Result<Self, DraftError> {
        let text = text.into();
        check_body_bytes(text.len())?;
        Ok(Self::Text(text))
    }

    /// Returns a body of JSON, parsed from its text. Numbers beyond 64 bits are rounded to the nearest
    /// double.
    ///
    /// # Errors
    /// [`DraftError::BodyTooLarge`] or [`DraftError::BodyNotJson`].
    pub fn json(text: &str) -> Result<Self, DraftError> {
        check_body_bytes(text.len())?;
        // Untagged: a string becomes text, everything else JSON.
        serde_json::from_str(text).map_err(|e| DraftError::BodyNotJson(e.to_string()))
    }

    /// Returns the body for people: the text itself, or indented JSON. Not yet safe for a terminal.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Json(value) => format!("{value:#}"),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Json(value) => value.to_string().len(),
        }
    }
}

fn check_body_bytes(bytes: usize) -> Result<(), DraftError> {
    if bytes > BODY_BYTES_MAX { Err(DraftError::BodyTooLarge { bytes }) } else { Ok(()) }
}

/// The reason for which a draft cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// More than [`BODY_BYTES_MAX`].
    #[error("the body has {bytes} bytes; at most {BODY_BYTES_MAX} fit (put it in a file and send its name)")]
    BodyTooLarge {
        /// Its size, in bytes.
        bytes: usize,
    },
    /// The body was announced as JSON and is not.
    #[error("the body is not JSON: {0}")]
    BodyNotJson(String),
    /// More than one line, or more than [`SUBJECT_CHARS_MAX`] characters.
    #[error("a subject is one line of at most {SUBJECT_CHARS_MAX} characters")]
    Subject,
    /// An address without a recipient.
    #[error("{0} has no recipient")]
    NoRecipient(String),
    /// More than [`DEPTH_MAX`] levels of JSON.
    #[error("the message is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// More than [`CANONICAL_BYTES_MAX`], with all its recipients and unknown fields.
    #[error("the message has {bytes} bytes as stored; at most {CANONICAL_BYTES_MAX} fit")]
    TooLarge {
        /// Its size, in bytes.
        bytes: usize,
    },
    /// A field that would not be read back as it was written.
    #[error("the field {0} cannot be stored")]
    Field(String),
}

/// A message before it has a number and a digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Chosen by the sender: sending it again is the same send.
    pub id: MessageId,
    /// The sender.
    pub from: Actor,
    /// Whether the sender's identity was proven; written only when it was not.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub proven: bool,
    /// The address as written, in its canonical form.
    pub to: String,
    /// The mailboxes to which the address resolved when it was sent.
    pub recipients: Vec<Mailbox>,
    /// Its type; unknown types are delivered too.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// Its priority.
    pub priority: Priority,
    /// The time at which it was written.
    pub created_at: WallTime,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<MessageId>,
    /// The first message of its thread; its own id when it answers none.
    pub thread: MessageId,
    /// One line.
    pub subject: String,
    /// Its body.
    pub body: Body,
    /// The time after which it is of no use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<WallTime>,
    /// Whether the sender waits for an acknowledgement.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ack_required: bool,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Draft {
    /// Returns a plain message: normal priority, its own thread, no deadline.
    #[must_use]
    pub fn new(
        id: MessageId,
        from: Actor,
        to: String,
        recipients: Vec<Mailbox>,
        created_at: WallTime,
    ) -> Self {
        Self {
            id,
            proven: from != Actor::Unproven,
            from,
            to,
            recipients,
            kind: MessageType::message(),
            priority: Priority::default(),
            created_at,
            in_reply_to: None,
            thread: id,
            subject: String::new(),
            body: Body::Text(String::new()),
            expires_at: None,
            ack_required: false,
            extra: Map::new(),
        }
    }

    /// Makes it an answer, in the thread of the message that it answers.
    #[must_use]
    pub fn replying_to(mut self, parent: &Self) -> Self {
        self.in_reply_to = Some(parent.id);
        self.thread = parent.thread;
        self
    }

    /// Whether its time of use is over.
    #[must_use]
    pub fn has_expired(&self, now: WallTime) -> bool {
        self.expires_at.is_some_and(|at| at < now)
    }

    /// Returns the sender as it is shown.
    #[must_use]
    pub fn sender(&self) -> String {
        if self.proven || self.from == Actor::Unproven {
            self.from.to_string()
        } else {
            format!("{} (unproven)", self.from)
        }
    }

    /// Whether this mailbox is among the recipients.
    #[must_use]
    pub fn is_for(&self, mailbox: &Mailbox) -> bool {
        self.recipients.contains(mailbox)
    }

    /// Checks every limit and computes the digest; the message cannot change afterwards.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn seal(self) -> Result<SealedMessage, DraftError> {
        check_body_bytes(self.body.bytes())?;
        if self.subject.contains(['\n', '\r']) || self.subject.chars().count() > SUBJECT_CHARS_MAX {
            return Err(DraftError::Subject);
        }
        if self.recipients.is_empty() {
            return Err(DraftError::NoRecipient(sanitize::line(&self.to)));
        }
        let times = [Some(("created_at", self.created_at)), self.expires_at.map(|at| ("expires_at", at))];
        for (name, at) in times.into_iter().flatten() {
            if WallTime::try_from(at.to_string()) != Ok(at) {
                return Err(DraftError::Field(name.to_owned()));
            }
        }
        let mut plain = self.clone();
        plain.extra = Map::new();
        let known = value_of(&plain);
        let taken = |name: &&String| known.get(name.as_str()).is_some() || is_ours(name);
        if let Some(name) = self.extra.keys().find(taken) {
            return Err(DraftError::Field(sanitize::line(name)));
        }
        let value = value_of(&self);
        if depth(&value) > DEPTH_MAX {
            return Err(DraftError::TooDeep);
        }
        let canonical = sanitize::ascii_safe_json(&value.to_string());
        if canonical.len() > CANONICAL_BYTES_MAX {
            return Err(DraftError::TooLarge { bytes: canonical.len() });
        }
        Ok(SealedMessage { sha256: Digest::of(canonical.as_bytes()), draft: self, canonical })
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// The reason for which they are invalid.
    pub fn from_canonical(json: &str) -> Result<Self, String> {
        let draft: Self = serde_json::from_str(json).map_err(|e| e.to_string())?;
        match draft.extra.keys().find(|name| is_ours(name)) {
            Some(name) => Err(format!("the field {name} does not belong there")),
            None => Ok(draft),
        }
    }
}

/// Whether a field is one that a draft may leave out, or one of the envelope outside the draft.
fn is_ours(name: &str) -> bool {
    RESERVED.contains(&name) || ["proven", "in_reply_to", "expires_at", "ack_required"].contains(&name)
}

fn value_of(draft: &Draft) -> Value {
    serde_json::to_value(draft).expect("names are strings and numbers are finite")
}

fn depth(value: &Value) -> usize {
    // Values come from a parser that stops at 128 levels, or from cmw's own code.
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// A message whose digest is computed: ready for the registry, which gives it its number.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedMessage {
    draft: Draft,
    sha256: Digest,
    canonical: String,
}

impl SealedMessage {
    /// Returns the draft that was sealed.
    #[must_use]
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Returns the digest of the canonical bytes.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// Returns the canonical bytes, which the registry stores.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Returns the envelope with the number that the registry gave.
    #[must_use]
    pub fn numbered(&self, seq: u64) -> Envelope {
        Envelope { seq, sha256: self.sha256, draft: self.draft.clone() }
    }
}

/// A message as it is stored: a draft with its number and its digest.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Its number in the repository; grows by one.
    pub seq: u64,
    /// The digest of its canonical bytes.
    pub sha256: Digest,
    /// The draft.
    pub draft: Draft,
}

impl Deref for Envelope {
    type Target = Draft;
    fn deref(&self) -> &Draft {
        &self.draft
    }
}

impl Envelope {
    /// Whether the digest matches the content.
    #[must_use]
    pub fn verify(&self) -> bool {
        Digest::of(sanitize::ascii_safe_json(&value_of(&self.draft).to_string()).as_bytes()) == self.sha256
    }

    /// Returns all fields as one JSON object, `seq` and `sha256` included.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut value = value_of(&self.draft);
        let sha256 = Value::String(self.sha256.to_string());
        if let Value::Object(fields) = &mut value {
            fields.extend([("seq".to_owned(), self.seq.into()), ("sha256".to_owned(), sha256)]);
        }
        value
    }

    /// Returns indented JSON that is harmless on a terminal: the text of a mailbox file.
    #[must_use]
    pub fn to_file(&self) -> String {
        sanitize::ascii_safe_json(&format!("{:#}\n", self.to_value()))
    }

    /// Reads what [`Envelope::to_file`] wrote; the digest is not checked.
    ///
    /// # Errors
    /// The reason for which the text is invalid.
    pub fn from_file(json: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Outer {
            seq: u64,
            sha256: Digest,
            #[serde(flatten)]
            draft: Draft,
        }
        let Outer { seq, sha256, draft } = serde_json::from_str(json).map_err(|e| e.to_string())?;
        Ok(Self { seq, sha256, draft })
    }
}

impl fmt::Display for Envelope {
    /// Writes one line that is safe on a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Draft { id, from, kind, priority, subject, .. } = &self.draft;
        write!(f, "{id} {from} {kind} {priority} {}", sanitize::line(subject))
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
