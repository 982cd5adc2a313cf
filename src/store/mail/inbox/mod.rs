//! Reads a mailbox: listing, claiming, acknowledging (docs/rules.md I12).
//!
//! Invariants (each has a test of the same name, here or in `tests/soak/mail/crash.rs`):
//! * `a_message_acknowledged_as_sent_is_readable_until_acknowledged_as_processed_exactly_once`
//! * `what_is_shown_is_what_the_registry_has`
//! * `two_readers_claim_each_message_once`
//! * `with_nothing_new_nothing_is_written`
//!
//! Limitations: a mailbox file that is deleted by hand comes back only by [`Inbox::verify_all`]; one that is
//! put back by hand after its acknowledgement is shown again while an older message waits.

mod check;
mod unread;

pub use crate::store::mail::inbox::unread::UnreadMail;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::domain::identity::actor::Mailbox;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::receipt::{Receipt, ReceiptStamp, ReceiptStep, WorkOutcome};
use crate::domain::util::time::WallTime;
use crate::store::disk::Disk;
use crate::store::error::Result;
use crate::store::mail::mailbox::{MailDir, MailboxCursor, MailboxFiles, file_name, parse_name};
use crate::store::mail::receipts::Receipts;
use crate::store::mail::registry::{Registry, RegistryTail, StoredMessage};
use crate::store::mail::user_mail;

/// The mailbox of one role, or of the person, opened for reading.
#[derive(Debug)]
pub struct Inbox<'d, D: Disk> {
    registry: &'d Registry<'d, D>,
    mailbox: Mailbox,
    files: MailboxFiles<'d, D>,
    receipts: Receipts<'d, D>,
}

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxMessage {
    /// The message as the registry has it.
    pub envelope: Envelope,
    /// Whether a session has claimed it (`cur/`), or none yet (`new/`).
    pub claimed: bool,
}

/// A file that differed from the registry and was quarantined unread: an event of severity HIGH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its path now, below git's common directory.
    pub file: String,
    /// What was wrong.
    pub why: String,
    /// The message that it replaced, when the registry has one: it was restored from there.
    pub restored: Option<MessageId>,
}

/// The content of a mailbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The messages, by number.
    pub messages: Vec<InboxMessage>,
    /// Files that were quarantined during this read.
    pub quarantined: Vec<Quarantined>,
}

/// The result of claiming a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimedMessage {
    /// The message, if there was one to claim.
    pub message: Option<Envelope>,
    /// Files that were quarantined during this read.
    pub quarantined: Vec<Quarantined>,
}

/// The result of an acknowledgement.
#[derive(Clone, Debug, PartialEq)]
pub enum AckOutcome {
    /// The message is acknowledged, and that is synced.
    Now(Box<Envelope>),
    /// It was acknowledged earlier: when, and with which result.
    AlreadyAcknowledged(ReceiptStamp),
    /// This mailbox never had such a message.
    Unknown,
}

/// How far a reader has followed the registry, and the end of the registry that it has seen.
#[derive(Debug)]
pub(crate) struct ReadPosition {
    cursor: MailboxCursor,
    tail: RegistryTail,
}

impl<'d, D: Disk> Inbox<'d, D> {
    /// Opens a mailbox; reads and creates nothing yet.
    #[must_use]
    pub fn open(registry: &'d Registry<'d, D>, mailbox: Mailbox) -> Self {
        let files = MailboxFiles::new(registry.disk(), &mailbox);
        let receipts = Receipts::new(registry.disk(), &mailbox);
        Self { registry, mailbox, files, receipts }
    }

    /// Lists every waiting message, new and claimed; removes those that have expired by `now`.
    ///
    /// # Errors
    /// Damage to registry or receipts, a held gate, or the system's error.
    pub fn list(&self, now: WallTime) -> Result<Listing> {
        let place = self.catch_up()?;
        if let Some(mut messages) = self.quick_list(&place, now)? {
            self.check_user_mail(&mut messages);
            return Ok(Listing { messages, quarantined: Vec::new() });
        }
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        let mut out = Listing::default();
        for shelf in [MailDir::Cur, MailDir::New] {
            for name in self.files.names(shelf)? {
                let found = self.repair_file(shelf, &name, &place, now, &mut out.quarantined)?;
                let claimed = shelf == MailDir::Cur;
                if let Some(envelope) = found {
                    if out.messages.iter().any(|held| held.envelope.id == envelope.id) {
                        self.files.remove_from(MailDir::New, &name)?;
                    } else {
                        out.messages.push(InboxMessage { envelope, claimed });
                    }
                }
            }
        }
        out.messages.sort_by_key(|held| held.envelope.seq);
        self.check_user_mail(&mut out.messages);
        Ok(out)
    }

