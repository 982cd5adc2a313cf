//! `cmw-inbox sent`: the delivery steps of each sent message for each recipient, with times.

use serde_json::Value;

use crate::domain::mail::receipt::{Delivery, Outcome, Stamp, Step};
use crate::domain::util::sanitize;
use crate::store::mail::mail_query;
use crate::store::mail::mail_query::Sent;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::mail::session;
use crate::cli::inbox::Desk;
use crate::cli::inbox::list;

/// How much of a session's id is shown, in characters.
const SESSION_SHOWN: usize = 16;

/// Lists the last messages of this sender.
pub fn sent(desk: &Desk<'_>, limit: usize) -> Result<Answer, Failure> {
    let sent = mail_query::sent(desk.registry, &desk.party.actor, limit)?;
    let data = sent.iter().map(|one| {
        let mut value = session::headers(&one.envelope);
        if let Value::Object(fields) = &mut value {
            fields.insert("deliveries".to_owned(), session::deliveries(&one.deliveries));
        }
        value
    });
    let data: Value = data.collect();
    let lines: Vec<String> = sent.iter().flat_map(|one| lines(desk, one)).collect();
    let mut answer = Answer::done(data, lines.join("\n"));
    if sent.is_empty() {
        answer.note = "no messages sent".to_owned();
    }
    Ok(answer)
}

/// A line for the message, and one for each recipient.
fn lines(desk: &Desk<'_>, sent: &Sent) -> Vec<String> {
    let e = &sent.envelope;
    let unproven = if e.proven { "" } else { "  (unproven)" };
    let (to, subject) = (sanitize::line(&e.to), sanitize::line(&e.subject));
    let age = list::age(desk.now(), e.created_at);
    let first = format!("{}  {to}  {}  {}  {age}{unproven}  {subject}", e.id.short(), e.kind, e.priority);
    let mut lines = vec![sanitize::shorten(&first, desk.columns())];
    let widest = sent.deliveries.iter().map(|(mailbox, _)| mailbox.as_str().len()).max().unwrap_or(0);
    for (mailbox, delivery) in &sent.deliveries {
        lines.push(format!("    {:<widest$}  {}", mailbox.as_str(), stamps(e.created_at, delivery)));
    }
    lines
}

/// Every delivery step with its time, in order.
fn stamps(sent_at: crate::domain::util::time::Wall, delivery: &Delivery) -> String {
    let stamps =
        [&delivery.notified, &delivery.undelivered, &delivery.seen, &delivery.quarantined, &delivery.ended];
    let mut stamps: Vec<&Stamp> = stamps.into_iter().flatten().collect();
    stamps.sort_by_key(|stamp| stamp.at);
    let words =
        stamps.into_iter().map(|stamp| format!("{} {}{}", word(&stamp.step), stamp.at, by(&stamp.step)));
    let mut parts: Vec<String> = vec![format!("queued {sent_at}")];
    parts.extend(words);
    let note = match delivery.ended.as_ref().map(|stamp| &stamp.step) {
        Some(Step::Acknowledged { note, .. }) if !note.is_empty() => format!(": {}", sanitize::line(note)),
        Some(_) | None => String::new(),
    };
    format!("{}{note}", parts.join(", "))
}

/// Which session saw it, shortened.
fn by(step: &Step) -> String {
    match step {
        Step::Seen { session, .. } if !session.is_empty() => {
            format!(" by {}", sanitize::shorten(&sanitize::line(session), SESSION_SHOWN))
        }
        Step::Notified { how } if !how.is_empty() => format!(" by {}", sanitize::line(how)),
        Step::Seen { .. }
        | Step::Notified { .. }
        | Step::Acknowledged { .. }
        | Step::Undelivered { .. }
        | Step::Expired
        | Step::Quarantined { .. }
        | Step::DeadLettered { .. } => String::new(),
    }
}

fn word(step: &Step) -> &'static str {
    match step {
        Step::Notified { .. } => "notified",
        Step::Seen { .. } => "seen",
        Step::Acknowledged { outcome: Outcome::Done, .. } => "acknowledged",
        Step::Acknowledged { outcome: Outcome::Failed, .. } => "failed",
        Step::Undelivered { .. } => "undelivered",
        Step::Expired => "expired",
        Step::Quarantined { .. } => "quarantined",
        Step::DeadLettered { .. } => "dead-lettered",
    }
}
