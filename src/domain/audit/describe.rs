//! One-sentence descriptions of violations, self-tests and the state of the audit trail.

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::{UnauthorizedUpdate, ViolationCause};
use crate::domain::audit::violation;
use crate::domain::identity::actor::Actor;
use crate::domain::util::phrase::{bracketed, listed};
use crate::domain::util::sanitize;

/// Returns the sentence, which follows who caused the event and its tag.
pub(crate) fn describe(event: &AuditEvent, by: &Actor) -> String {
    match event {
        AuditEvent::ViolationFound { id, cause, refs, .. } => found(*id, cause, refs, by),
        AuditEvent::ViolationsAdopted { ids, reason } => {
            format!(
                "{}: {}",
                listed(&ids.iter().map(|id| format!("V{id}")).collect::<Vec<_>>(), ", "),
                sanitize::line(reason)
            )
        }
        AuditEvent::RefsBaselined { refs, why } => format!("{refs} refs ({})", sanitize::line(why)),
        AuditEvent::SelfTested { held, what } => {
            format!("the hooks {}: {}", if *held { "work" } else { "DO NOT WORK" }, sanitize::line(what))
        }
        AuditEvent::JournalLost { byte, why } => format!("at byte {byte}: {}", sanitize::line(why)),
        AuditEvent::StateRebuilt { records, .. } => format!("the state was rebuilt from {records} records"),
        AuditEvent::Checkpoint { lost, .. } if lost.is_empty() => {
            "the whole state, as this version of cmw writes it".to_owned()
        }
        AuditEvent::Checkpoint { lost, .. } => {
            format!("the whole state, since records {} are lost", violation::ranges(lost))
        }
    }
}

/// Describes a violation, its refs and where they were found.
fn found(id: u64, cause: &ViolationCause, refs: &[UnauthorizedUpdate], by: &Actor) -> String {
    let told: Vec<String> = refs.iter().map(|r| violation::moved(&r.name, &r.was, &r.is)).collect();
    let what = format!("{}{}", listed(&told, "; "), bracketed(&violation::describe_cause(cause)));
    format!("V{id}: {}, noticed by {by}, who did it is not known", what.trim_start())
}
