//! Sets a damaged registry file aside: its evidence is kept, and the messages that are whole go on.
//!
//! Messages that cannot be read leave a gap: the numbers before it are closed in a segment of their own, and the
//! current segment begins behind it, with the chain value that its first record names. Numbers are never given
//! twice.

use crate::domain::audit::journal_entry::DamagedFile;
use crate::domain::util::digest::Digest;
use crate::store::damage;
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};
use crate::store::jsonl::LineReader;
use crate::store::mail::registry::segment::{Header, Line, Segment, closed};
use crate::store::mail::registry::sync::FILES as SYNC_RECORDS;
use crate::store::mail::registry::{CURRENT, GATE, Registry, RegistryTail, TAIL, index};
use crate::store::unsynced;

/// Messages that follow each other without a gap.
struct Run {
    first: u64,
    /// The chain value before the first.
    prev: Digest,
    /// The number of the last; `first - 1` while there is none.
    last: u64,
    /// The chain value after it.
    chain: Digest,
    lines: Vec<u8>,
    /// The end of it without its last message: where that begins, and the chain value before it.
    without_last: (usize, Digest),
}

impl Run {
    fn new(first: u64, prev: Digest) -> Self {
        Self { first, prev, last: first - 1, chain: prev, lines: Vec::new(), without_last: (0, prev) }
    }

    fn push(&mut self, line: &Line<'_>, bytes: &[u8]) {
        self.without_last = (self.lines.len(), self.chain);
        (self.last, self.chain) = (line.seq, line.chain());
        self.lines.extend_from_slice(bytes);
        self.lines.push(b'\n');
    }

    /// Takes the last message out: the one after it says that it was another one.
    fn pop(&mut self) {
        let (length, chain) = self.without_last;
        self.lines.truncate(length);
        (self.last, self.chain) = (self.last - 1, chain);
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Header::new(self.first, self.prev).to_line().into_bytes();
        text.extend_from_slice(&self.lines);
        text
    }
}

impl<D: Disk> Registry<'_, D> {
    /// Sets the current segment aside, or a closed one; returns the numbers of messages that are lost, the first
    /// and the last of each gap.
    ///
    /// # Errors
    /// A held gate, or the system's error: then the registry is as it was.
    pub fn set_aside(&self, damaged: &DamagedFile) -> Result<Vec<(u64, u64)>> {
        let _gate = unsynced::lock(self.disk, GATE, self.wait_ms)?;
        let of_name = closed(self.disk)?.into_iter().find(|segment| segment.path == damaged.file);
        let before = self.before(of_name.as_ref())?;
        let mut runs = self.runs(&damaged.file, &before)?;
        let mut lost: Vec<(u64, u64)> = Vec::new();
        let mut next = before.last + 1;
        for run in &runs {
            if run.first > next {
                lost.push((next, run.first - 1));
            }
            next = run.last + 1;
        }
        // The end of a file that is closed, and of one that once was longer.
        let end = match &of_name {
            Some(segment) => segment.last.unwrap_or(0),
            None => self.last_known()?.map_or(0, |tail| tail.last),
        };
        if end >= next {
            lost.push((next, end));
            if of_name.is_none() {
                runs.push(Run::new(end + 1, self.last_known()?.map_or(Digest::ZERO, |tail| tail.chain)));
            }
        }
        // A segment begins with the number of its first record.
        let current = if of_name.is_none() { runs.pop() } else { None };
        for run in runs.iter().filter(|run| run.last >= run.first) {
            let path = Segment::closed(run.first, run.last).path;
            if path == damaged.file {
                continue;
            }
            self.disk.remove(&path).doing("replace", &path)?;
            self.disk.create_new(&path, &run.text()).doing("write", &path)?;
            self.disk.sync(&path).doing("sync", &path)?;
        }
        match (current, &of_name) {
            (Some(run), _) => {
                let text = run.text();
                damage::replace(self.disk, damaged, |tmp| {
                    self.disk.create_new(tmp, &text).doing("write", tmp)
                })?;
            }
            (None, Some(segment)) => {
                let same = runs.iter().find(|run| Segment::closed(run.first, run.last).path == segment.path);
                match same {
                    Some(run) => damage::replace(self.disk, damaged, |tmp| {
                        self.disk.create_new(tmp, &run.text()).doing("write", tmp)
                    })?,
                    None => self.disk.rename_new(&damaged.file, &damaged.kept).doing("set aside", CURRENT)?,
                }
            }
            (None, None) => {}
        }
        self.disk.sync_dir("").doing("sync", ".")?;
        // What is soft is made anew from the segments.
        let indexes = runs.iter().map(|run| index::path(run.first));
        for path in indexes.chain([index::path(next), TAIL.to_owned()]).chain(SYNC_RECORDS.map(str::to_owned))
        {
            self.disk.remove(&path).doing("remove", &path)?;
        }
        Ok(lost)
    }

    /// Returns the end of what precedes a file.
    fn before(&self, segment: Option<&Segment>) -> Result<RegistryTail> {
        let start = RegistryTail { boot: self.boot.clone(), first: 1, len: 0, last: 0, chain: Digest::ZERO };
        let limit = segment.map_or(u64::MAX, |segment| segment.first);
        let Some(before) = closed(self.disk)?.into_iter().rfind(|other| other.first < limit) else {
            // Older messages may have been archived.
            let path = segment.map_or(CURRENT, |segment| &segment.path);
            let header = Header::read(self.disk, path).ok().flatten().map(|(header, _)| header);
            return Ok(header.map_or(start.clone(), |header| RegistryTail {
                last: header.first_seq - 1,
                chain: header.prev,
                ..start
            }));
        };
        match self.whole(&before) {
            Ok(tail) => Ok(tail),
            // Damaged too: its name says how far it goes.
            Err(_) => Ok(RegistryTail { last: before.last.unwrap_or(0), ..start }),
        }
    }

    /// Returns the end of the registry as it was noted last, in this boot or an earlier one.
    fn last_known(&self) -> Result<Option<RegistryTail>> {
        match unsynced::read(self.disk, TAIL) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            other => other,
        }
    }

    /// Returns the messages of a file that are whole and come after those before it; at least one run, which may
    /// be empty.
    fn runs(&self, file: &str, before: &RegistryTail) -> Result<Vec<Run>> {
        let mut runs = vec![Run::new(before.last + 1, before.chain)];
        let mut lines = match LineReader::whole(self.disk, file) {
            Ok(lines) => lines,
            Err(error) if damage::fault(&error).is_some() => return Ok(runs),
            Err(error) => return Err(error),
        };
        while let Some(line) = lines.next()? {
            let Ok(parsed) = Line::parse(line.bytes) else { continue };
            let run = runs.last_mut().expect("there is at least one");
            let is_near = parsed.seq > run.last && parsed.seq - run.last <= damage::GAP_MAX;
            if !is_near || parsed.id().is_err() || parsed.envelope().is_err() {
                continue;
            }
            if parsed.seq != run.last + 1 || parsed.prev != run.chain {
                if parsed.seq == run.last + 1 && run.last >= run.first {
                    run.pop();
                }
                if run.last >= run.first {
                    runs.push(Run::new(parsed.seq, parsed.prev));
                } else {
                    *run = Run::new(parsed.seq, parsed.prev);
                }
            }
            let run = runs.last_mut().expect("there is at least one");
            run.push(&parsed, line.bytes);
        }
        Ok(runs)
    }
}
