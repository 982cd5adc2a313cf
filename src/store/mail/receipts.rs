//! Receipts, `cmw/receipts/<Name>.jsonl`: the delivery steps of the messages in one mailbox.
//!
//! The first line is a header, then one receipt a line. Appended under the mailbox's gate; synced when a
//! message is acknowledged. Each receipt records how far its reader had followed the registry, so that a
//! lookup of a message reads backwards only to receipts from before it.
//!
//! Invariants (each has a test of the same name):
//! * `a_torn_receipt_is_cut_and_a_bad_one_is_damage`
//! * `reading_backwards_stops_before_older_receipts`
//!
//! A line with NUL bytes is left by a power cut in unsynced receipts: it is skipped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::audit::journal_entry::DamagedFile;
use crate::domain::identity::actor::Mailbox;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::receipt::{Delivery, NOTE_CHARS_MAX, Receipt, ReceiptStep};
use crate::domain::util::sanitize;
use crate::store::damage;
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};
use crate::store::jsonl::{Line, LineReader};
use crate::store::layout;
use crate::store::unsynced;

const FORMAT: u64 = 1;
/// How many bytes are read from the end at first; no receipt is longer.
const WINDOW: u64 = 16 << 10;
/// Longest name of a session or of a way to notify, in characters; longer ones are cut.
const NAME_CHARS_MAX: usize = 200;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u64,
    mailbox: Mailbox,
}

/// The receipts of one mailbox.
#[derive(Debug)]
pub(crate) struct Receipts<'d, D> {
    disk: &'d D,
    mailbox: Mailbox,
    path: String,
    /// Path of the soft record of whether the file's name is synced.
    named: String,
}

impl<'d, D: Disk> Receipts<'d, D> {
    pub(crate) fn new(disk: &'d D, mailbox: &Mailbox) -> Self {
        let path = format!("cmw/receipts/{mailbox}.jsonl");
        Self { disk, mailbox: mailbox.clone(), path, named: format!("cmw/mail/{mailbox}.named") }
    }

    /// Appends a receipt, not synced; under the mailbox's gate.
    pub(crate) fn append(&self, receipt: &Receipt) -> Result<()> {
        self.append_all(std::slice::from_ref(receipt))
    }

    /// Appends several receipts, not synced; under the mailbox's gate.
    pub(crate) fn append_all(&self, receipts: &[Receipt]) -> Result<()> {
        if receipts.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for receipt in receipts {
            let json = serde_json::to_string(&trimmed(receipt)).expect("a receipt is plain data");
            lines.push_str(&sanitize::ascii_safe_json(&json));
            lines.push('\n');
        }
        if self.repair()? == 0 {
            let header = Header { format: FORMAT, mailbox: self.mailbox.clone() };
            let header = serde_json::to_string(&header).expect("a header is plain data");
            lines.insert_str(0, &format!("{header}\n"));
            unsynced::write(self.disk, &self.named, &false)?;
        }
        unsynced::with_dir(self.disk, &self.path, || self.disk.append(&self.path, lines.as_bytes()))
            .map_err(|source| StoreError::NotWritten { file: self.path.clone(), source })
    }

    /// Appends a receipt and syncs it; under the mailbox's gate.
    pub(crate) fn append_synced(&self, receipt: &Receipt) -> Result<()> {
        self.append(receipt)?;
        let unconfirmed = |source| StoreError::Unconfirmed { file: self.path.clone(), source };
        self.disk.sync(&self.path).map_err(unconfirmed)?;
        if unsynced::read(self.disk, &self.named)? != Some(true) {
            for dir in ["cmw/receipts", "cmw", ""] {
                self.disk.sync_dir(dir).map_err(unconfirmed)?;
            }
            // Without the record the names are synced again, which is only slower.
            let _ = unsynced::write(self.disk, &self.named, &true);
        }
        Ok(())
    }

    /// Cuts a torn last line; returns the remaining length.
    fn repair(&self) -> Result<u64> {
        let size = self.size()?;
        let mut end = size;
        while end > 0 {
            let start = end.saturating_sub(WINDOW);
            let bytes = self.read(start, end - start)?;
            if let Some(last) = bytes.iter().rposition(|b| *b == b'\n') {
                end = start + last as u64 + 1;
                break;
            }
            end = start;
        }
        if end < size {
            self.disk.truncate(&self.path, end).doing("cut the torn tail of", &self.path)?;
        }
        Ok(end)
    }

