//! Owns reading a mailbox: listing, claiming, acknowledging (DESIGN section 4, invariant I12).
//!
//! Invariants (each has a test of the same name, here or in `tests/crash_mail.rs`):
//! * `a_message_acknowledged_as_sent_is_readable_until_acknowledged_as_processed_exactly_once`
//! * `what_is_shown_is_what_the_registry_has`
//! * `two_readers_claim_each_message_once`
//! * `with_nothing_new_nothing_is_written`
//!
//! Limitations: a mailbox file that somebody deletes by hand comes back only by [`Inbox::recheck`];
//! one that somebody puts back after its acknowledgement is shown again while an older message
//! waits.

mod check;
mod unread;

pub use crate::store::mail::inbox::unread::News;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::domain::identity::actor::Mailbox;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::receipt::{Outcome, Receipt, Stamp, Step};
use crate::domain::util::time::Wall;
use crate::store::disk::Disk;
use crate::store::error::Result;
use crate::store::mail::mailbox::{Cursor, Files, Shelf, file_name, parse_name};
use crate::store::mail::receipts::Receipts;
use crate::store::mail::registry::{Record, Registry, Tail};

/// The mailbox of one role, or of the person, to read from.
#[derive(Debug)]
pub struct Inbox<'d, D: Disk> {
    registry: &'d Registry<'d, D>,
    mailbox: Mailbox,
    files: Files<'d, D>,
    receipts: Receipts<'d, D>,
}

/// A message in a mailbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// As the registry has it.
    pub envelope: Envelope,
    /// Whether a session has taken it up (`cur/`), or none yet (`new/`).
    pub claimed: bool,
}

/// A file that was not what the registry says, and was put aside unread: an event of severity HIGH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it lies now, below git's common directory.
    pub file: String,
    /// What was wrong.
    pub why: String,
    /// The message whose place it had, when the registry knows one: it was restored from there.
    pub restored: Option<MessageId>,
}

/// What is in a mailbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The messages, by number.
    pub messages: Vec<Held>,
    /// What was put aside on this occasion.
    pub quarantined: Vec<Quarantined>,
}

/// What taking up a message gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claimed {
    /// The message, if there was one to take.
    pub message: Option<Envelope>,
    /// What was put aside on this occasion.
    pub quarantined: Vec<Quarantined>,
}

/// What acknowledging gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Acked {
    /// It is done with, on the disk too.
    Now(Box<Envelope>),
    /// It was before: when, and how it ended.
    AlreadyAcknowledged(Stamp),
    /// No such message is or was in this mailbox.
    Unknown,
}

/// How far a reader has come, and the end of the registry that it has seen.
#[derive(Debug)]
pub(crate) struct Place {
    cursor: Cursor,
    tail: Tail,
}

impl<'d, D: Disk> Inbox<'d, D> {
    /// Opens a mailbox; nothing is read or created yet.
    #[must_use]
    pub fn open(registry: &'d Registry<'d, D>, mailbox: Mailbox) -> Self {
        let files = Files::new(registry.disk(), &mailbox);
        let receipts = Receipts::new(registry.disk(), &mailbox);
        Self { registry, mailbox, files, receipts }
    }

    /// Everything that waits here, new and taken up; what has expired by `now` leaves.
    ///
    /// # Errors
    /// Damage to registry or receipts, a taken gate, or as the system says.
    pub fn list(&self, now: Wall) -> Result<Listing> {
        let place = self.catch_up()?;
        if let Some(messages) = self.glance(&place, now)? {
            return Ok(Listing { messages, quarantined: Vec::new() });
        }
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        let mut out = Listing::default();
        for shelf in [Shelf::Cur, Shelf::New] {
            for name in self.files.names(shelf)? {
                let found = self.settle_file(shelf, &name, &place, now, &mut out.quarantined)?;
                let claimed = shelf == Shelf::Cur;
                if let Some(envelope) = found {
                    if out.messages.iter().any(|held| held.envelope.id == envelope.id) {
                        self.files.remove_from(Shelf::New, &name)?;
                    } else {
                        out.messages.push(Held { envelope, claimed });
                    }
                }
            }
        }
        out.messages.sort_by_key(|held| held.envelope.seq);
        Ok(out)
    }

