//! `cmw-inbox next`, `show` and `thread`: messages in full.
//!
//! Showing the content of a new message takes it up: the sender sees that it was seen.

use serde_json::Value;

use crate::domain::mail::fair_order::fair_keys;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::Envelope;
use crate::domain::util::sanitize;
use crate::store::mail::inbox::InboxMessage;
use crate::store::mail::mail_query;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::mail::session;
use crate::cli::inbox::MailSession;

/// Takes up and prints the first new message in the order of the list; what was taken up before counts as its
/// sender's turn.
pub fn next(mail_session: &MailSession<'_>) -> Result<Answer, Failure> {
    loop {
        let waiting = mail_session.waiting()?;
        let keys = fair_keys(waiting.iter().map(|held| &held.envelope));
        let new = waiting.iter().zip(keys).filter(|(held, _)| !held.claimed);
        let Some((InboxMessage { envelope: first, .. }, _)) = new.min_by_key(|(_, key)| *key) else {
            let mut answer = Answer::done(Value::Null, "").noting("no new messages").exiting(Exit::Refused);
            answer.hint = Some("cmw-inbox wait".to_owned());
            return Ok(answer);
        };
        // Another process of the same role may have been faster: then try again.
        if let Some(envelope) = claim(mail_session, first.id)? {
            return Ok(shown(&envelope));
        }
    }
}

/// Prints a message that is waiting here, or an old one to or from this mailbox.
///
/// # Errors
/// [`Failure`]: no such message, or an error of the store.
pub fn show(mail_session: &MailSession<'_>, id: &str) -> Result<Answer, Failure> {
    let id = mail_session.resolve(id)?;
    if let Some(held) = mail_session.waiting()?.into_iter().find(|held| held.envelope.id == id) {
        if !held.claimed {
            claim(mail_session, id)?;
        }
        return Ok(shown(&held.envelope));
    }
    let record = mail_session.registry.find(id)?;
    let known =
        record.map(|record| record.envelope).filter(|e| mail_query::concerns(e, &mail_session.mailbox));
    known.map_or_else(|| Err(session::unknown(&id.to_string())), |envelope| Ok(shown(&envelope)))
}

/// Prints the thread of a message, oldest first.
///
/// # Errors
/// [`Failure`]: no such message, or an error of the store.
pub fn thread(mail_session: &MailSession<'_>, id: &str) -> Result<Answer, Failure> {
    let id = mail_session.resolve(id)?;
    let thread = mail_query::thread(mail_session.registry, &mail_session.mailbox, id)?;
    if thread.is_empty() {
        return Err(session::unknown(&id.to_string()));
    }
    let new = |held: &InboxMessage| !held.claimed && thread.iter().any(|e| e.id == held.envelope.id);
    for held in mail_session.waiting()?.iter().filter(|held| new(held)) {
        claim(mail_session, held.envelope.id)?;
    }
    let data: Value = thread.iter().map(Envelope::to_value).collect();
    // Indented, no body can be mistaken for the header of another message.
    let one = |e: &Envelope| format!("{}\n\n{}", head(e), sanitize::indented(&body(e), "    "));
    Ok(Answer::done(data, thread.iter().map(one).collect::<Vec<_>>().join("\n\n")))
}

fn claim(mail_session: &MailSession<'_>, id: MessageId) -> Result<Option<Envelope>, Failure> {
    let claimed = mail_session.inbox.claim(id, &mail_session.session(), mail_session.now())?;
    mail_session.report(&claimed.quarantined);
    Ok(claimed.message)
}

/// Returns a message in full, safe for a terminal.
#[must_use]
pub fn words(envelope: &Envelope) -> String {
    let body = body(envelope);
    let gap = if body.is_empty() { "" } else { "\n\n" };
    format!("{}{gap}{body}", head(envelope))
}

fn shown(envelope: &Envelope) -> Answer {
    let mut answer = Answer::done(envelope.to_value(), words(envelope));
    if envelope.ack_required {
        answer.hint = Some(format!("cmw-inbox ack {}", envelope.id));
    }
    answer
}

/// Returns the body, safe for a terminal, without trailing newlines.
fn body(envelope: &Envelope) -> String {
    sanitize::block(envelope.body.shown().trim_end_matches('\n'))
}

/// Returns the header: no value in it can break its line.
fn head(e: &Envelope) -> String {
    let mut lines = vec![
        format!("id:       {}", e.id),
        format!("from:     {}", e.sender()),
        format!("to:       {}", sanitize::line(&e.to)),
        format!("type:     {}", e.kind),
        format!("priority: {}", e.priority),
        format!("sent:     {}", e.created_at),
    ];
    if let Some(parent) = e.in_reply_to {
        lines.push(format!("reply to: {parent}"));
    }
    if let Some(at) = e.expires_at {
        lines.push(format!("expires:  {at}"));
    }
    if e.ack_required {
        lines.push(format!("ack:      requested (cmw-inbox ack {})", e.id.short()));
    }
    lines.push(format!("subject:  {}", sanitize::line(&e.subject)));
    lines.join("\n")
}