    fn size(&self) -> Result<u64> {
        Ok(self.disk.size(&self.path).doing("read", &self.path)?.unwrap_or(0))
    }

    fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.disk.read_at(&self.path, offset, len).doing("read", &self.path)
    }

    /// Reads the last receipt, which tells whether an acknowledgement was interrupted.
    pub(crate) fn last(&self) -> Result<Option<Receipt>> {
        let size = self.size()?;
        let start = size.saturating_sub(WINDOW + 1);
        Ok(self.parse(start, &self.read(start, size - start)?)?.pop())
    }

    /// Reads receipts in the order of the file, without those from before message `seq` arrived.
    pub(crate) fn since(&self, seq: u64) -> Result<Vec<Receipt>> {
        let size = self.size()?;
        let mut window = WINDOW + 1;
        loop {
            let start = size.saturating_sub(window);
            let receipts = self.parse(start, &self.read(start, size - start)?)?;
            if start == 0 || receipts.first().is_some_and(|first| first.upto < seq) {
                return Ok(receipts);
            }
            window *= 4;
        }
    }

    /// Returns the delivery state of each message since message `seq` arrived.
    pub(crate) fn deliveries(&self, seq: u64) -> Result<BTreeMap<MessageId, Delivery>> {
        let mut out: BTreeMap<MessageId, Delivery> = BTreeMap::new();
        for receipt in self.since(seq)? {
            out.entry(receipt.id).or_default().evolve(&receipt);
        }
        Ok(out)
    }

    /// Parses the complete lines in a piece of the file that starts at this offset.
    fn parse(&self, start: u64, bytes: &[u8]) -> Result<Vec<Receipt>> {
        let damaged = |offset: usize, what: String| StoreError::Damaged {
            file: self.path.clone(),
            what: format!("at byte {}: {what}", start + offset as u64),
            remedy: "cmw-doctor --fix",
        };
        let mut out = Vec::new();
        let mut offset = 0;
        for (number, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let at = offset;
            offset += line.len();
            let Some(line) = line.strip_suffix(b"\n") else { break };
            // The piece may start within a line.
            if (number == 0 && start > 0) || line.contains(&0) {
                continue;
            }
            if at == 0 && start == 0 {
                let header: Header =
                    serde_json::from_slice(line).map_err(|e| damaged(0, format!("not a header ({e})")))?;
                if header.format > FORMAT {
                    let file = self.path.clone();
                    return Err(StoreError::Newer { file, theirs: header.format, ours: FORMAT });
                }
            } else {
                let receipt = serde_json::from_slice(line);
                out.push(receipt.map_err(|e| damaged(at, format!("not a receipt ({e})")))?);
            }
        }
        Ok(out)
    }
}

/// Lists the receipt files that cannot be read, each with its fault.
///
/// # Errors
/// The system's error.
pub(crate) fn damaged_files<D: Disk>(disk: &D) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for name in disk.list(layout::RECEIPTS).doing("list", layout::RECEIPTS)? {
        let Some(path) = name.ends_with(".jsonl").then(|| format!("{}/{name}", layout::RECEIPTS)) else {
            continue;
        };
        if let Some(why) = fault_of(disk, &path) {
            found.push((path, why));
        }
    }
    Ok(found)
}

fn fault_of<D: Disk>(disk: &D, path: &str) -> Option<String> {
    let mut lines = match LineReader::whole(disk, path) {
        Ok(lines) => lines,
        Err(error) => return damage::fault(&error).map(|(_, why)| why),
    };
    while let Some(line) = lines.next().ok()? {
        if line.is_too_long || !is_ours(line) {
            return Some(format!("at byte {}: not a receipt", line.at));
        }
    }
    None
}

fn is_ours(line: Line<'_>) -> bool {
    let is_torn = line.bytes.contains(&0);
    match line.at {
        0 => serde_json::from_slice::<Header>(line.bytes).is_ok(),
        _ => is_torn || serde_json::from_slice::<Receipt>(line.bytes).is_ok(),
    }
}

