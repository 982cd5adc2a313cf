//! `cmw-inbox sent`: the delivery steps of each sent message for each recipient, with times.

use serde_json::Value;

use crate::domain::mail::receipt::{Delivery, ReceiptStamp, ReceiptStep, WorkOutcome};
use crate::domain::util::sanitize;
use crate::store::mail::mail_query::{self, SentMessage};

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::mail::session;
use crate::cli::inbox::MailSession;
use crate::cli::inbox::list;

/// How much of a session's id is shown, in characters.
const SESSION_SHOWN: usize = 16;

/// Lists the last messages of this sender.
pub fn sent(mail_session: &MailSession<'_>, limit: usize) -> Result<Answer, Failure> {
    let sent = mail_query::sent(mail_session.registry, &mail_session.sender.actor, limit)?;
    let data = sent.iter().map(|one| {
        let mut value = session::headers_json(&one.envelope);
        if let Value::Object(fields) = &mut value {
            fields.insert("deliveries".to_owned(), session::deliveries(&one.deliveries));
        }
        value
    });
    let data: Value = data.collect();
    let lines: Vec<String> = sent.iter().flat_map(|one| lines(mail_session, one)).collect();
    let mut answer = Answer::done(data, lines.join("\n"));
    if sent.is_empty() {
        answer.note = "no messages sent".to_owned();
    }
    Ok(answer)
}

/// Returns a line for the message, and one for each recipient.
fn lines(mail_session: &MailSession<'_>, sent: &SentMessage) -> Vec<String> {
    let e = &sent.envelope;
    let unproven = if e.proven { "" } else { "  (unproven)" };
    let (to, subject) = (sanitize::line(&e.to), sanitize::line(&e.subject));
    let age = list::age(mail_session.now(), e.created_at);
    let first = format!("{}  {to}  {}  {}  {age}{unproven}  {subject}", e.id.short(), e.kind, e.priority);
    let mut lines = vec![sanitize::shorten(&first, mail_session.columns())];
    let widest = sent.deliveries.iter().map(|(mailbox, _)| mailbox.as_str().len()).max().unwrap_or(0);
    for (mailbox, delivery) in &sent.deliveries {
        lines.push(format!("    {:<widest$}  {}", mailbox.as_str(), stamps(e.created_at, delivery)));
    }
    lines
}

/// Returns every delivery step with its time, in order.
fn stamps(sent_at: crate::domain::util::time::WallTime, delivery: &Delivery) -> String {
    let stamps =
        [&delivery.notified, &delivery.undelivered, &delivery.seen, &delivery.quarantined, &delivery.ended];
    let mut stamps: Vec<&ReceiptStamp> = stamps.into_iter().flatten().collect();
    stamps.sort_by_key(|stamp| stamp.at);
    let words =
        stamps.into_iter().map(|stamp| format!("{} {}{}", word(&stamp.step), stamp.at, by(&stamp.step)));
    let mut parts: Vec<String> = vec![format!("queued {sent_at}")];
    parts.extend(words);
    let note = match delivery.ended.as_ref().map(|stamp| &stamp.step) {
        Some(ReceiptStep::Acknowledged { note, .. }) if !note.is_empty() => {
            format!(": {}", sanitize::line(note))
        }
        Some(_) | None => String::new(),
    };
    format!("{}{note}", parts.join(", "))
}

/// Returns the id of the session that saw it, shortened.
fn by(step: &ReceiptStep) -> String {
    match step {
        ReceiptStep::Seen { session, .. } if !session.is_empty() => {
            format!(" by {}", sanitize::shorten(&sanitize::line(session), SESSION_SHOWN))
        }
        ReceiptStep::Notified { how } if !how.is_empty() => format!(" by {}", sanitize::line(how)),
        ReceiptStep::Seen { .. }
        | ReceiptStep::Notified { .. }
        | ReceiptStep::Acknowledged { .. }
        | ReceiptStep::Undelivered { .. }
        | ReceiptStep::Expired
        | ReceiptStep::Quarantined { .. }
        | ReceiptStep::DeadLettered { .. } => String::new(),
    }
}

fn word(step: &ReceiptStep) -> &'static str {
    match step {
        ReceiptStep::Notified { .. } => "notified",
        ReceiptStep::Seen { .. } => "seen",
        ReceiptStep::Acknowledged { outcome: WorkOutcome::Done, .. } => "acknowledged",
        ReceiptStep::Acknowledged { outcome: WorkOutcome::Failed, .. } => "failed",
        ReceiptStep::Undelivered { .. } => "undelivered",
        ReceiptStep::Expired => "expired",
        ReceiptStep::Quarantined { .. } => "quarantined",
        ReceiptStep::DeadLettered { .. } => "dead-lettered",
    }
}
