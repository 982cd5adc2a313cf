//! Owns which messages an event causes: the transactional outbox carries them with the event
//! (DECISIONS 8), so that a freeze and its SYSTEM_FREEZE are one decision.

use serde_json::{Value, json};

use super::event::{Event, Release};
use super::message_type::MessageType;
use super::priority::Priority;
use super::queue;
use super::role::{Actor, Address, Kind, Role};
use super::state::{Facts, State};

/// A message that is still without id, time and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// On whose behalf.
    pub from: Actor,
    /// To whom.
    pub to: Address,
    /// Its type.
    pub kind: MessageType,
    /// Its priority.
    pub priority: Priority,
    /// One line.
    pub subject: String,
    /// What it says, for programs.
    pub body: Value,
}

/// The messages that an event causes, given the states before and after it.
#[must_use]
pub fn notices(event: &Event, by: &Actor, before: &State, after: &State, facts: &Facts) -> Vec<Notice> {
    match event {
        Event::InstanceRegistered { role, pane, .. } => registration(role, *pane, after, facts),
        Event::LockGranted { lock_id, holder, lease, .. } => {
            let was_away = |actor: &Actor| {
                before.queue.iter().any(|w| w.actor == *actor && !queue::is_calling(w, facts))
            };
            if holder == by || !was_away(holder) {
                return Vec::new();
            }
            let body =
                json!({"lock_id": lock_id, "token": lease.token, "expires_at": lease.expires_at.to_string()});
            let subject = format!("The write lock is yours ({lock_id}), until {}", lease.expires_at.clock());
            from_system(
                MessageType::WRITE_LOCK_GRANTED,
                std::slice::from_ref(holder),
                Priority::High,
                subject,
                body,
            )
        }
        Event::LockReleased { lock_id, holder, reason, .. } => released(lock_id, holder, reason, by, after),
        Event::MessageQuarantined { mailbox, file, why, sender } => {
            let mut to = overseers(after);
            to.extend(sender.iter().filter(|sender| !to.contains(sender)).cloned().collect::<Vec<_>>());
            let subject = format!("A message in the mailbox of {mailbox} did not pass its check");
            let body = json!({"mailbox": mailbox, "file": file, "why": why});
            from_system(MessageType::SECURITY_ALERT, &to, Priority::High, subject, body)
        }
        Event::SystemFrozen { reason } => vec![to_all(
            by,
            MessageType::SYSTEM_FREEZE,
            format!("{by} froze the system: {reason}"),
            json!({"reason": reason, "action": "cease all work; keep your files, commit nothing",
                "effect": "no commits, no merges, no write lock"}),
        )],
        Event::SystemUnfrozen { reason } => {
            vec![to_all(
                by,
                MessageType::SYSTEM_UNFROZEN,
                "Work may resume".to_owned(),
                json!({"reason": reason}),
            )]
        }
        Event::PolicySet { .. }
        | Event::SessionUp { .. }
        | Event::SessionDown
        | Event::InstanceLaunched { .. }
        | Event::InstanceShutdown { .. }
        | Event::InitializationVerified { .. }
        | Event::LockRequested { .. }
        | Event::LockRenewed { .. }
        | Event::WaiterRemoved { .. }
        | Event::JournalLost { .. }
        | Event::LockRefused { .. }
        | Event::CommitVerified { .. }
        | Event::StateRebuilt { .. } => Vec::new(),
    }
}

fn to_all(by: &Actor, kind: MessageType, subject: String, body: Value) -> Notice {
    Notice { from: by.clone(), to: Address::All, kind, priority: Priority::Critical, subject, body }
}

/// Registration, its acknowledgement by the tool itself, and the Orchestrator's broadcast
/// (DOMAIN section 2).
fn registration(role: &Role, pane: u32, state: &State, facts: &Facts) -> Vec<Notice> {
    let orchestrator = state.policy.roster.first_of(Kind::is_orchestrator);
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
    let instance = |(role, i): (&Role, &super::state::Instance)| json!({"role": role, "pane": i.pane, "status": i.phase, "registered_at": i.since.to_string()});
    state.instances.iter().map(instance).collect()
}

fn released(lock_id: &str, holder: &Actor, reason: &Release, by: &Actor, state: &State) -> Vec<Notice> {
    let (kind, why) = match reason {
        Release::Expired => (MessageType::WRITE_LOCK_EXPIRED, "its lease ran out".to_owned()),
        Release::HolderDied => (MessageType::WRITE_LOCK_EXPIRED, "its process is gone".to_owned()),
        Release::Forced(text) => (MessageType::WRITE_LOCK_FORCE_RELEASED, format!("{by} took it: {text}")),
        Release::Done | Release::Handover | Release::Shutdown | Release::Freeze => return Vec::new(),
    };
    let body = json!({"lock_id": lock_id, "holder": holder, "reason": why});
    let mut to = overseers(state);
    if !to.contains(holder) {
        to.push(holder.clone());
    }
    from_system(kind, &to, Priority::High, format!("{holder} no longer has the write lock: {why}"), body)
}

/// The Librarian, or the person where there is none.
fn overseers(state: &State) -> Vec<Actor> {
    vec![state.policy.roster.first_of(Kind::is_librarian).map_or(Actor::User, |l| Actor::Role(l.clone()))]
}

fn from_system(
    kind: MessageType,
    to: &[Actor],
    priority: Priority,
    subject: String,
    body: Value,
) -> Vec<Notice> {
    to.iter()
        .filter_map(|actor| match actor {
            Actor::Role(role) => Some(Address::Role(role.clone())),
            Actor::User => Some(Address::User),
            Actor::System | Actor::Unproven => None,
        })
        .map(|to| Notice {
            from: Actor::System,
            to,
            kind: kind.clone(),
            priority,
            subject: subject.clone(),
            body: body.clone(),
        })
        .collect()
}
