//! Owns reading the audit from its end, and reading along while it grows. Nothing is locked or written.
//!
//! Invariants (each has a test of the same name):
//! * `the_end_is_read_whatever_the_chunks`: all logs merged by number, newest first.
//! * `what_is_in_the_outbox_is_there_already`
//! * `damage_is_told_and_the_rest_is_read`
//! * `whoever_reads_along_misses_nothing_and_sees_nothing_twice`
//!
//! The document is read before the logs and says how far the trail reaches at that moment: a record up
//! to there is in its log or in the document's outbox; one behind it is of a later moment, left out.
//!
//! Cost: the last n records cost n lines, and a chunk of each log besides. Whoever looks for something
//! rare reads back as far as it takes: all of it, when there is none.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::audit::journal_entry::Entry;
use crate::domain::audit::record::Record;
use crate::domain::util::sanitize;
use crate::store::disk::Disk;
use crate::store::document::Document;
use crate::store::error::{Doing, Result, StoreError};
use crate::store::jsonl;
use crate::store::jsonl::LINE_BYTES_MAX;
use crate::store::jsonl::read_from;
use crate::store::layout;

/// How many bytes of a log are read at first; each time twice as many.
const CHUNK_BYTES: usize = 16 << 10;
/// Most bytes that are read at once.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The names of the logs that there are.
fn logs<D: Disk>(disk: &D) -> Result<Vec<String>> {
    let names = disk.list(layout::AUDIT).doing("list", layout::AUDIT)?;
    let is_log = |name: &String| name.ends_with(".log") || name == "write-lock-intents.json";
    Ok(names.into_iter().filter(is_log).map(|name| layout::log(&name)).collect())
}

fn damaged(file: &str, what: impl Into<String>) -> StoreError {
    StoreError::Damaged { file: file.to_owned(), what: what.into(), remedy: "cmw-doctor" }
}

fn parse(file: &str, line: &[u8]) -> Result<Record> {
    serde_json::from_slice(line)
        .map_err(|e| damaged(file, format!("a line is no audit record ({})", sanitize::line(&e.to_string()))))
}

/// What was found to be wrong: the first of each file, since one fault shows in many places.
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

/// The record that must come next, going back.
#[derive(Debug)]
struct Link {
    seq: u64,
    hash: String,
}

/// The audit, newest record first.
#[derive(Debug)]
pub struct Trail<'d, D: Disk> {
    disk: &'d D,
    logs: Vec<Log>,
    /// Records of the last publish, oldest first.
    outbox: Vec<Record>,
    upto: u64,
    journal_read: Option<u64>,
    /// The first record that was given.
    newest: Option<u64>,
    link: Option<Link>,
    problems: Problems,
}

impl<'d, D: Disk> Trail<'d, D> {
    /// Looks where the audit ends; hardly anything is read yet.
    ///
    /// # Errors
    /// [`StoreError::NotInitialised`]. What else cannot be read is kept for [`Trail::problems`].
    pub fn open(disk: &'d D) -> Result<Self> {
        let mut trail = Self {
            disk,
            logs: Vec::new(),
            outbox: Vec::new(),
            upto: u64::MAX,
            journal_read: None,
            newest: None,
            link: None,
            problems: Problems::default(),
        };
        match Document::load(disk) {
            Err(StoreError::NotInitialised) => return Err(StoreError::NotInitialised),
            Err(error) => trail.problems.add(layout::STATE, error),
            Ok(document) => {
                (trail.upto, trail.journal_read) = (document.seq, Some(document.journal_read));
                trail.link = Some(Link { seq: document.seq, hash: document.head });
                trail.outbox = document.outbox.records;
            }
        }
        match logs(disk) {
            Ok(names) => {
                for file in names {
                    match Log::open(disk, &file) {
                        Ok(log) => trail.logs.push(log),
                        Err(error) => trail.problems.add(&file, error),
                    }
                }
            }
            Err(error) => trail.problems.add(layout::AUDIT, error),
        }
        Ok(trail)
    }

    /// The number of the last record that is part of this view; without a document that is known only
    /// when one was read.
    #[must_use]
    pub fn last(&self) -> u64 {
        if self.upto == u64::MAX { self.newest.unwrap_or(0) } else { self.upto }
    }

    /// How far the hooks' journal is in the audit, in bytes; `None` without a document.
    #[must_use]
    pub fn journal_read(&self) -> Option<u64> {
        self.journal_read
    }

