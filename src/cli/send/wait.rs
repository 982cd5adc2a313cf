//! `cmw-send --wait`: waits until the recipients have seen or acknowledged a message.

use serde_json::{Value, json};

use crate::adapters::os::clock;
use crate::domain::identity::actor::Mailbox;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::receipt::{Delivery, DeliveryState, ReceiptStep};
use crate::domain::util::sanitize;
use crate::domain::util::time::{BootTime, WallTime, human};
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::StoreError;
use crate::store::layout;
use crate::store::mail::mail_query;
use crate::store::mail::registry::Registry;
use crate::store::watch::Watch;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::mail::session;
use crate::app::workspace::Context;
use crate::cli::send;

/// How far a recipient is towards what the sender waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RecipientStatus {
    /// Reached.
    Met,
    /// Not yet; the text says how far it got.
    Missing(&'static str),
    /// The deadline has passed; it may still be reached.
    Late,
    /// It will never be reached.
    Never(String),
}

/// Waits until every recipient has seen the message, or acknowledged it when it asks for that.
///
/// # Errors
/// [`Failure`] when receipts cannot be watched or read. Missing recipients are part of the answer: its id is
/// printed in any case.
pub fn until_all(
    context: &Context<'_>,
    registry: &Registry<'_, RealDisk>,
    envelope: &Envelope,
    wait_ms: u64,
) -> Result<Answer, Failure> {
    let deadline = clock::now().boot.plus(wait_ms);
    let disk = context.store.disk();
    disk.ensure_dir(layout::RECEIPTS).map_err(|e| StoreError::io("make", layout::RECEIPTS, e))?;
    let unavailable = |e: std::io::Error| {
        let what = format!("message {} is sent, but its receipts cannot be watched: {e}", envelope.id);
        Failure::with_next_step(Exit::Unavailable, what, "cmw-inbox sent")
    };
    let watch = Watch::on(&disk.path().join(layout::RECEIPTS)).map_err(unavailable)?;
    loop {
        let known = mail_query::deliveries(registry, envelope)?;
        let now = clock::now();
        let standings: Vec<RecipientStatus> =
            known.iter().map(|(_, delivery)| standing(envelope, delivery, now.wall)).collect();
        let is_over = !standings.iter().any(|s| matches!(s, RecipientStatus::Missing(_)));
        if is_over || deadline.has_passed(&now.boot) {
            return Ok(answer(envelope, &known, &standings, wait_ms));
        }
        watch.wait(None, sleep_ms(envelope, &deadline, &now.boot, now.wall)).map_err(unavailable)?;
    }
}

/// Returns the time until the deadline, or until the message expires, after which it cannot be read.
fn sleep_ms(envelope: &Envelope, deadline: &BootTime, now: &BootTime, wall: WallTime) -> u64 {
    let left = deadline.ms_until(now);
    envelope.expires_at.map_or(left, |at| left.min(at.ms_since(wall).saturating_add(1))).max(1)
}

fn standing(envelope: &Envelope, delivery: &Delivery, now: WallTime) -> RecipientStatus {
    if delivery.seen.is_some() && !envelope.ack_required {
        return RecipientStatus::Met;
    }
    match delivery.state() {
        DeliveryState::Done => RecipientStatus::Met,
        DeliveryState::Failed if envelope.ack_required => {
            RecipientStatus::Never(format!("failed{}", note_of(delivery)))
        }
        DeliveryState::Failed => RecipientStatus::Met,
        DeliveryState::Expired => RecipientStatus::Never("expired".to_owned()),
        DeliveryState::DeadLettered => RecipientStatus::Never("can never be delivered".to_owned()),
        // A recipient that has taken it up may still acknowledge it.
        DeliveryState::Queued | DeliveryState::Notified | DeliveryState::Undelivered
            if envelope.has_expired(now) =>
        {
            RecipientStatus::Never("expired".to_owned())
        }
        DeliveryState::Queued => RecipientStatus::Missing("has not seen it"),
        DeliveryState::Undelivered => RecipientStatus::Late,
        DeliveryState::Notified => RecipientStatus::Missing("was notified, but has not seen it"),
        DeliveryState::Seen => RecipientStatus::Missing("has seen it, but not acknowledged it"),
    }
}

fn note_of(delivery: &Delivery) -> String {
    match delivery.ended.as_ref().map(|stamp| &stamp.step) {
        Some(ReceiptStep::Acknowledged { note, .. }) if !note.is_empty() => {
            format!(": {}", sanitize::line(note))
        }
        Some(_) | None => String::new(),
    }
}

fn answer(
    envelope: &Envelope,
    known: &[(Mailbox, Delivery)],
    standings: &[RecipientStatus],
    wait_ms: u64,
) -> Answer {
    let mut lines = vec![send::note(envelope)];
    let (mut missing, mut never) = (0, 0);
    for ((mailbox, _), standing) in known.iter().zip(standings) {
        match standing {
            RecipientStatus::Met => {}
            RecipientStatus::Missing(how) => {
                missing += 1;
                lines.push(format!("{mailbox} {how}"));
            }
            RecipientStatus::Late => {
                missing += 1;
                lines.push(format!("{mailbox} has not seen it in time: undelivered, the User is notified"));
            }
            RecipientStatus::Never(why) => {
                never += 1;
                lines.push(format!("{mailbox}: {why}"));
            }
        }
    }
    let exit = match (never, missing) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::Busy,
        _ => Exit::Refused,
    };
    if missing > 0 {
        lines.push(format!("waited {}; the message stays in the mailbox", human(wait_ms)));
    }
    if exit != Exit::Done {
        lines.push("next: cmw-inbox sent".to_owned());
    }
    lines.retain(|line| !line.is_empty());
    let mut data = session::headers_json(envelope);
    if let Value::Object(fields) = &mut data {
        fields.insert("deliveries".to_owned(), json!(session::deliveries(known)));
    }
    let mut answer = Answer::done(data, envelope.id.to_string()).exiting(exit).noting(lines.join("\n"));
    answer.hint = (exit != Exit::Done).then(|| "cmw-inbox sent".to_owned());
    answer
}
