//! Messages caused by a publish: creates their drafts, and delivers them to the registry.
//!
//! Ids are final at the publish, so that delivering again adds nothing (docs/decisions.md D8).

use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::{Body, Draft, Envelope, SealedMessage};
use crate::domain::mail::notice::Notice;
use crate::domain::notices::notices;
use crate::domain::state::State;

use crate::store::damage;
use crate::store::disk::Disk;
use crate::store::document::Outbox;
use crate::store::error::StoreError;
use crate::store::mail::mailbox;
use crate::store::mail::registry::Registry;

/// Most bytes of an outbox that cannot be delivered; beyond that commands fail until it can.
const CARRIED_BYTES_MAX: usize = 1 << 20;

/// What became of an outbox.
pub(super) struct Settled {
    /// The records in their logs: the errors, one for each file.
    pub(super) records: Vec<StoreError>,
    /// The messages in the registry.
    pub(super) mail: Result<(), StoreError>,
}

impl Settled {
    /// Returns what failed.
    pub(super) fn error(self) -> Option<StoreError> {
        self.records.into_iter().next().or(self.mail.err())
    }

    /// Returns the files that are damaged, each with its fault.
    pub(super) fn damage(&self) -> Vec<(String, String)> {
        let errors = self.records.iter().chain(self.mail.as_ref().err());
        errors.filter_map(damage::fault).map(|(file, why)| (file.to_owned(), why)).collect()
    }

    /// Returns the part of the outbox that the next document carries on.
    pub(super) fn carried(&self, outbox: &Outbox) -> Outbox {
        let mut carried = Outbox { mail_after: outbox.mail_after, ..Outbox::default() };
        if !self.records.is_empty() {
            carried.records.clone_from(&outbox.records);
        }
        if self.mail.is_err() {
            carried.mail.clone_from(&outbox.mail);
        }
        carried
    }

    /// Returns it unless there is too much of it.
    pub(super) fn carried_if_small(&self, outbox: &Outbox) -> Option<Outbox> {
        let carried = self.carried(outbox);
        let bytes = serde_json::to_vec(&carried).map_or(0, |json| json.len());
        (bytes <= CARRIED_BYTES_MAX).then_some(carried)
    }
}

impl Outbox {
    /// Puts what could not be delivered before what is new.
    pub(super) fn carry(&mut self, mut carried: Self) {
        if !carried.mail.is_empty() {
            self.mail_after = carried.mail_after;
        }
        carried.records.append(&mut self.records);
        carried.mail.append(&mut self.mail);
        (self.records, self.mail) = (carried.records, carried.mail);
    }
}

/// Returns the messages that these events cause, in order.
pub(super) fn drafts(
    before: &State,
    events: &[Event],
    by: &Actor,
    facts: &Facts,
    random: &dyn Fn() -> u128,
) -> Vec<Draft> {
    let mut state = before.clone();
    let mut drafts = Vec::new();
    for event in events {
        let earlier = state.clone();
        evolve(&mut state, event, facts.now.wall, by);
        let caused = notices(event, by, &earlier, &state, facts);
        drafts.extend(caused.into_iter().filter_map(|notice| draft(notice, &state, facts, random)));
    }
    drafts
}

/// Turns a notice into a draft with id, time and recipients; `None` when it has no recipient.
fn draft(notice: Notice, state: &State, facts: &Facts, random: &dyn Fn() -> u128) -> Option<Draft> {
    let recipients = state.policy.roster.recipients(&notice.to, &notice.from);
    if recipients.is_empty() {
        return None;
    }
    let wall = facts.now.wall;
    let id = MessageId::from_parts(wall.0, random());
    let mut draft = Draft::new(id, notice.from, notice.to.to_string(), recipients, wall);
    draft.kind = notice.kind;
    draft.priority = notice.priority;
    draft.subject =
        crate::domain::util::sanitize::shorten(&crate::domain::util::sanitize::line(&notice.subject), 200);
    draft.body = Body::Json(notice.body);
    Some(draft)
}

/// Appends an outbox's messages to the registry and copies them to the mailboxes. Safe to repeat.
pub(super) fn post<D: Disk>(disk: &D, registry: &Registry<'_, D>, outbox: &Outbox) -> Result<(), StoreError> {
    if outbox.mail.is_empty() {
        return Ok(());
    }
    let sealed: Vec<SealedMessage> =
        outbox.mail.iter().filter_map(|draft| draft.clone().seal().ok()).collect();
    let seqs = registry.append_once(&sealed, outbox.mail_after)?;
    let envelopes: Vec<Envelope> = sealed.iter().zip(seqs).map(|(one, seq)| one.numbered(seq)).collect();
    // A reader fetches the copies that could not be delivered.
    mailbox::deliver(disk, &envelopes);
    Ok(())
}
