//! What can happen to messages: events, their log, severity and whom they are about.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::util::tags::tags;

/// Something that happened to messages on their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MailEvent {
    /// A message did not pass its check and was put aside.
    MessageQuarantined {
        /// Whose mailbox.
        mailbox: String,
        /// The file's name.
        file: String,
        /// What was wrong.
        why: String,
        /// Who sent the message whose place it had, when that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<Actor>,
    },
    /// Nobody saw messages within their deadline; they stay where they are.
    MessagesUndelivered {
        /// Whose mailbox.
        mailbox: String,
        /// How many.
        count: u64,
        /// Who sent them.
        senders: Vec<Actor>,
        /// The id and the subject of the first.
        first: String,
        /// What stands in the way, as far as it is known.
        why: String,
        /// Whether one of them is urgent.
        #[serde(default, skip_serializing_if = "is_false")]
        urgent: bool,
    },
}

tags! { MailEvent:
    MessageQuarantined => "MESSAGE_QUARANTINED",
    MessagesUndelivered => "MESSAGES_UNDELIVERED",
}

impl MailEvent {
    /// The file of `audit/` in which its record stands: the guide's names.
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::MessageQuarantined { .. } => "security-events.log",
            Self::MessagesUndelivered { .. } => "orchestrator-decisions.log",
        }
    }

    /// How much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::MessageQuarantined { .. } => Severity::High,
            Self::MessagesUndelivered { .. } => Severity::Warning,
        }
    }

    /// Whom it is about, besides the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::MessageQuarantined { sender, .. } => sender.iter().cloned().collect(),
            Self::MessagesUndelivered { mailbox, senders, .. } => {
                let recipient = Role::parse(mailbox).ok().map(Actor::Role);
                recipient.into_iter().chain(senders.iter().cloned()).collect()
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