    fn check_user_mail(&self, messages: &mut [InboxMessage]) {
        user_mail::check(self.registry.disk(), messages.iter_mut().map(|held| &mut held.envelope));
    }

    /// Returns one waiting message, without claiming it.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn show(&self, id: MessageId, now: WallTime) -> Result<Option<InboxMessage>> {
        Ok(self.list(now)?.messages.into_iter().find(|held| held.envelope.id == id))
    }

    /// Claims the oldest new message for a session: no other session gets it.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn claim_next(&self, session: &str, now: WallTime) -> Result<ClaimedMessage> {
        self.claim_where(session, now, |_| true)
    }

    /// Claims this message for a session, if it is new.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn claim(&self, id: MessageId, session: &str, now: WallTime) -> Result<ClaimedMessage> {
        self.claim_where(session, now, |name| parse_name(name).is_some_and(|(_, other)| other == id))
    }

    fn claim_where(
        &self,
        session: &str,
        now: WallTime,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<ClaimedMessage> {
        let place = self.catch_up()?;
        if self.files.names(MailDir::New)?.is_empty() {
            return Ok(ClaimedMessage::default());
        }
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        let mut out = ClaimedMessage::default();
        let taken: BTreeSet<String> = self.files.names(MailDir::Cur)?.into_iter().collect();
        for name in self.files.names(MailDir::New)?.into_iter().filter(|name| wanted(name)) {
            if taken.contains(&name) {
                self.files.remove_from(MailDir::New, &name)?;
                continue;
            }
            let found = self.repair_file(MailDir::New, &name, &place, now, &mut out.quarantined)?;
            if let Some(envelope) = found {
                self.files.claim(&name)?;
                let step = seen(&envelope, session, now);
                self.receipts.append(&receipt(&envelope, &place, now, step))?;
                out.message = Some(envelope);
                user_mail::check(self.registry.disk(), out.message.iter_mut());
                break;
            }
        }
        Ok(out)
    }

    /// Ends work on a message: when this returns, the message never comes again.
    ///
    /// # Errors
    /// As [`Inbox::list`]; [`crate::store::error::StoreError::Unconfirmed`]: it may come again or not, and
    /// acknowledging it again is safe.
    pub fn ack(
        &self,
        id: MessageId,
        outcome: WorkOutcome,
        note: &str,
        session: &str,
        now: WallTime,
    ) -> Result<AckOutcome> {
        let place = self.catch_up()?;
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        for shelf in [MailDir::Cur, MailDir::New] {
            for name in self.files.names(shelf)? {
                if parse_name(&name).is_none_or(|(_, other)| other != id) {
                    continue;
                }
                // An expired message may still be acknowledged by the session that has claimed it.
                let long_ago = WallTime(i64::MIN);
                let found = self.repair_file(shelf, &name, &place, long_ago, &mut Vec::new())?;
                let Some(envelope) = found else { continue };
                let (note, session) = (note.to_owned(), session.to_owned());
                let step = ReceiptStep::Acknowledged { outcome, note, session };
                self.receipts.append_synced(&receipt(&envelope, &place, now, step))?;
                // The receipt is synced: the next reader removes a file that cannot be removed now.
                let _ = self.files.remove(&name);
                return Ok(AckOutcome::Now(Box::new(envelope)));
            }
        }
        let ended = self.receipts.deliveries(0)?.remove(&id).and_then(|delivery| delivery.ended);
        Ok(ended.map_or(AckOutcome::Unknown, AckOutcome::AlreadyAcknowledged))
    }

    /// Recreates every missing file of a waiting message: reads the whole registry.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn verify_all(&self) -> Result<()> {
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        let tail = self.registry.durable_tail()?;
        self.rescan(&tail, None).map(|_| ())
    }

    /// Completes an interrupted acknowledgement, whose file is still there; under the gate. The receipt is
    /// written again, because it may be unsynced.
    fn finish_interrupted(&self) -> Result<()> {
        let Some(last) = self.receipts.last()?.filter(|last| last.step.is_final()) else { return Ok(()) };
        let name = file_name(last.seq, last.id);
        if self.files.holds(&name)? {
            self.receipts.append_synced(&last)?;
            self.files.remove(&name)?;
        }
        Ok(())
    }

    /// Fetches the messages since the last call. With nothing new: reads two soft records and a few bytes of
    /// the segment, takes no gate, writes nothing.
    fn catch_up(&self) -> Result<ReadPosition> {
        let trusted = self.trusted_cursor()?;
        let tail = self.registry.tail()?;
        match trusted {
            Some(cursor) if is_at(&cursor, &tail) => return Ok(ReadPosition { cursor, tail }),
            None if tail.last == 0 && self.files.cursor()?.is_none() => {
                return Ok(ReadPosition { cursor: self.cursor_at(&tail, 1), tail });
            }
            Some(_) | None => {}
        }
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        let trusted = self.trusted_cursor()?;
        let tail = self.registry.durable_tail()?;
        let cursor = match trusted {
            Some(cursor) if is_at(&cursor, &tail) => cursor,
            Some(cursor) if cursor.seq < tail.last => {
                let next = self.fetch(&tail, cursor.seq + 1, cursor.floor, Some(&cursor), None)?;
                next.map_or_else(|| self.rescan(&tail, None), Ok)?
            }
            Some(_) => self.rescan(&tail, None)?,
            None => self.rescan(&tail, self.files.cursor()?.as_ref())?,
        };
        Ok(ReadPosition { cursor, tail })
    }

    fn trusted_cursor(&self) -> Result<Option<MailboxCursor>> {
        let boot = self.registry.boot();
        Ok(self.files.cursor()?.filter(|cursor| cursor.boot == *boot && !boot.0.is_empty()))
    }

    fn cursor_at(&self, tail: &RegistryTail, floor: u64) -> MailboxCursor {
        MailboxCursor { boot: self.registry.boot().clone(), seq: tail.last, chain: tail.chain, floor }
    }

    /// Compares every message that may still be waiting with files and receipts; under the gate. After a boot
    /// these are the messages after the old cursor's floor; without a cursor, all.
    fn rescan(&self, tail: &RegistryTail, old: Option<&MailboxCursor>) -> Result<MailboxCursor> {
        let usable = old.filter(|c| c.seq < tail.last || is_at(c, tail));
        for check in [usable, None] {
            let from = check.map_or(1, |cursor| cursor.floor.min(cursor.seq + 1));
            let mut ended = BTreeSet::new();
            for receipt in self.receipts.since(from)?.into_iter().filter(|r| r.step.is_final()) {
                self.files.remove(&file_name(receipt.seq, receipt.id))?;
                ended.insert(receipt.id);
            }
            if let Some(cursor) = self.fetch(tail, from, from, check, Some(&ended))? {
                return Ok(cursor);
            }
        }
        unreachable!("without a cursor to check, fetching always ends in one")
    }

    /// Puts the messages addressed here, from number `from` on, that have neither file nor final receipt;
    /// under the gate. `None` when the registry is not the one that `check` has followed.
    fn fetch(
        &self,
        tail: &RegistryTail,
        from: u64,
        floor: u64,
        check: Option<&MailboxCursor>,
        ended: Option<&BTreeSet<MessageId>>,
    ) -> Result<Option<MailboxCursor>> {
        let mut present: Option<BTreeSet<String>> = None;
        let mut same = true;
        self.registry.scan_to(tail, from, &mut |record: &StoredMessage| {
            same = check.is_none_or(|cursor| has_followed(cursor, record));
            if !same {
                return Ok(ControlFlow::Break(()));
            }
            let envelope = &record.envelope;
            if !envelope.is_for(&self.mailbox) || ended.is_some_and(|ids| ids.contains(&envelope.id)) {
                return Ok(ControlFlow::Continue(()));
            }
            let present = match &mut present {
                Some(present) => present,
                None => present.insert(self.present()?),
            };
            if present.insert(file_name(envelope.seq, envelope.id)) {
                self.files.put(MailDir::New, envelope)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if !same {
            return Ok(None);
        }
        let lowest = match &present {
            // Names sort by number: the first is the oldest that may still be waiting.
            Some(names) => names.iter().find_map(|n| parse_name(n)).map_or(tail.last + 1, |(seq, _)| seq),
            None => floor,
        };
        let cursor = self.cursor_at(tail, lowest);
        self.files.set_cursor(&cursor)?;
        Ok(Some(cursor))
    }

    fn present(&self) -> Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> = self.files.names(MailDir::New)?.into_iter().collect();
        names.extend(self.files.names(MailDir::Cur)?);
        Ok(names)
    }
}

fn is_at(cursor: &MailboxCursor, tail: &RegistryTail) -> bool {
    cursor.seq == tail.last && cursor.chain == tail.chain
}

/// Returns whether the record belongs to the chain that the cursor has followed, as far as it can tell.
fn has_followed(cursor: &MailboxCursor, record: &StoredMessage) -> bool {
    let seq = record.envelope.seq;
    (seq != cursor.seq || record.chain == cursor.chain)
        && (seq != cursor.seq + 1 || record.prev == cursor.chain)
}

fn seen(envelope: &Envelope, session: &str, now: WallTime) -> ReceiptStep {
    ReceiptStep::Seen { session: session.to_owned(), waited_ms: now.ms_since(envelope.created_at) }
}

fn receipt(envelope: &Envelope, place: &ReadPosition, at: WallTime, step: ReceiptStep) -> Receipt {
    Receipt { id: envelope.id, seq: envelope.seq, upto: place.cursor.seq.max(envelope.seq), at, step }
}

#[cfg(test)]
mod tests;
