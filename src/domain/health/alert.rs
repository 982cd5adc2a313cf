//! Alerts outside tmux: which records and messages cause one, and their text (docs/rules.md R8).

use serde::{Deserialize, Serialize};

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::record::Record;
use crate::domain::describe::describe;
use crate::domain::event::Event;
use crate::domain::freeze::event::FreezeEvent;
use crate::domain::health::event::HealthEvent;
use crate::domain::health::incident::CrashResponse;
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::mail::event::MailEvent;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::priority::Priority;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::util::sanitize;
use crate::domain::util::time::WallTime;
use crate::domain::work::event::WorkEvent;

/// Longest subject, in characters: it may become the title of a window.
const SUBJECT_CHARS_MAX: usize = 200;

/// An alert: something that the person is told outside tmux.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The kind of alert, in one word.
    pub kind: String,
    /// The role concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The subject in one line; safe to show.
    pub subject: String,
    /// The command to type next.
    pub next: String,
    /// The time of the event.
    pub at: WallTime,
}

impl Alert {
    /// Creates an alert; makes its subject safe to show.
    #[must_use]
    pub fn new(kind: &str, role: Option<String>, subject: &str, next: &str, at: WallTime) -> Self {
        let subject = sanitize::shorten(&sanitize::line(subject), SUBJECT_CHARS_MAX);
        Self { kind: kind.to_owned(), role, subject, next: next.to_owned(), at }
    }
}

/// The kind of an alert, the role concerned, and the command to type next.
type Draft = (&'static str, Option<String>, String);

/// Returns the alert for a record; most records need none.
#[must_use]
pub fn of_record(record: &Record) -> Option<Alert> {
    let (kind, role, next) = match &record.event {
        Event::Freeze(event) => of_freeze(event),
        Event::Audit(event) => of_audit(event),
        Event::Rescue(event) => of_rescue(event),
        Event::Health(event) => of_health(event),
        Event::Work(event) => of_work(event),
        Event::Mail(event) => of_mail(event),
        Event::Policy(_) | Event::Session(_) | Event::Lock(_) => None,
    }?;
    let told = describe(record);
    let subject = format!("{}: {told}", record.event.tag().to_lowercase().replace('_', " "));
    Some(Alert::new(kind, role, &subject, &next, record.at))
}

fn of_freeze(event: &FreezeEvent) -> Option<Draft> {
    match event {
        FreezeEvent::SystemFrozen { .. } => Some(("freeze", None, "cmw-freeze status".to_owned())),
        FreezeEvent::SystemUnfrozen { .. } => Some(("thaw", None, "cmw".to_owned())),
        FreezeEvent::BreakGlass { .. } => Some(("break_glass", None, "cmw".to_owned())),
        FreezeEvent::FreezeHardened { .. }
        | FreezeEvent::PinsSet { .. }
        | FreezeEvent::PinVanished { .. }
        | FreezeEvent::PinsRemoved { .. }
        | FreezeEvent::BreakGlassEnded { .. }
        | FreezeEvent::InstancesPaused { .. }
        | FreezeEvent::InstancesResumed { .. } => None,
    }
}

fn of_audit(event: &AuditEvent) -> Option<Draft> {
    match event {
        AuditEvent::ViolationFound { grows: false, .. } => {
            Some(("violation", None, "cmw-audit violations".to_owned()))
        }
        AuditEvent::ViolationFound { grows: true, .. }
        | AuditEvent::ViolationsAdopted { .. }
        | AuditEvent::RefsBaselined { .. }
        | AuditEvent::SelfTested { .. }
        | AuditEvent::JournalLost { .. }
        | AuditEvent::StateRebuilt { .. }
        | AuditEvent::Checkpoint { .. } => None,
    }
}

fn of_rescue(event: &RescueEvent) -> Option<Draft> {
    match event {
        RescueEvent::RecoveryFailed { former, .. } => {
            Some(("rescue_failed", Some(former.to_string()), "cmw-doctor".to_owned()))
        }
        RescueEvent::RecoveryStarted { .. }
        | RescueEvent::WorkRescued { .. }
        | RescueEvent::RescueAbandoned { .. } => None,
    }
}

fn of_health(event: &HealthEvent) -> Option<Draft> {
    match event {
        HealthEvent::SessionLost(_) => Some(("session_lost", None, "cmw-session status".to_owned())),
        HealthEvent::InstanceCrashed(crash) if matches!(crash.plan, CrashResponse::Nothing { .. }) => {
            Some(("crash", Some(crash.role.to_string()), format!("cmw-health restart {}", crash.role)))
        }
        HealthEvent::RestartFailed(failed) if failed.again.is_none() => {
            let next = match &failed.role {
                Some(role) => format!("cmw-health restart {role}"),
                None => "cmw-session up".to_owned(),
            };
            Some(("restart_failed", failed.role.as_ref().map(ToString::to_string), next))
        }
        HealthEvent::InstanceCrashed(_)
        | HealthEvent::RestartFailed(_)
        | HealthEvent::InstanceStopping(_)
        | HealthEvent::RestartBegun(_)
        | HealthEvent::InstanceRestarted(_)
        | HealthEvent::InstanceStale(_)
        | HealthEvent::InstanceRecovered(_)
        | HealthEvent::InstanceParked(_)
        | HealthEvent::InstanceUnparked(_) => None,
    }
}

fn of_work(event: &WorkEvent) -> Option<Draft> {
    match event {
        WorkEvent::WorkBlocked(blocked) => {
            Some(("work_blocked", Some(blocked.role.to_string()), "cmw-work".to_owned()))
        }
        WorkEvent::TaskAssigned(_)
        | WorkEvent::TaskStarted(_)
        | WorkEvent::TaskDone(_)
        | WorkEvent::TaskCancelled(_)
        | WorkEvent::TaskReassigned(_) => None,
    }
}

fn of_mail(event: &MailEvent) -> Option<Draft> {
    match event {
        MailEvent::MessagesUndelivered { mailbox, urgent: true, .. } => {
            Some(("undelivered", Some(mailbox.clone()), "cmw-inbox sent".to_owned()))
        }
        MailEvent::MessagesUndelivered { .. }
        | MailEvent::MessageQuarantined { .. }
        | MailEvent::UserMessageSent { .. } => None,
    }
}

/// Returns the alert for a message, if any: for requests for the person's decision, and for critical messages
/// from roles (what the programs and the User announce is reported by the records).
#[must_use]
pub fn of_message(envelope: &Envelope) -> Option<Alert> {
    if !envelope.recipients.contains(&Mailbox::User) {
        return None;
    }
    let asks = [
        MessageType::BYPASS_APPROVED_PENDING_USER,
        MessageType::EMERGENCY_BYPASS_2FA_REQUEST,
        MessageType::EMERGENCY_BYPASS_REQUEST,
        MessageType::BYPASS_REMEDIATION_OVERDUE,
    ];
    let announces = [MessageType::SYSTEM_FREEZE, MessageType::SYSTEM_UNFROZEN].contains(&envelope.kind);
    let is_told_by_record = announces || matches!(envelope.from, Actor::System | Actor::User);
    let kind = if asks.contains(&envelope.kind) {
        "bypass_request"
    } else if envelope.priority == Priority::Critical && !is_told_by_record {
        "message"
    } else {
        return None;
    };
    let subject = format!("{}: {}", envelope.from, envelope.subject);
    let next = format!("cmw-inbox show {}", envelope.id);
    Some(Alert::new(
        kind,
        envelope.from.role().map(ToString::to_string),
        &subject,
        &next,
        envelope.created_at,
    ))
}
