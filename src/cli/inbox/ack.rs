//! `cmw-inbox ack` and `fail`: ends work on a message.

use serde_json::json;

use crate::domain::mail::receipt::{ReceiptStamp, ReceiptStep, WorkOutcome};
use crate::domain::util::sanitize;
use crate::store::mail::inbox::AckOutcome;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::cli::inbox::MailSession;

/// Acknowledges a message, or reports it as failed: it is never delivered again. Repeating it reports that.
///
/// # Errors
/// [`Failure`]: no such message, already ended in another way, or an error of the store.
pub fn end(
    mail_session: &MailSession<'_>,
    id: &str,
    outcome: WorkOutcome,
    note: &str,
) -> Result<Answer, Failure> {
    if outcome == WorkOutcome::Failed && note.trim().is_empty() {
        return Err(Failure::usage("--note WHY is required: the sender gets it"));
    }
    let id = mail_session.resolve(id)?;
    let data = json!({"id": id, "outcome": outcome});
    let try_it = || mail_session.inbox.ack(id, outcome, note, &mail_session.session(), mail_session.now());
    let mut acked = try_it()?;
    // Its file may have been removed by hand; only then all messages are compared.
    if acked == AckOutcome::Unknown
        && mail_session.registry.find(id)?.is_some_and(|r| r.envelope.is_for(&mail_session.mailbox))
    {
        mail_session.inbox.verify_all()?;
        acked = try_it()?;
    }
    match acked {
        AckOutcome::Now(envelope) => {
            let word = match outcome {
                WorkOutcome::Done => "acknowledged",
                WorkOutcome::Failed => "failed",
            };
            let line = format!("{word} {}: {}", id.short(), sanitize::line(&envelope.subject));
            Ok(Answer::done(data, line))
        }
        AckOutcome::AlreadyAcknowledged(stamp) => match ended(&stamp) {
            (Some(before), words) if before == outcome => {
                Ok(Answer::done(data, format!("{} was already {words}", id.short())))
            }
            (_, words) => {
                let what = format!("{} was already {words}", id.short());
                Err(Failure::with_next_step(Exit::Refused, what, "cmw-inbox list"))
            }
        },
        AckOutcome::Unknown => {
            let what = format!("message {id} not found in the mailbox of {}", mail_session.mailbox);
            Err(Failure::with_next_step(Exit::Refused, what, "cmw-inbox list"))
        }
    }
}

/// Returns the outcome, also as text.
fn ended(stamp: &ReceiptStamp) -> (Option<WorkOutcome>, String) {
    let at = stamp.at;
    match &stamp.step {
        ReceiptStep::Acknowledged { outcome: WorkOutcome::Done, .. } => {
            (Some(WorkOutcome::Done), format!("acknowledged at {at}"))
        }
        ReceiptStep::Acknowledged { outcome: WorkOutcome::Failed, .. } => {
            (Some(WorkOutcome::Failed), format!("reported as failed at {at}"))
        }
        ReceiptStep::Expired => (None, format!("expired at {at}")),
        ReceiptStep::DeadLettered { .. } => (None, format!("dead-lettered at {at}")),
        ReceiptStep::Notified { .. }
        | ReceiptStep::Seen { .. }
        | ReceiptStep::Undelivered { .. }
        | ReceiptStep::Quarantined { .. } => (None, format!("in progress at {at}")),
    }
}
