//! Reads the audit trail backwards from its end, and follows it while it grows. Locks and writes nothing.
//!
//! Invariants (each has a test of the same name):
//! * `the_end_is_read_whatever_the_chunks`: all logs merged by number, newest first.
//! * `what_is_in_the_outbox_is_there_already`
//! * `damage_is_told_and_the_rest_is_read`
//! * `a_follower_misses_nothing_and_sees_nothing_twice`
//!
//! The document is read before the logs and says how far the trail reaches at that moment: a record up to
//! there is in its log or in the document's outbox; later ones are left out.
//!
//! Cost: the last n records cost n lines, plus a chunk of each log. A search for something rare reads back as
//! far as it must: the whole trail when there is no match.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::audit::record::Record;
use crate::store::audit::log;
use crate::store::disk::Disk;
use crate::store::document::Document;
use crate::store::error::{Doing, Result, StoreError};
use crate::store::jsonl::read_from;
use crate::store::jsonl::{self, LINE_BYTES_MAX};
use crate::store::layout;

/// How many bytes of a log are read at first; each further read doubles it.
const CHUNK_BYTES: usize = 16 << 10;
/// Most bytes that are read at once.
const CHUNK_BYTES_MAX: usize = 1 << 20;

fn damaged(file: &str, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { file: file.to_owned(), what: what.into(), remedy: "cmw-doctor --fix" }
}

fn parse(file: &str, line: &[u8]) -> Result<Record> {
    log::parse(file, line, "a line")
}

/// The problems found: the first of each file, since one fault shows in many places.
#[derive(Debug, Default)]
struct Problems {
    all: Vec<StoreError>,
    of: BTreeSet<String>,
}

impl Problems {
    fn add(&mut self, file: &str, error: StoreError) {
        if self.of.insert(file.to_owned()) {
            self.all.push(error);
        }
    }
}

/// The record that is expected next, going back.
#[derive(Debug)]
struct ExpectedLink {
    seq: u64,
    hash: String,
}

/// The audit trail, newest record first.
#[derive(Debug)]
pub struct AuditReader<'d, D: Disk> {
    disk: &'d D,
    logs: Vec<LogCursor>,
    /// Records of the last publish, oldest first.
    outbox: Vec<Record>,
    upto: u64,
    journal_read: Option<u64>,
    /// The gaps that the records read so far declare.
    lost: Vec<(u64, u64)>,
    /// The number of the first record returned.
    newest: Option<u64>,
    link: Option<ExpectedLink>,
    problems: Problems,
}

impl<'d, D: Disk> AuditReader<'d, D> {
    /// Opens the trail at its end; reads hardly anything yet.
    ///
    /// # Errors
    /// [`StoreError::NotInitialised`]. Other problems are kept for [`AuditReader::problems`].
    pub fn open(disk: &'d D) -> Result<Self> {
        let mut trail = Self {
            disk,
            logs: Vec::new(),
            outbox: Vec::new(),
            upto: u64::MAX,
            journal_read: None,
            newest: None,
            lost: Vec::new(),
            link: None,
            problems: Problems::default(),
        };
        match Document::load(disk) {
            Err(StoreError::NotInitialised) => return Err(StoreError::NotInitialised),
            Err(error) => trail.problems.add(layout::STATE, error),
            Ok(document) => {
                (trail.upto, trail.journal_read) = (document.seq, Some(document.journal_read));
                trail.link = Some(ExpectedLink { seq: document.seq, hash: document.head });
                trail.outbox = document.outbox.records;
            }
        }
        match log::files(disk) {
            Ok(names) => {
                for file in names {
                    match LogCursor::open(disk, &file) {
                        Ok(log) => trail.logs.push(log),
                        Err(error) => trail.problems.add(&file, error),
                    }
                }
            }
            Err(error) => trail.problems.add(layout::AUDIT, error),
        }
        Ok(trail)
    }

    /// Returns the number of the last record of this view; without a document it is known only after a record
    /// was read.
    #[must_use]
    pub fn last(&self) -> u64 {
        if self.upto == u64::MAX { self.newest.unwrap_or(0) } else { self.upto }
    }

    /// Returns how many bytes of the hooks' journal are in the audit; `None` without a document.
    #[must_use]
    pub fn journal_read(&self) -> Option<u64> {
        self.journal_read
    }