    /// What hooks noted and nobody has taken into the audit yet, oldest first.
    #[must_use]
    pub fn noted(&self) -> Vec<Entry> {
        let Some(from) = self.journal_read else { return Vec::new() };
        let (lines, _) = read_from(self.disk, layout::JOURNAL, from).unwrap_or_default();
        lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// What is wrong with what was read so far.
    #[must_use]
    pub fn problems(self) -> Vec<StoreError> {
        self.problems.all
    }

    /// The record before the one given last.
    pub fn back(&mut self) -> Option<Record> {
        for log in &mut self.logs {
            log.fill(self.disk, self.upto, &mut self.problems);
        }
        let in_logs = self.logs.iter_mut().max_by_key(|log| log.ready.as_ref().map_or(0, |r| r.seq));
        let in_log =
            in_logs.and_then(|log| log.ready.take_if(|r| self.outbox.last().is_none_or(|o| o.seq <= r.seq)));
        let record = match in_log {
            Some(record) => {
                // What has arrived is in both places.
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
        if let Some(link) = &self.link {
            let what = if record.seq < link.seq {
                Some(format!("record {} is missing", link.seq))
            } else if record.seq > link.seq {
                Some(format!("record {} is there twice", record.seq))
            } else if record.hash != link.hash {
                Some(format!("record {} is not the one that the next one follows", record.seq))
            } else {
                None
            };
            self.broken(what);
        }
        let seq = record.seq.saturating_sub(1);
        self.link = Some(Link { seq, hash: record.prev.clone() });
    }

    fn end(&mut self) {
        let what = self.link.take().filter(|link| link.seq > 0);
        self.broken(what.map(|link| format!("record {} is missing", link.seq)));
    }

    /// The chain is broken. Where a file could not be read, that is no news.
    fn broken(&mut self, what: Option<String>) {
        if let Some(what) = what.filter(|_| self.problems.all.is_empty()) {
            self.problems.add(layout::AUDIT, damaged(layout::AUDIT, what));
        }
    }
}

/// One log, read from its end.
#[derive(Debug)]
struct Log {
    file: String,
    /// Where `bytes` begins in the file.
    start: u64,
    /// What is read and not given yet: up to and with a line's end, or nothing.
    bytes: Vec<u8>,
    chunk: usize,
    ready: Option<Record>,
}

impl Log {
    /// Leaves out a torn tail: somebody may be writing it.
    fn open<D: Disk>(disk: &D, file: &str) -> Result<Self> {
        let start = jsonl::tail(disk, file)?.whole;
        Ok(Self { file: file.to_owned(), start, bytes: Vec::new(), chunk: CHUNK_BYTES, ready: None })
    }

    /// Makes the next record ready, if there is one; those behind `upto` are of a later moment.
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

    /// The line before the one given last, without its end.
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

/// A reader that stays: it gives each record once, in order, when it was published.
#[derive(Debug, Default)]
pub struct Along {
    offsets: BTreeMap<String, u64>,
    early: BTreeMap<u64, Record>,
    next: u64,
    problems: Problems,
}

impl Along {
    /// Remembers where the logs end. Open the [`Trail`] only after this, and go on behind its last
    /// record: then what comes in between is in one of the two.
    ///
    /// # Errors
    /// As the system says.
    pub fn start<D: Disk>(disk: &D) -> Result<Self> {
        let mut along = Self::default();
        for file in logs(disk)? {
            // One that cannot be read is told by the trail.
            let whole = jsonl::tail(disk, &file).map_or(0, |tail| tail.whole);
            along.offsets.insert(file, whole);
        }
        Ok(along)
    }

    /// Goes on behind this record.
    pub fn behind(&mut self, seq: u64) {
        self.next = seq.saturating_add(1);
    }

    /// What was published since the last time, oldest first, and what was newly found to be wrong.
    pub fn news<D: Disk>(&mut self, disk: &D) -> (Vec<Record>, Vec<StoreError>) {
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
            // What is there already although the document did not say so is in the next document.
            if self.early.is_empty() || records.len() == before {
                return (records, std::mem::take(&mut self.problems.all));
            }
        }
    }

    fn read_logs<D: Disk>(&mut self, disk: &D) {
        let names = logs(disk).unwrap_or_else(|error| {
            self.problems.add(layout::AUDIT, error);
            Vec::new()
        });
        for file in names {
            let from = self.offsets.entry(file.clone()).or_default();
            // A log that became shorter begins anew: what was shown is known by its number.
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

    /// What is due, in order; what should be there and is not is told and passed over.
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
