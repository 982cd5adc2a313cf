//! The messages that freezes, pauses and break-glass cause.

use serde_json::{Value, json};

use crate::domain::freeze::event::FreezeEvent;
use crate::domain::guard::git_ref::branch;
use crate::domain::identity::actor::{Actor, Address};
use crate::domain::identity::role::Role;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::notice::{Notice, alarm, to_all};
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &FreezeEvent, by: &Actor, after: &State) -> Vec<Notice> {
    match event {
        FreezeEvent::InstancesPaused { roles, reason } => {
            let by_name = by.in_sentence();
            let subject = format!("{by_name} paused you: change nothing until you are told to go on");
            each(by, MessageType::INSTANCE_PAUSED, roles, &subject, &json!({"reason": reason}))
        }
        FreezeEvent::InstancesResumed { roles } => {
            let subject = format!("{} lets you go on", by.in_sentence());
            each(by, MessageType::INSTANCE_RESUMED, roles, &subject, &json!({}))
        }
        FreezeEvent::SystemFrozen { reason, .. } => vec![to_all(
            by,
            MessageType::SYSTEM_FREEZE,
            format!("{by} froze the system: {reason}"),
            json!({"reason": reason, "action": "cease all work; keep your files, commit nothing",
                "effect": "no commits, no merges, no write lock"}),
        )],
        FreezeEvent::PinVanished { reference, freeze } => {
            let subject = format!("The pin of {} was taken away while frozen", branch(reference));
            alarm(after, subject, json!({"ref": reference, "freeze": freeze}))
        }
        FreezeEvent::BreakGlass { reason, until_at, .. } => {
            let subject =
                format!("{by} moves branches without the lock until {}: {reason}", until_at.clock());
            let body = json!({"reason": reason, "until": until_at});
            vec![to_all(by, MessageType::SECURITY_ALERT, subject, body)]
        }
        FreezeEvent::BreakGlassEnded { .. } => {
            let body = json!({"effect": "the User needs the write lock again"});
            vec![to_all(&Actor::System, MessageType::SECURITY_ALERT, "Break-glass is over".to_owned(), body)]
        }
        FreezeEvent::SystemUnfrozen { reason, .. } => {
            vec![to_all(
                by,
                MessageType::SYSTEM_UNFROZEN,
                "Work may resume".to_owned(),
                json!({"reason": reason}),
            )]
        }
        FreezeEvent::FreezeHardened { .. }
        | FreezeEvent::PinsSet { .. }
        | FreezeEvent::PinsRemoved { .. } => Vec::new(),
    }
}

/// Returns the same message to each of these roles.
fn each(by: &Actor, kind: MessageType, roles: &[Role], subject: &str, body: &Value) -> Vec<Notice> {
    let one = |role: &Role| Notice {
        from: by.clone(),
        to: Address::Role(role.clone()),
        kind: kind.clone(),
        priority: Priority::High,
        subject: subject.to_owned(),
        body: body.clone(),
    };
    roles.iter().map(one).collect()
}
