//! Sentences for messages that did not arrive.

use crate::domain::mail::event::MailEvent;
use crate::domain::util::sanitize;

/// Returns the sentence; it follows the name of the actor and the event's tag.
pub(crate) fn describe(event: &MailEvent) -> String {
    match event {
        MailEvent::MessageQuarantined { mailbox, file, why, .. } => {
            format!(
                "{} in the mailbox of {}: {}",
                sanitize::line(file),
                sanitize::line(mailbox),
                sanitize::line(why)
            )
        }
        MailEvent::MessagesUndelivered { mailbox, count, why, .. } => {
            format!("{count} for {}: {}", sanitize::line(mailbox), sanitize::line(why))
        }
        MailEvent::UserMessageSent { to, message } => format!("{} to {}", message.id, sanitize::line(to)),
    }
}
