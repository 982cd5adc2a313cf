//! Owns of what the person is told outside tmux (DOMAIN section 8), and in which words.

use serde::{Deserialize, Serialize};

use crate::domain::audit::record::Record;
use crate::domain::describe;
use crate::domain::event::Event;
use crate::domain::health::incident::Plan;
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::priority::Priority;
use crate::domain::util::sanitize;
use crate::domain::util::time::Wall;

/// Longest subject, in characters: it may become the title of a window.
const SUBJECT_CHARS_MAX: usize = 200;

/// Something that the person should know of although they do not look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is, in one word.
    pub kind: String,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it is, in one line; safe to show.
    pub subject: String,
    /// The command to type next.
    pub next: String,
    /// When it happened.
    pub at: Wall,
}

impl Alert {
    /// An alert; its subject is made safe.
    #[must_use]
    pub fn new(kind: &str, role: Option<String>, subject: &str, next: &str, at: Wall) -> Self {
        let subject = sanitize::shorten(&sanitize::line(subject), SUBJECT_CHARS_MAX);
        Self { kind: kind.to_owned(), role, subject, next: next.to_owned(), at }
    }
}

/// What the person is told of a record, if anything.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "most records are no alarm, and new ones need not be")]
pub fn of_record(record: &Record) -> Option<Alert> {
    let (kind, role, next) = match &record.event {
        Event::SystemFrozen { .. } => ("freeze", None, "cmw-freeze status".to_owned()),
        Event::SystemUnfrozen { .. } => ("thaw", None, "cmw".to_owned()),
        Event::BreakGlass { .. } => ("break_glass", None, "cmw".to_owned()),
        Event::ViolationFound { .. } => ("violation", None, "cmw-audit violations".to_owned()),
        Event::RecoveryFailed { former, .. } => {
            ("rescue_failed", Some(former.to_string()), "cmw-doctor".to_owned())
        }
        Event::SessionLost(_) => ("session_lost", None, "cmw-session status".to_owned()),
        Event::InstanceCrashed(crash) if matches!(crash.plan, Plan::Nothing { .. }) => {
            ("crash", Some(crash.role.to_string()), format!("cmw-health restart {}", crash.role))
        }
        Event::RestartFailed(failed) if failed.again.is_none() => {
            let next = match &failed.role {
                Some(role) => format!("cmw-health restart {role}"),
                None => "cmw-session up".to_owned(),
            };
            ("restart_failed", failed.role.as_ref().map(ToString::to_string), next)
        }
        Event::WorkBlocked(blocked) => {
            ("work_blocked", Some(blocked.role.to_string()), "cmw-work".to_owned())
        }
        Event::MessagesUndelivered { mailbox, urgent: true, .. } => {
            ("undelivered", Some(mailbox.clone()), "cmw-inbox sent".to_owned())
        }
        _ => return None,
    };
    let told = describe::describe(record);
    let subject = format!("{}: {told}", describe::name(&record.event).to_lowercase().replace('_', " "));
    Some(Alert::new(kind, role, &subject, &next, record.at))
}

/// What the person is told of a message, if anything: what waits for their decision, and what is urgent and
/// was written by somebody else (of what the programs say, also in somebody's name, the records tell).
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
