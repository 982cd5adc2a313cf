//! The messages that a registration causes.

use serde_json::{Value, json};

use crate::domain::facts::Facts;
use crate::domain::identity::actor::{Actor, Address};
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::notice::Notice;
use crate::domain::mail::priority::Priority;
use crate::domain::session::event::SessionEvent;
use crate::domain::session::instance::Instance;
use crate::domain::state::State;

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &SessionEvent, after: &State, facts: &Facts) -> Vec<Notice> {
    match event {
        SessionEvent::InstanceRegistered { role, pane, .. } => registration(role, *pane, after, facts),
        SessionEvent::SessionUp { .. }
        | SessionEvent::SessionDown
        | SessionEvent::InstanceLaunched { .. }
        | SessionEvent::InstanceShutdown { .. }
        | SessionEvent::InitializationVerified { .. } => Vec::new(),
    }
}

/// Returns the registration, its acknowledgement by the tool itself, and the Orchestrator's broadcast
/// (docs/rules.md R2.4).
fn registration(role: &Role, pane: u32, state: &State, facts: &Facts) -> Vec<Notice> {
    let orchestrator = state.policy.roster.first_of(RoleKind::is_orchestrator);
    let from = orchestrator.map_or(Actor::System, |o| Actor::Role(o.clone()));
    let ack = Notice {
        from: from.clone(),
        to: Address::Role(role.clone()),
        kind: MessageType::REGISTRATION_ACK,
        priority: Priority::Low,
        subject: format!("{role} is registered"),
        body: json!({"registry": registry(state)}),
    };
    if orchestrator == Some(role) {
        let ready = Notice {
            from,
            to: Address::All,
            kind: MessageType::ORCHESTRATOR_READY,
            priority: Priority::Low,
            subject: format!("{role} is ready"),
            body: json!({"timestamp": facts.now.wall.to_string()}),
        };
        return vec![ack, ready];
    }
    let Some(orchestrator) = orchestrator else { return vec![ack] };
    let told = Notice {
        from: Actor::Role(role.clone()),
        to: Address::Role(orchestrator.clone()),
        kind: MessageType::INSTANCE_REGISTRATION,
        priority: Priority::Low,
        subject: format!("{role} is ready in pane {pane}"),
        body: json!({"type": "INSTANCE_REGISTRATION", "from": role, "pane": pane,
            "timestamp": facts.now.wall.to_string(), "status": "READY"}),
    };
    vec![told, ack]
}

fn registry(state: &State) -> Vec<Value> {
    let instance = |(role, i): (&Role, &Instance)| json!({"role": role, "pane": i.pane, "status": i.phase, "registered_at": i.since.to_string()});
    state.instances.iter().map(instance).collect()
}
