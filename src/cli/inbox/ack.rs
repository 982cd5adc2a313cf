//! `cmw-inbox ack` and `fail`: ends work on a message.

use serde_json::json;

use crate::domain::mail::receipt::{Outcome, Stamp, Step};
use crate::domain::util::sanitize;
use crate::store::mail::inbox::Acked;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::cli::inbox::Desk;

/// Acknowledges a message, or reports it as failed: it is never delivered again. Repeating it reports that.
///
/// # Errors
/// [`Failure`]: no such message, already ended in another way, or an error of the store.
pub fn end(desk: &Desk<'_>, id: &str, outcome: Outcome, note: &str) -> Result<Answer, Failure> {
    if outcome == Outcome::Failed && note.trim().is_empty() {
        return Err(Failure::usage("--note WHY is required: the sender gets it"));
    }
    let id = desk.resolve(id)?;
    let data = json!({"id": id, "outcome": outcome});
    let try_it = || desk.inbox.ack(id, outcome, note, &desk.session(), desk.now());
    let mut acked = try_it()?;
    // Its file may have been removed by hand; only then all messages are compared.
    if acked == Acked::Unknown && desk.registry.find(id)?.is_some_and(|r| r.envelope.is_for(&desk.mailbox)) {
        desk.inbox.recheck()?;
        acked = try_it()?;
    }
    match acked {
        Acked::Now(envelope) => {
            let word = match outcome {
                Outcome::Done => "acknowledged",
                Outcome::Failed => "failed",
            };
            let line = format!("{word} {}: {}", id.short(), sanitize::line(&envelope.subject));
            Ok(Answer::done(data, line))
        }
        Acked::AlreadyAcknowledged(stamp) => match ended(&stamp) {
            (Some(before), words) if before == outcome => {
                Ok(Answer::done(data, format!("{} was already {words}", id.short())))
            }
            (_, words) => {
                let what = format!("{} was already {words}", id.short());
                Err(Failure::told(Exit::Refused, what, "cmw-inbox list"))
            }
        },
        Acked::Unknown => {
            let what = format!("message {id} not found in the mailbox of {}", desk.mailbox);
            Err(Failure::told(Exit::Refused, what, "cmw-inbox list"))
        }
    }
}

/// How it ended, also as text.
fn ended(stamp: &Stamp) -> (Option<Outcome>, String) {
    let at = stamp.at;
    match &stamp.step {
        Step::Acknowledged { outcome: Outcome::Done, .. } => {
            (Some(Outcome::Done), format!("acknowledged at {at}"))
        }
        Step::Acknowledged { outcome: Outcome::Failed, .. } => {
            (Some(Outcome::Failed), format!("reported as failed at {at}"))
        }
        Step::Expired => (None, format!("expired at {at}")),
        Step::DeadLettered { .. } => (None, format!("dead-lettered at {at}")),
        Step::Notified { .. } | Step::Seen { .. } | Step::Undelivered { .. } | Step::Quarantined { .. } => {
            (None, format!("in progress at {at}"))
        }
    }
}
