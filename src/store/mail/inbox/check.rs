//! Checks mailbox files against the registry, and quarantines those that differ.

use std::io;

use crate::domain::mail::message::Envelope;
use crate::domain::mail::receipt::ReceiptStep;
use crate::domain::util::time::WallTime;
use crate::store::disk::Disk;
use crate::store::error::{Result, StoreError};
use crate::store::mail::inbox::{Inbox, InboxMessage, Quarantined, ReadPosition, receipt};
use crate::store::mail::mailbox::{MailDir, file_name, parse_name};

/// Largest mailbox file, in bytes: the largest message, indented.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The result of checking a mailbox file.
enum FileVerdict {
    Fine(Box<Envelope>),
    Expired(Box<Envelope>),
    /// Emptied or holed by a power cut; the registry has the message.
    Torn(Box<Envelope>),
    /// A copy of a message that was acknowledged or expired.
    Stale,
    /// Removed in the meantime.
    Gone,
    Bad {
        why: String,
        known: Option<Box<Envelope>>,
    },
}

impl<D: Disk> Inbox<'_, D> {
    /// Lists all messages, when no file needs a repair; without the gate.
    pub(crate) fn quick_list(
        &self,
        place: &ReadPosition,
        now: WallTime,
    ) -> Result<Option<Vec<InboxMessage>>> {
        let (cur, new) = (self.files.names(MailDir::Cur)?, self.files.names(MailDir::New)?);
        if cur.is_empty() && new.is_empty() {
            return Ok(Some(Vec::new()));
        }
        if let Some(last) = self.receipts.last()?.filter(|last| last.step.is_final()) {
            let name = file_name(last.seq, last.id);
            if cur.contains(&name) || new.contains(&name) {
                return Ok(None);
            }
        }
        let shelves = [(MailDir::Cur, &cur), (MailDir::New, &new)];
        let mut out: Vec<InboxMessage> = Vec::new();
        for (shelf, name) in shelves.iter().flat_map(|(shelf, names)| names.iter().map(|n| (*shelf, n))) {
            let FileVerdict::Fine(envelope) = self.examine(shelf, name, place, now)? else { return Ok(None) };
            if out.iter().any(|held| held.envelope.seq == envelope.seq) {
                return Ok(None);
            }
            out.push(InboxMessage { envelope: *envelope, claimed: shelf == MailDir::Cur });
        }
        out.sort_by_key(|held| held.envelope.seq);
        Ok(Some(out))
    }

    /// Returns the message of a file that needs no repair; without the gate.
    pub(crate) fn intact(
        &self,
        shelf: MailDir,
        name: &str,
        place: &ReadPosition,
        now: WallTime,
    ) -> Result<Option<Envelope>> {
        match self.examine(shelf, name, place, now)? {
            FileVerdict::Fine(envelope) => Ok(Some(*envelope)),
            FileVerdict::Expired(_)
            | FileVerdict::Torn(_)
            | FileVerdict::Stale
            | FileVerdict::Gone
            | FileVerdict::Bad { .. } => Ok(None),
        }
    }

    /// Returns the message of a file, and repairs or quarantines files that are wrong; under the gate.
    pub(crate) fn repair_file(
        &self,
        shelf: MailDir,
        name: &str,
        place: &ReadPosition,
        now: WallTime,
        quarantined: &mut Vec<Quarantined>,
    ) -> Result<Option<Envelope>> {
        match self.examine(shelf, name, place, now)? {
            FileVerdict::Fine(envelope) => Ok(Some(*envelope)),
            FileVerdict::Gone => Ok(None),
            FileVerdict::Stale => self.files.remove_from(shelf, name).map(|()| None),
            FileVerdict::Torn(envelope) => {
                self.files.put(shelf, &envelope)?;
                self.expire_if_due(name, *envelope, place, now)
            }
            FileVerdict::Expired(envelope) => self.expire_if_due(name, *envelope, place, now),
            FileVerdict::Bad { why, known } => {
                let file = self.files.quarantine(shelf, name)?;
                let restored = known.as_ref().map(|envelope| envelope.id);
                quarantined.push(Quarantined { file, why: why.clone(), restored });
                let Some(envelope) = known else { return Ok(None) };
                self.files.put(shelf, &envelope)?;
                self.receipts.append(&receipt(&envelope, place, now, ReceiptStep::Quarantined { why }))?;
                self.expire_if_due(name, *envelope, place, now)
            }
        }
    }

    /// Removes a message with an intact file when it has expired; under the gate.
    fn expire_if_due(
        &self,
        name: &str,
        envelope: Envelope,
        place: &ReadPosition,
        now: WallTime,
    ) -> Result<Option<Envelope>> {
        if !envelope.has_expired(now) {
            return Ok(Some(envelope));
        }
        // Synced like an acknowledgement: the floor passes only messages that never come again.
        self.receipts.append_synced(&receipt(&envelope, place, now, ReceiptStep::Expired))?;
        self.files.remove(name).map(|()| None)
    }

    fn examine(
        &self,
        shelf: MailDir,
        name: &str,
        place: &ReadPosition,
        now: WallTime,
    ) -> Result<FileVerdict> {
        let bad = |why: String, known| Ok(FileVerdict::Bad { why, known });
        let Some((seq, id)) = parse_name(name) else {
            return bad("its name is not that of a message".to_owned(), None);
        };
        if seq < place.cursor.floor {
            return Ok(FileVerdict::Stale);
        }
        let path = self.files.path(shelf, name);
        let record = self.registry.get_from(&place.tail, seq)?.map(|record| Box::new(record.envelope));
        let archived = record.is_none() && seq <= place.cursor.seq;
        let known = record.filter(|envelope| envelope.id == id && envelope.is_for(&self.mailbox));
        if known.is_none() && !archived {
            return bad("the registry does not know it".to_owned(), None);
        }
        let bytes = match self.registry.disk().read(&path, FILE_BYTES_MAX) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(FileVerdict::Gone),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => return bad(e.to_string(), known),
            Err(source) => return Err(StoreError::Io { doing: "read", file: path, source }),
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let Some(known) = known else {
            // Its segment is in the archive; only the file's own digest is left to check.
            return match Envelope::from_file(text) {
                Ok(e) if e.verify() && e.seq == seq && e.id == id && e.is_for(&self.mailbox) => {
                    Ok(FileVerdict::Fine(Box::new(e)))
                }
                Ok(_) => bad("its digest does not match".to_owned(), None),
                Err(error) => bad(error, None),
            };
        };
        if bytes.is_empty() || bytes.contains(&0) {
            return Ok(FileVerdict::Torn(known));
        }
        if text != known.to_file() && Envelope::from_file(text).as_ref() != Ok(&*known) {
            return bad("it differs from the registry".to_owned(), Some(known));
        }
        Ok(if known.has_expired(now) { FileVerdict::Expired(known) } else { FileVerdict::Fine(known) })
    }
}
