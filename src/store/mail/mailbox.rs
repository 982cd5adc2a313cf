//! Mailbox files, `messages/<Name>/{tmp,new,cur,bad}`: one file per message, a copy that a person can read.
//!
//! The registry is authoritative; these files are never synced, and rewritten when a power cut loses them. A
//! process that adds, claims or removes files holds the mailbox's gate, so that a message enters `new/` once:
//! by its sender while the reader's cursor is before it, else by the reader.

use std::io;

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::Mailbox;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::Envelope;
use crate::domain::util::digest::Digest;
use crate::domain::util::time::BootId;
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};
use crate::store::unsynced;

/// How long a sender waits for a mailbox, in milliseconds; its reader will fetch the message otherwise.
const DELIVER_WAIT_MS: u64 = 20;
/// How long a reader waits for its own mailbox, in milliseconds.
const WAIT_MS: u64 = 5_000;

/// How far the reader of a mailbox has followed the registry; soft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailboxCursor {
    /// The boot that wrote it: the mailbox files are known to be intact only within that boot.
    pub(crate) boot: BootId,
    /// Number of the last record examined.
    pub(crate) seq: u64,
    /// Chain value after it.
    pub(crate) chain: Digest,
    /// Every message before this number was acknowledged or expired, and its receipt is synced.
    pub(crate) floor: u64,
}

/// The subdirectories of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailDir {
    New,
    Cur,
}

impl MailDir {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Cur => "cur",
        }
    }
}

/// The files of one mailbox.
#[derive(Debug)]
pub(crate) struct MailboxFiles<'d, D> {
    disk: &'d D,
    mailbox: Mailbox,
}

impl<'d, D: Disk> MailboxFiles<'d, D> {
    pub(crate) fn new(disk: &'d D, mailbox: &Mailbox) -> Self {
        Self { disk, mailbox: mailbox.clone() }
    }

    pub(crate) fn path(&self, shelf: MailDir, name: &str) -> String {
        format!("messages/{}/{}/{name}", self.mailbox, shelf.name())
    }

    /// Acquires the mailbox's gate.
    pub(crate) fn gate(&self) -> Result<D::Lock> {
        self.gate_within(WAIT_MS)
    }

    fn gate_within(&self, wait_ms: u64) -> Result<D::Lock> {
        unsynced::lock(self.disk, &format!("cmw/mail/{}.lock", self.mailbox), wait_ms)
    }

    pub(crate) fn cursor(&self) -> Result<Option<MailboxCursor>> {
        unsynced::read(self.disk, &format!("cmw/cursors/{}", self.mailbox))
    }

    /// Writes the cursor; under the gate.
    pub(crate) fn set_cursor(&self, cursor: &MailboxCursor) -> Result<()> {
        unsynced::write(self.disk, &format!("cmw/cursors/{}", self.mailbox), cursor)
    }

    /// Lists the names in a subdirectory, sorted, which is by number.
    pub(crate) fn names(&self, shelf: MailDir) -> Result<Vec<String>> {
        let dir = format!("messages/{}/{}", self.mailbox, shelf.name());
        self.disk.list(&dir).doing("list", &dir)
    }

    /// Puts a copy into a subdirectory, replacing an existing one; under the gate.
    pub(crate) fn put(&self, shelf: MailDir, envelope: &Envelope) -> Result<()> {
        let name = file_name(envelope.seq, envelope.id);
        let (tmp, path) = (format!("messages/{}/tmp/{name}", self.mailbox), self.path(shelf, &name));
        let text = envelope.to_file();
        let create = || {
            // A left-over of a process that died here: other processes do not write while the gate is held.
            self.disk.remove(&tmp)?;
            self.disk.create_new(&tmp, text.as_bytes())
        };
        unsynced::with_dir(self.disk, &tmp, create).doing("write", &tmp)?;
        unsynced::with_dir(self.disk, &path, || self.disk.rename(&tmp, &path)).doing("write", &path)
    }

    /// Moves a file from `new/` to `cur/`; under the gate.
    pub(crate) fn claim(&self, name: &str) -> Result<()> {
        let (from, to) = (self.path(MailDir::New, name), self.path(MailDir::Cur, name));
        unsynced::with_dir(self.disk, &to, || self.disk.rename(&from, &to)).doing("claim", &from)
    }

    /// Moves a file to `bad/` and returns its new path; under the gate.
    pub(crate) fn quarantine(&self, shelf: MailDir, name: &str) -> Result<String> {
        let from = self.path(shelf, name);
        for n in 0..1_000 {
            let suffix = if n == 0 { String::new() } else { format!(".{n}") };
            let to = format!("messages/{}/bad/{name}{suffix}", self.mailbox);
            match unsynced::with_dir(self.disk, &to, || self.disk.rename_new(&from, &to)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.map(|()| to).doing("put aside", &from),
            }
        }
        let source = io::Error::other("a thousand files of that name are already there");
        Err(StoreError::Io { doing: "put aside", file: from, source })
    }