    /// Returns the journal entries that are not in the audit yet, oldest first.
    #[must_use]
    pub fn pending_entries(&self) -> Vec<JournalEntry> {
        let Some(from) = self.journal_read else { return Vec::new() };
        let (lines, _) = read_from(self.disk, layout::JOURNAL, from).unwrap_or_default();
        lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// Returns the problems found in what was read so far.
    #[must_use]
    pub fn problems(self) -> Vec<StoreError> {
        self.problems.all
    }

    /// Returns the record before the one returned last.
    pub fn previous(&mut self) -> Option<Record> {
        for log in &mut self.logs {
            log.fill(self.disk, self.upto, &mut self.problems);
        }
        let in_logs = self.logs.iter_mut().max_by_key(|log| log.ready.as_ref().map_or(0, |r| r.seq));
        let in_log =
            in_logs.and_then(|log| log.ready.take_if(|r| self.outbox.last().is_none_or(|o| o.seq <= r.seq)));
        let record = match in_log {
            Some(record) => {
                // A record that was delivered is in both places.
                self.outbox.pop_if(|waiting| waiting.seq == record.seq);
                record
            }
            None => match self.outbox.pop() {
                Some(record) => record,
                None => {
                    self.end();
                    return None;
                }
            },
        };
        self.newest.get_or_insert(record.seq);
        self.check(&record);
        Some(record)
    }

    fn check(&mut self, record: &Record) {
        let file = layout::log(record.event.log());
        if !record.is_intact() {
            self.problems.add(&file, damaged(&file, format!("record {} was changed", record.seq)));
        }
        self.lost.extend(log::declared_lost(std::slice::from_ref(record)));
        if let Some(link) = &self.link {
            let what = if record.seq < link.seq {
                self.missing(record.seq + 1, link.seq)
            } else if record.seq > link.seq {
                Some(format!("record {} is there twice", record.seq))
            } else if record.hash != link.hash {
                Some(format!("record {} does not precede the next one in the chain", record.seq))
            } else {
                None
            };
            self.broken(what);
        }
        let seq = record.seq.saturating_sub(1);
        self.link = Some(ExpectedLink { seq, hash: record.prev.clone() });
    }

    fn end(&mut self) {
        let end = self.link.take().map_or(0, |link| link.seq);
        let missing = self.missing(1, end);
        self.broken(missing);
    }

    /// Names the last of these records that no later one declares lost.
    fn missing(&self, first: u64, last: u64) -> Option<String> {
        let parts = log::undeclared(first, last, &self.lost);
        parts.last().map(|(_, seq)| format!("record {seq} is missing"))
    }

    /// Reports a broken chain, unless a file could not be read, which explains it.
    fn broken(&mut self, what: Option<String>) {
        if let Some(what) = what.filter(|_| self.problems.all.is_empty()) {
            self.problems.add(layout::AUDIT, damaged(layout::AUDIT, what));
        }
    }
}

/// One log, read from its end.
#[derive(Debug)]
struct LogCursor {
    file: String,
    /// Where `bytes` begins in the file.
    start: u64,
    /// Bytes read and not returned yet: up to and including a line end, or empty.
    bytes: Vec<u8>,
    chunk: usize,
    ready: Option<Record>,
}

impl LogCursor {
    /// Leaves out a torn tail: a writer may be appending.
    fn open<D: Disk>(disk: &D, file: &str) -> Result<Self> {
        let start = jsonl::tail(disk, file)?.whole;
        Ok(Self { file: file.to_owned(), start, bytes: Vec::new(), chunk: CHUNK_BYTES, ready: None })
    }

    /// Prepares the next record, if there is one; skips those after `upto`, which were published later.
    fn fill<D: Disk>(&mut self, disk: &D, upto: u64, problems: &mut Problems) {
        while self.ready.is_none() {
            let line = match self.line(disk) {
                Ok(Some(line)) => line,
                Ok(None) => return,
                Err(error) => {
                    (self.start, self.bytes) = (0, Vec::new());
                    return problems.add(&self.file, error);
                }
            };
            match parse(&self.file, &line) {
                Ok(record) => self.ready = Some(record).filter(|record| record.seq <= upto),
                Err(error) => problems.add(&self.file, error),
            }
        }
    }

