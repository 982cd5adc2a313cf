//! New messages of a mailbox, and which of them its recipient was notified of.

use std::collections::BTreeSet;

use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::receipt::{Delivery, DeliveryState, Receipt, ReceiptStep};
use crate::domain::util::time::WallTime;
use crate::store::disk::Disk;
use crate::store::error::Result;
use crate::store::mail::inbox::{Inbox, InboxMessage, Quarantined, receipt, seen};
use crate::store::mail::mailbox::{MailDir, UnreadCount, file_name, parse_name};

/// The new messages of a mailbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnreadMail {
    /// The messages, by number.
    pub messages: Vec<InboxMessage>,
    /// The number up to which the registry was followed.
    pub upto: u64,
    /// Files that were quarantined during this read.
    pub quarantined: Vec<Quarantined>,
}

impl<D: Disk> Inbox<'_, D> {
    /// Lists the unread or unfinished messages whose number is `wanted`, and the number up to which the
    /// registry was followed. When nothing came after `since`, the list is empty.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn unread(&self, since: u64, wanted: impl Fn(u64) -> bool, now: WallTime) -> Result<UnreadMail> {
        let place = self.catch_up()?;
        let mut out = UnreadMail { upto: place.tail.last, ..UnreadMail::default() };
        if since > 0 && place.tail.last <= since {
            return Ok(out);
        }
        let mut gate = None;
        let mut known = BTreeSet::new();
        for shelf in [MailDir::Cur, MailDir::New] {
            for name in self.files.names(shelf)? {
                if parse_name(&name).is_some_and(|(seq, _)| !wanted(seq)) {
                    continue;
                }
                let envelope = match self.intact(shelf, &name, &place, now)? {
                    Some(envelope) => Some(envelope),
                    None => {
                        if gate.is_none() {
                            gate = Some(self.files.gate()?);
                            self.finish_interrupted()?;
                        }
                        self.repair_file(shelf, &name, &place, now, &mut out.quarantined)?
                    }
                };
                if let Some(envelope) = envelope.filter(|e| known.insert(e.seq)) {
                    out.messages.push(InboxMessage { envelope, claimed: shelf == MailDir::Cur });
                }
            }
        }
        out.messages.sort_by_key(|held| held.envelope.seq);
        self.check_user_mail(&mut out.messages);
        Ok(out)
    }

    /// Records that a session was given these messages in full, and those by name.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn mark_announced(
        &self,
        whole: &[&Envelope],
        named: &[&Envelope],
        session: &str,
        how: &str,
        now: WallTime,
    ) -> Result<()> {
        let place = self.catch_up()?;
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        for envelope in whole {
            let name = file_name(envelope.seq, envelope.id);
            if self.files.is_in_dir(MailDir::New, &name)? {
                self.files.claim(&name)?;
            }
        }
        let seen = whole.iter().map(|envelope| (*envelope, seen(envelope, session, now)));
        let told = named.iter().map(|envelope| (*envelope, ReceiptStep::Notified { how: how.to_owned() }));
        let receipts: Vec<Receipt> =
            seen.chain(told).map(|(envelope, step)| receipt(envelope, &place, now, step)).collect();
        self.receipts.append_all(&receipts)
    }

    /// Lists new messages from before this time without a sign that their recipient was notified, and without
    /// a record that they are late. A line typed by the doorbell is not such a sign.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn overdue(&self, before: WallTime) -> Result<Vec<Envelope>> {
        let place = self.catch_up()?;
        let names = self.files.names(MailDir::New)?;
        let old = names.iter().filter_map(|name| parse_name(name)).filter(|(_, id)| id.made_at() < before);
        let old: Vec<(u64, MessageId)> = old.collect();
        let Some((first, _)) = old.first() else { return Ok(Vec::new()) };
        let known = self.receipts.deliveries(*first)?;
        let is_open = |id: &MessageId| known.get(id).is_none_or(Delivery::needs_announcement);
        let mut out = Vec::new();
        for (seq, _) in old.into_iter().filter(|(_, id)| is_open(id)) {
            out.extend(self.registry.get_from(&place.tail, seq)?.map(|record| record.envelope));
        }
        Ok(out)
    }

    /// Counts the waiting messages, by the names of their files, and the new messages that were not seen
    /// within their deadline.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn unread_and_overdue(&self) -> Result<(UnreadCount, usize)> {
        let names = |shelf| -> Result<Vec<(u64, MessageId)>> {
            Ok(self.files.names(shelf)?.iter().filter_map(|name| parse_name(name)).collect())
        };
        let (new, taken) = (names(MailDir::New)?, names(MailDir::Cur)?.len());
        let waiting = UnreadCount { new: new.len(), taken };
        let Some((first, _)) = new.first() else { return Ok((waiting, 0)) };
        let known = self.receipts.deliveries(*first)?;
        let late = |id: &MessageId| known.get(id).is_some_and(|d| d.state() == DeliveryState::Undelivered);
        Ok((waiting, new.iter().filter(|(_, id)| late(id)).count()))
    }

    /// Records that these messages were not seen within their deadline.
    ///
    /// # Errors
    /// As [`Inbox::list`].
    pub fn mark_undelivered(&self, messages: &[Envelope], why: &str, now: WallTime) -> Result<()> {
        let place = self.catch_up()?;
        let _gate = self.files.gate()?;
        self.finish_interrupted()?;
        let step = || ReceiptStep::Undelivered { why: why.to_owned() };
        let receipts: Vec<Receipt> =
            messages.iter().map(|envelope| receipt(envelope, &place, now, step())).collect();
        self.receipts.append_all(&receipts)
    }
}