    /// Returns whether a file of this name is in any subdirectory.
    pub(crate) fn holds(&self, name: &str) -> Result<bool> {
        Ok(self.is_in_dir(MailDir::New, name)? || self.is_in_dir(MailDir::Cur, name)?)
    }

    /// Returns whether a file of this name is in this subdirectory.
    pub(crate) fn is_in_dir(&self, shelf: MailDir, name: &str) -> Result<bool> {
        let path = self.path(shelf, name);
        Ok(self.disk.size(&path).doing("look for", &path)?.is_some())
    }

    /// Removes a file from both subdirectories; under the gate.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.remove_from(MailDir::New, name)?;
        self.remove_from(MailDir::Cur, name)
    }

    /// Removes a file from one subdirectory; under the gate.
    pub(crate) fn remove_from(&self, shelf: MailDir, name: &str) -> Result<()> {
        let path = self.path(shelf, name);
        self.disk.remove(&path).doing("remove", &path)
    }
}

/// Returns the name of a message's file.
pub(crate) fn file_name(seq: u64, id: MessageId) -> String {
    format!("{seq:012}.{id}.json")
}

/// Parses the name of a message's file.
pub(crate) fn parse_name(name: &str) -> Option<(u64, MessageId)> {
    let (seq, id) = name.strip_suffix(".json")?.split_once('.')?;
    let parsed = (seq.parse().ok()?, MessageId::parse(id).ok()?);
    (file_name(parsed.0, parsed.1) == name).then_some(parsed)
}

/// How many messages wait in a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnreadCount {
    /// Messages that no session has claimed.
    pub new: usize,
    /// Messages that were claimed and not yet acknowledged.
    pub taken: usize,
}

/// Counts the waiting messages by their file names: locks, opens and writes nothing.
///
/// A message whose copy its sender could not deliver counts after the reader's next look.
pub fn waiting<D: Disk>(disk: &D, mailbox: &Mailbox) -> Result<UnreadCount> {
    let files = MailboxFiles::new(disk, mailbox);
    let count = |shelf| -> Result<usize> {
        Ok(files.names(shelf)?.iter().filter(|name| parse_name(name).is_some()).count())
    };
    Ok(UnreadCount { new: count(MailDir::New)?, taken: count(MailDir::Cur)? })
}

/// Lists the numbers of the waiting messages, in order, each with whether it is new. Like [`waiting`], it
/// opens and writes nothing.
pub fn names<D: Disk>(disk: &D, mailbox: &Mailbox) -> Result<Vec<(u64, bool)>> {
    let files = MailboxFiles::new(disk, mailbox);
    let mut all = Vec::new();
    for (shelf, is_new) in [(MailDir::New, true), (MailDir::Cur, false)] {
        let names = files.names(shelf)?;
        all.extend(names.iter().filter_map(|name| parse_name(name)).map(|(seq, _)| (seq, is_new)));
    }
    all.sort_unstable();
    Ok(all)
}

/// Copies messages, which the registry has, into the mailboxes of their recipients.
///
/// Best effort: the reader of a mailbox fetches what is missing. Returns the mailboxes that could not be
/// written, with the cause.
pub fn deliver<D: Disk>(disk: &D, envelopes: &[Envelope]) -> Vec<(Mailbox, StoreError)> {
    let mut mailboxes: Vec<&Mailbox> = envelopes.iter().flat_map(|e| &e.recipients).collect();
    mailboxes.sort();
    mailboxes.dedup();
    let mut failed = Vec::new();
    for mailbox in mailboxes {
        let files = MailboxFiles::new(disk, mailbox);
        let put_all = || -> Result<()> {
            let _gate = files.gate_within(DELIVER_WAIT_MS)?;
            let seen = files.cursor()?.map_or(0, |cursor| cursor.seq);
            for envelope in envelopes.iter().filter(|e| e.seq > seen && e.is_for(mailbox)) {
                files.put(MailDir::New, envelope)?;
            }
            Ok(())
        };
        if let Err(error) = put_all() {
            failed.push((mailbox.clone(), error));
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_messages() {
        let id = MessageId::from_parts(5, 6);
        assert_eq!(parse_name(&file_name(7, id)), Some((7, id)));
        for name in [format!("7.{id}.json"), format!("{:012}.{id}", 7), format!("+00000000007.{id}.json")] {
            assert_eq!(parse_name(&name), None, "{name}");
        }
    }
}
