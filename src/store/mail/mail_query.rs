//! Queries over past mail: threads, search, and the delivery state of sent messages.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::receipt::Delivery;
use crate::store::disk::Disk;
use crate::store::error::Result;
use crate::store::mail::receipts::Receipts;
use crate::store::mail::registry::{Registry, StoredMessage};
use crate::store::mail::user_mail;

/// A sent message, and its delivery state for each recipient.
#[derive(Clone, Debug, PartialEq)]
pub struct SentMessage {
    /// The message.
    pub envelope: Envelope,
    /// Its recipients, in the order of the envelope.
    pub deliveries: Vec<(Mailbox, Delivery)>,
}

/// Returns the delivery state of a message for each of its recipients.
///
/// # Errors
/// Damaged receipts, or the system's error.
pub fn deliveries<D: Disk>(
    registry: &Registry<'_, D>,
    envelope: &Envelope,
) -> Result<Vec<(Mailbox, Delivery)>> {
    let of = |mailbox: &Mailbox| -> Result<(Mailbox, Delivery)> {
        let mut known = Receipts::new(registry.disk(), mailbox).deliveries(envelope.seq)?;
        Ok((mailbox.clone(), known.remove(&envelope.id).unwrap_or_default()))
    };
    envelope.recipients.iter().map(of).collect()
}

/// Returns the last `limit` messages of a sender, newest first.
///
/// # Errors
/// Damage, a held gate, or the system's error.
pub fn sent<D: Disk>(registry: &Registry<'_, D>, from: &Actor, limit: usize) -> Result<Vec<SentMessage>> {
    let needle = format!("\"from\":\"{from}\"");
    let envelopes = newest(registry, &needle, limit, |envelope| envelope.from == *from)?;
    let oldest = envelopes.last().map_or(0, |envelope| envelope.seq);
    let mut known: BTreeMap<Mailbox, BTreeMap<MessageId, Delivery>> = BTreeMap::new();
    for mailbox in envelopes.iter().flat_map(|envelope| &envelope.recipients) {
        if !known.contains_key(mailbox) {
            let deliveries = Receipts::new(registry.disk(), mailbox).deliveries(oldest)?;
            known.insert(mailbox.clone(), deliveries);
        }
    }
    let sent = envelopes.into_iter().map(|envelope| {
        let of = |mailbox: &Mailbox| {
            let delivery = known.get(mailbox).and_then(|ids| ids.get(&envelope.id)).cloned();
            (mailbox.clone(), delivery.unwrap_or_default())
        };
        SentMessage { deliveries: envelope.recipients.iter().map(of).collect(), envelope }
    });
    Ok(sent.collect())
}

/// Finds the newest messages to or from a mailbox whose subject or body contains a text, ignoring case.
///
/// # Errors
/// Damage, a held gate, or the system's error.
pub fn search<D: Disk>(
    registry: &Registry<'_, D>,
    mailbox: &Mailbox,
    text: &str,
    limit: usize,
) -> Result<Vec<Envelope>> {
    let wanted = text.to_lowercase();
    newest(registry, &format!("\"{mailbox}\""), limit, |envelope| {
        let contains = |text: &str| text.to_lowercase().contains(&wanted);
        concerns(envelope, mailbox) && (contains(&envelope.subject) || contains(&envelope.body.shown()))
    })
}

/// Returns the thread of a message, oldest first, as far as it concerns a mailbox.
///
/// # Errors
/// Damage, a held gate, or the system's error.
pub fn thread<D: Disk>(
    registry: &Registry<'_, D>,
    mailbox: &Mailbox,
    id: MessageId,
) -> Result<Vec<Envelope>> {
    let Some(one) = registry.find(id)? else { return Ok(Vec::new()) };
    let root = one.envelope.thread;
    let from = registry.find(root)?.map_or(1, |record| record.envelope.seq);
    let mut out = Vec::new();
    registry.scan(from, &mut |record: &StoredMessage| {
        if record.envelope.thread == root && concerns(&record.envelope, mailbox) {
            out.push(record.envelope.clone());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    user_mail::check(registry.disk(), out.iter_mut());
    Ok(out)
}

/// Returns whether a message is to or from this mailbox.
#[must_use]
pub fn concerns(envelope: &Envelope, mailbox: &Mailbox) -> bool {
    envelope.is_for(mailbox) || envelope.from.mailbox().as_ref() == Some(mailbox)
}

/// Finds the newest wanted messages; `needle` is contained in the stored form of each.
fn newest<D: Disk>(
    registry: &Registry<'_, D>,
    needle: &str,
    limit: usize,
    wanted: impl Fn(&Envelope) -> bool,
) -> Result<Vec<Envelope>> {
    let mut out = Vec::new();
    registry.scan_back(needle, &mut |record: &StoredMessage| {
        if wanted(&record.envelope) && out.len() < limit {
            out.push(record.envelope.clone());
        }
        Ok(if out.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    user_mail::check(registry.disk(), out.iter_mut());
    Ok(out)
}
