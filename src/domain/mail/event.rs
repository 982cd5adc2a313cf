//! The events of messages, with their log, severity and the actors they concern.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::mail::id::MessageId;
use crate::domain::util::digest::Digest;
use crate::domain::util::tags::tags;

/// An event of messages on their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MailEvent {
    /// A message did not pass its check and was put aside.
    MessageQuarantined {
        /// The mailbox.
        mailbox: String,
        /// The file's name.
        file: String,
        /// The failed check.
        why: String,
        /// The sender of the message that the file should have been, when that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<Actor>,
    },
    /// Messages were not seen within their deadline; they stay where they are.
    MessagesUndelivered {
        /// The mailbox.
        mailbox: String,
        /// The number of messages.
        count: u64,
        /// The senders.
        senders: Vec<Actor>,
        /// The id and the subject of the first.
        first: String,
        /// The obstacle, as far as it is known.
        why: String,
        /// Whether one of them is urgent.
        #[serde(default, skip_serializing_if = "is_false")]
        urgent: bool,
    },
    /// The User sends a message: one in the User's name of which no record tells is not the User's
    /// (docs/decisions.md D37).
    UserMessageSent {
        /// The address.
        to: String,
        /// The message.
        message: MessageMark,
    },
}

/// A message and its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageMark {
    /// Its id.
    pub id: MessageId,
    /// The digest of its canonical bytes.
    pub sha256: Digest,
}

tags! { MailEvent:
    MessageQuarantined => "MESSAGE_QUARANTINED",
    MessagesUndelivered => "MESSAGES_UNDELIVERED",
    UserMessageSent => "USER_MESSAGE_SENT",
}

impl MailEvent {
    /// Returns the file of `audit/` that holds its record (the guide's names).
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::MessageQuarantined { .. } => "security-events.log",
            Self::MessagesUndelivered { .. } | Self::UserMessageSent { .. } => "orchestrator-decisions.log",
        }
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::MessageQuarantined { .. } => Severity::High,
            Self::MessagesUndelivered { .. } => Severity::Warning,
            Self::UserMessageSent { .. } => Severity::Info,
        }
    }

    /// Returns the actors it concerns, without the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::MessageQuarantined { sender, .. } => sender.iter().cloned().collect(),
            Self::MessagesUndelivered { mailbox, senders, .. } => {
                let recipient = Role::parse(mailbox).ok().map(Actor::Role);
                recipient.into_iter().chain(senders.iter().cloned()).collect()
            }
            Self::UserMessageSent { .. } => Vec::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