    /// One waiting message, without taking it up.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn show(&self, id: MessageId, now: Wall) -> Result<Option<Held>> {
        Ok(self.list(now)?.messages.into_iter().find(|held| held.envelope.id == id))
    }

    /// Takes up the oldest new message for a session: nobody else gets it.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn claim_next(&self, session: &str, now: Wall) -> Result<Claimed> {
        self.claim_where(session, now, |_| true)
    }

    /// Takes up this message for a session, if it is new.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn claim(&self, id: MessageId, session: &str, now: Wall) -> Result<Claimed> {
        self.claim_where(session, now, |name| parse_name(name).is_some_and(|(_, other)| other == id))
    }

    fn claim_where(&self, session: &str, now: Wall, wanted: impl Fn(&str) -> bool) -> Result<Claimed> {
        let place = self.catch_up()?;
        if self.files.names(Shelf::New)?.is_empty() {
            return Ok(Claimed::default());
        }
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        let mut out = Claimed::default();
        let taken: BTreeSet<String> = self.files.names(Shelf::Cur)?.into_iter().collect();
        for name in self.files.names(Shelf::New)?.into_iter().filter(|name| wanted(name)) {
            if taken.contains(&name) {
                self.files.remove_from(Shelf::New, &name)?;
                continue;
            }
            let found = self.settle_file(Shelf::New, &name, &place, now, &mut out.quarantined)?;
            if let Some(envelope) = found {
                self.files.claim(&name)?;
                let step = seen(&envelope, session, now);
                self.receipts.append(&receipt(&envelope, &place, now, step))?;
                out.message = Some(envelope);
                break;
            }
        }
        Ok(out)
    }

    /// Ends work on a message: when this returns, it never comes again.
    ///
    /// # Errors
    /// As [`Inbox::list`]; [`crate::store::error::StoreError::Unconfirmed`]: it may come again or not, and
    /// acknowledging it again is safe.
    pub fn ack(
        &self,
        id: MessageId,
        outcome: Outcome,
        note: &str,
        session: &str,
        now: Wall,
    ) -> Result<Acked> {
        let place = self.catch_up()?;
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        for shelf in [Shelf::Cur, Shelf::New] {
            for name in self.files.names(shelf)? {
                if parse_name(&name).is_none_or(|(_, other)| other != id) {
                    continue;
                }
                // What has expired may still be acknowledged by who has it in hand.
                let long_ago = Wall(i64::MIN);
                let found = self.settle_file(shelf, &name, &place, long_ago, &mut Vec::new())?;
                let Some(envelope) = found else { continue };
                let (note, session) = (note.to_owned(), session.to_owned());
                let step = Step::Acknowledged { outcome, note, session };
                self.receipts.append_synced(&receipt(&envelope, &place, now, step))?;
                // Promised: a file that cannot be removed now is removed by the next who comes.
                let _ = self.files.remove(&name);
                return Ok(Acked::Now(Box::new(envelope)));
            }
        }
        let ended = self.receipts.deliveries(0)?.remove(&id).and_then(|delivery| delivery.ended);
        Ok(ended.map_or(Acked::Unknown, Acked::AlreadyAcknowledged))
    }

    /// Makes every file again that should be here, whoever took it: reads the whole registry.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn recheck(&self) -> Result<()> {
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        let tail = self.registry.durable_tail()?;
        self.rescan(&tail, None).map(|_| ())
    }

    /// Under the gate: an acknowledgement whose file is still there was cut off before its end. It
    /// is written again, because nobody knows whether it was synced, or whether a sync failed.
    fn finish_interrupted(&self) -> Result<()> {
        let Some(last) = self.receipts.last()?.filter(|last| last.step.is_final()) else { return Ok(()) };
        let name = file_name(last.seq, last.id);
        if self.files.holds(&name)? {
            self.receipts.append_synced(&last)?;
            self.files.remove(&name)?;
        }
        Ok(())
    }

    /// Fetches what came since the last time. With nothing new: two soft records and a few bytes of
    /// the segment are read, no gate, no write.
    fn catch_up(&self) -> Result<Place> {
        let trusted = self.trusted_cursor()?;
        let tail = self.registry.tail()?;
        match trusted {
            Some(cursor) if is_at(&cursor, &tail) => return Ok(Place { cursor, tail }),
            None if tail.last == 0 && self.files.cursor()?.is_none() => {
                return Ok(Place { cursor: self.cursor_at(&tail, 1), tail });
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
        Ok(Place { cursor, tail })
    }

    fn trusted_cursor(&self) -> Result<Option<Cursor>> {
        let boot = self.registry.boot();
        Ok(self.files.cursor()?.filter(|cursor| cursor.boot == *boot && !boot.0.is_empty()))
    }

    fn cursor_at(&self, tail: &Tail, floor: u64) -> Cursor {
        Cursor { boot: self.registry.boot().clone(), seq: tail.last, chain: tail.chain, floor }
    }

    /// Under the gate: compares everything that can still be waiting with files and receipts. After
    /// a boot that is what follows the old cursor's floor; without a cursor, everything.
    fn rescan(&self, tail: &Tail, old: Option<&Cursor>) -> Result<Cursor> {
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

    /// Under the gate: puts what is addressed here, from number `from` on, and is neither here nor
    /// ended. `None` when the registry is not the one that `check` has followed.
    fn fetch(
        &self,
        tail: &Tail,
        from: u64,
        floor: u64,
        check: Option<&Cursor>,
        ended: Option<&BTreeSet<MessageId>>,
    ) -> Result<Option<Cursor>> {
        let mut present: Option<BTreeSet<String>> = None;
        let mut same = true;
        self.registry.scan_to(tail, from, &mut |record: &Record| {
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
                self.files.put(Shelf::New, envelope)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if !same {
            return Ok(None);
        }
        let lowest = match &present {
            // Names sort by number: the first is the oldest that can still be waiting.
            Some(names) => names.iter().find_map(|n| parse_name(n)).map_or(tail.last + 1, |(seq, _)| seq),
            None => floor,
        };
        let cursor = self.cursor_at(tail, lowest);
        self.files.set_cursor(&cursor)?;
        Ok(Some(cursor))
    }

    fn present(&self) -> Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> = self.files.names(Shelf::New)?.into_iter().collect();
        names.extend(self.files.names(Shelf::Cur)?);
        Ok(names)
    }
}

fn is_at(cursor: &Cursor, tail: &Tail) -> bool {
    cursor.seq == tail.last && cursor.chain == tail.chain
}

/// Whether the record is of the chain that the cursor has followed, as far as it can tell.
fn has_followed(cursor: &Cursor, record: &Record) -> bool {
    let seq = record.envelope.seq;
    (seq != cursor.seq || record.chain == cursor.chain)
        && (seq != cursor.seq + 1 || record.prev == cursor.chain)
}

fn seen(envelope: &Envelope, session: &str, now: Wall) -> Step {
    Step::Seen { session: session.to_owned(), waited_ms: now.ms_since(envelope.created_at) }
}

fn receipt(envelope: &Envelope, place: &Place, at: Wall, step: Step) -> Receipt {
    Receipt { id: envelope.id, seq: envelope.seq, upto: place.cursor.seq.max(envelope.seq), at, step }
}

#[cfg(test)]
mod tests;