/// Sets a receipt file aside; its receipts go on under its name.
///
/// # Errors
/// The system's error.
pub(crate) fn set_aside<D: Disk>(disk: &D, damaged: &DamagedFile) -> Result<()> {
    let name =
        damaged.file.rsplit('/').next().and_then(|name| name.strip_suffix(".jsonl")).unwrap_or_default();
    let mailbox: Mailbox = serde_json::from_value(name.into()).map_err(|e| StoreError::Damaged {
        file: damaged.file.clone(),
        what: format!("its name is no mailbox ({e})"),
        remedy: "cmw-doctor --fix",
    })?;
    let header = Header { format: FORMAT, mailbox };
    let mut whole = serde_json::to_vec(&header).expect("a header is plain data");
    whole.push(b'\n');
    if let Ok(mut lines) = LineReader::whole(disk, &damaged.file) {
        while let Some(line) = lines.next()? {
            if line.at > 0 && !line.is_too_long && is_ours(line) {
                whole.extend_from_slice(line.bytes);
                whole.push(b'\n');
            }
        }
    }
    damage::replace(disk, damaged, |tmp| disk.create_new(tmp, &whole).doing("write", tmp))
}

/// Returns the receipt with its texts cut, so that a line fits the window.
fn trimmed(receipt: &Receipt) -> Receipt {
    let mut receipt = receipt.clone();
    let cut = |text: &mut String, max| *text = sanitize::shorten(text, max);
    match &mut receipt.step {
        ReceiptStep::Notified { how } => cut(how, NAME_CHARS_MAX),
        ReceiptStep::Seen { session, waited_ms: _ } => cut(session, NAME_CHARS_MAX),
        ReceiptStep::Acknowledged { outcome: _, note, session } => {
            cut(note, NOTE_CHARS_MAX);
            cut(session, NAME_CHARS_MAX);
        }
        ReceiptStep::Quarantined { why }
        | ReceiptStep::DeadLettered { why }
        | ReceiptStep::Undelivered { why } => {
            cut(why, NOTE_CHARS_MAX);
        }
        ReceiptStep::Expired => {}
    }
    receipt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mail::receipt::WorkOutcome;
    use crate::domain::util::time::WallTime;
    use crate::store::disk::RealDisk;

    fn receipt(seq: u64, note: &str) -> Receipt {
        let step =
            ReceiptStep::Acknowledged { outcome: WorkOutcome::Done, note: note.into(), session: "s".into() };
        Receipt { id: MessageId::from_parts(1, u128::from(seq)), seq, upto: seq, at: WallTime(1), step }
    }

    fn with(f: impl FnOnce(&RealDisk, &Receipts<'_, RealDisk>)) {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        f(&disk, &Receipts::new(&disk, &Mailbox::User));
    }

    #[test]
    fn a_torn_receipt_is_cut_and_a_bad_one_is_damage() {
        with(|disk, receipts| {
            assert_eq!(receipts.since(0).unwrap(), []);
            receipts.append_synced(&receipt(1, "")).unwrap();
            disk.append("cmw/receipts/User.jsonl", b"{\"id\":").unwrap();
            assert_eq!(receipts.since(0).unwrap().len(), 1);
            receipts.append(&receipt(2, "")).unwrap();
            disk.append("cmw/receipts/User.jsonl", b"\0\0\0").unwrap();
            receipts.append(&receipt(3, "")).unwrap();
            disk.append("cmw/receipts/User.jsonl", b"\0\0\0tail of a lost one\n").unwrap();
            let seqs: Vec<u64> = receipts.since(0).unwrap().iter().map(|r| r.seq).collect();
            assert_eq!(seqs, [1, 2, 3]);
            disk.append("cmw/receipts/User.jsonl", b"garbage\n").unwrap();
            assert!(matches!(receipts.since(0), Err(StoreError::Damaged { .. })));
        });
    }

    #[test]
    fn reading_backwards_stops_before_older_receipts() {
        with(|_, receipts| {
            for seq in 1..=300 {
                receipts.append(&receipt(seq, &"\u{e0041}".repeat(1_200))).unwrap();
            }
            let some = receipts.since(290).unwrap();
            assert!(some.len() < 100 && some.iter().filter(|r| r.seq >= 290).count() == 11, "{}", some.len());
            assert_eq!(receipts.last().unwrap().unwrap().seq, 300);
            assert_eq!(receipts.since(0).unwrap().len(), 300);
            assert_eq!(receipts.deliveries(0).unwrap().len(), 300);
        });
    }
}
