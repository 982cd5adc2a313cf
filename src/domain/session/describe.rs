//! One-sentence descriptions of the events of sessions and instances.

use crate::domain::identity::actor::Actor;
use crate::domain::session::event::SessionEvent;
use crate::domain::util::phrase::{listed, other};
use crate::domain::util::sanitize;

/// Returns the sentence, which follows who caused the event and its tag.
pub(crate) fn describe(event: &SessionEvent, by: &Actor) -> String {
    match event {
        SessionEvent::SessionUp { name, .. } => sanitize::line(name),
        SessionEvent::SessionDown => String::new(),
        SessionEvent::InstanceLaunched { role, pane_id, .. } => {
            format!("{role} in pane {}", sanitize::line(pane_id))
        }
        SessionEvent::InstanceRegistered { role, process, .. } => {
            format!("{}process {}", other("", &Actor::Role(role.clone()), by), process.pid)
        }
        SessionEvent::InstanceShutdown { role } => role.to_string(),
        SessionEvent::InitializationVerified { findings } if findings.is_empty() => "all is well".to_owned(),
        SessionEvent::InitializationVerified { findings } => listed(findings, "; "),
    }
}
