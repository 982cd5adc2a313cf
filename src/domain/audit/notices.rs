//! The messages that a violation causes.

use serde_json::json;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::ViolationCause;
use crate::domain::audit::violation;
use crate::domain::mail::notice::{Notice, alarm};
use crate::domain::state::State;

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &AuditEvent, after: &State) -> Vec<Notice> {
    match event {
        // The event PinVanished has its own message.
        AuditEvent::ViolationFound { cause: ViolationCause::Pin { .. }, .. }
        | AuditEvent::ViolationFound { grows: true, .. } => Vec::new(),
        AuditEvent::ViolationFound { cause, refs, .. } => {
            let told: Vec<String> = refs.iter().map(|r| violation::moved(&r.name, &r.was, &r.is)).collect();
            let subject = match told.first() {
                Some(what) => format!("{what}, which nothing allowed"),
                None => violation::describe_cause(cause),
            };
            alarm(after, subject, json!({"cause": cause, "moved": told, "look": "cmw-audit violations"}))
        }
        AuditEvent::ViolationsAdopted { .. }
        | AuditEvent::RefsBaselined { .. }
        | AuditEvent::SelfTested { .. }
        | AuditEvent::JournalLost { .. }
        | AuditEvent::StateRebuilt { .. }
        | AuditEvent::Checkpoint { .. } => Vec::new(),
    }
}
