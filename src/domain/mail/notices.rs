//! The messages caused by messages that did not arrive.

use serde_json::json;

use crate::domain::identity::actor::Actor;
use crate::domain::mail::event::MailEvent;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::SUBJECT_CHARS_MAX;
use crate::domain::mail::notice::{Notice, from_system, overseers};
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;
use crate::domain::util::sanitize;

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &MailEvent, after: &State) -> Vec<Notice> {
    match event {
        MailEvent::MessageQuarantined { mailbox, file, why, sender } => {
            let mut to = overseers(after);
            to.extend(sender.iter().filter(|sender| !to.contains(sender)).cloned().collect::<Vec<_>>());
            let subject = format!("A message in the mailbox of {mailbox} did not pass its check");
            let body = json!({"mailbox": mailbox, "file": file, "why": why});
            from_system(MessageType::SECURITY_ALERT, &to, Priority::High, subject, body)
        }
        MailEvent::MessagesUndelivered { mailbox, count, senders, first, why, .. } => {
            let subject =
                sanitize::shorten(&format!("{count} unseen by {mailbox}: {first}"), SUBJECT_CHARS_MAX);
            let body = json!({"mailbox": mailbox, "count": count, "first": first, "why": why,
                "look": "cmw-inbox sent"});
            let mut to = vec![Actor::User];
            to.extend(senders.iter().filter(|sender| **sender != Actor::User).cloned());
            from_system(MessageType::MESSAGE_UNDELIVERED, &to, Priority::Normal, subject, body)
        }
        MailEvent::UserMessageSent { .. } => Vec::new(),
    }
}