    /// Returns the line before the one returned last, without its end.
    fn line<D: Disk>(&mut self, disk: &D) -> Result<Option<Vec<u8>>> {
        loop {
            let body = self.bytes.len().saturating_sub(1);
            if let Some(before) = self.bytes[..body].iter().rposition(|b| *b == b'\n') {
                let line = self.bytes.split_off(before + 1);
                return Ok(Some(line[..line.len() - 1].to_vec()));
            }
            if self.start == 0 {
                let line = std::mem::take(&mut self.bytes);
                return Ok(line.strip_suffix(b"\n").map(<[u8]>::to_vec));
            }
            if self.bytes.len() > LINE_BYTES_MAX {
                return Err(damaged(&self.file, format!("a line is longer than {LINE_BYTES_MAX} bytes")));
            }
            let len = self.start.min(self.chunk as u64);
            let from = self.start - len;
            let size = usize::try_from(len).expect("a chunk is small");
            let mut bytes = disk.read_at(&self.file, from, size).doing("read", &self.file)?;
            if bytes.len() != size {
                return Err(damaged(&self.file, "it became shorter while it was read"));
            }
            bytes.append(&mut self.bytes);
            (self.bytes, self.start) = (bytes, from);
            self.chunk = (self.chunk * 2).min(CHUNK_BYTES_MAX);
        }
    }
}

/// Follows the trail: returns each record once, in order, after it was published.
#[derive(Debug, Default)]
pub struct AuditFollower {
    offsets: BTreeMap<String, u64>,
    early: BTreeMap<u64, Record>,
    next: u64,
    problems: Problems,
}

impl AuditFollower {
    /// Remembers the ends of the logs. Open the [`AuditReader`] only after this, and continue after its last
    /// record: then a record published in between is in one of the two.
    pub fn start<D: Disk>(disk: &D) -> Result<Self> {
        let mut along = Self::default();
        for file in log::files(disk)? {
            // The trail reports a log that cannot be read.
            let whole = jsonl::tail(disk, &file).map_or(0, |tail| tail.whole);
            along.offsets.insert(file, whole);
        }
        Ok(along)
    }

    /// Continues after this record.
    pub fn start_after(&mut self, seq: u64) {
        self.next = seq.saturating_add(1);
    }

    /// Returns the records published since the last call, oldest first, and the new problems.
    pub fn new_records<D: Disk>(&mut self, disk: &D) -> (Vec<Record>, Vec<StoreError>) {
        let mut records = Vec::new();
        loop {
            let upto = match Document::load(disk) {
                Ok(document) => {
                    let new = document.outbox.records.into_iter().filter(|r| r.seq >= self.next);
                    self.early.extend(new.map(|record| (record.seq, record)));
                    document.seq
                }
                Err(error) => {
                    self.problems.add(layout::STATE, error);
                    u64::MAX
                }
            };
            self.read_logs(disk);
            let before = records.len();
            self.take(upto, &mut records);
            // A record that is in its log before the document covers it is covered by the next document.
            if self.early.is_empty() || records.len() == before {
                return (records, std::mem::take(&mut self.problems.all));
            }
        }
    }

    fn read_logs<D: Disk>(&mut self, disk: &D) {
        let names = log::files(disk).unwrap_or_else(|error| {
            self.problems.add(layout::AUDIT, error);
            Vec::new()
        });
        for file in names {
            let from = self.offsets.entry(file.clone()).or_default();
            // A log that became shorter was started anew: known records are skipped by their numbers.
            if disk.size(&file).ok().flatten().is_some_and(|size| size < *from) {
                *from = 0;
            }
            match read_from(disk, &file, *from) {
                Ok((lines, end)) => {
                    *from = end;
                    for line in lines {
                        match parse(&file, &line) {
                            Ok(record) if record.seq >= self.next => {
                                self.early.insert(record.seq, record);
                            }
                            Ok(_) => {}
                            Err(error) => self.problems.add(&file, error),
                        }
                    }
                }
                Err(error) => self.problems.add(&file, error),
            }
        }
    }

    /// Moves the records up to `upto` to `records`, in order; reports and skips missing ones.
    fn take(&mut self, upto: u64, records: &mut Vec<Record>) {
        while let Some((seq, record)) = self.early.pop_first() {
            if seq > upto {
                self.early.insert(seq, record);
                return;
            }
            if seq > self.next {
                let what = format!("record {} is missing", self.next);
                self.problems.add(layout::AUDIT, damaged(layout::AUDIT, what));
            }
            self.next = seq.saturating_add(1);
            records.push(record);
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
