//! The format of a registry segment: its name, its header, its lines.
//!
//! A segment is JSON lines. The first is `{"format":1,"first_seq":N,"prev":"…"}`, each other one
//! `{"seq":N,"prev":"…","sha256":"…","message":{…}}`, where `message` has the canonical bytes that `sha256`
//! covers, and `prev` is the chain value of the previous record.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::{Draft, Envelope, SealedMessage};
use crate::domain::util::digest::Digest;
use crate::store::disk::Disk;
use crate::store::error::{Doing, Result, StoreError};

/// The segment that is appended to.
pub const CURRENT: &str = "message-registry.json";
/// The format that this program writes.
const FORMAT: u64 = 1;
/// Longest header, in bytes.
pub(crate) const HEADER_BYTES_MAX: usize = 256;

/// One file of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) path: String,
    /// Number of its first record.
    pub(crate) first: u64,
    /// Number of its last record; `None` for the current one, which grows.
    pub(crate) last: Option<u64>,
}

impl Segment {
    pub(crate) fn current(first: u64) -> Self {
        Self { path: CURRENT.to_owned(), first, last: None }
    }

    pub(crate) fn closed(first: u64, last: u64) -> Self {
        Self { path: format!("message-registry.{first}-{last}.json"), first, last: Some(last) }
    }

    /// Parses a file name; `None` when it is not that of a closed segment.
    fn parse(name: &str) -> Option<Self> {
        let numbers = name.strip_prefix("message-registry.")?.strip_suffix(".json")?;
        let (first, last) = numbers.split_once('-')?;
        let segment = Self::closed(first.parse().ok()?, last.parse().ok()?);
        (segment.path == name && segment.last >= Some(segment.first)).then_some(segment)
    }
}

/// Lists the closed segments, oldest first.
pub(crate) fn closed(disk: &impl Disk) -> Result<Vec<Segment>> {
    let names = disk.list("").doing("list", ".")?;
    let mut segments: Vec<Segment> = names.iter().filter_map(|name| Segment::parse(name)).collect();
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

/// The first line of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    format: u64,
    pub(crate) first_seq: u64,
    pub(crate) prev: Digest,
}

impl Header {
    pub(crate) fn new(first_seq: u64, prev: Digest) -> Self {
        Self { format: FORMAT, first_seq, prev }
    }

    pub(crate) fn to_line(self) -> String {
        let mut line = serde_json::to_string(&self).expect("a header is plain data");
        line.push('\n');
        line
    }

    /// Reads the header of a segment and its length; `None` when the file does not exist.
    pub(crate) fn read(disk: &impl Disk, path: &str) -> Result<Option<(Self, u64)>> {
        #[derive(Deserialize)]
        struct AnyFormat {
            format: u64,
        }
        let bytes = disk.read_at(path, 0, HEADER_BYTES_MAX).doing("read", path)?;
        if bytes.is_empty() && disk.size(path).doing("read", path)?.is_none() {
            return Ok(None);
        }
        let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
        let line = &bytes[..end];
        if let Ok(any) = serde_json::from_slice::<AnyFormat>(line)
            && any.format > FORMAT
        {
            return Err(StoreError::Newer { file: path.to_owned(), theirs: any.format, ours: FORMAT });
        }
        let header = serde_json::from_slice::<Self>(line)
            .map_err(|e| damaged(path, format!("its first line is not the header of a registry ({e})")))?;
        if end == bytes.len() || header.format != FORMAT || header.first_seq == 0 {
            return Err(damaged(path, "its first line is not the header of a registry".to_owned()));
        }
        Ok(Some((header, end as u64 + 1)))
    }
}

/// Returns the error for a damaged registry file, with its remedy.
pub(crate) fn damaged(path: &str, what: String) -> StoreError {
    let remedy = "cmw-doctor --fix";
    StoreError::Damaged { file: path.to_owned(), what, remedy }
}

/// One line, its message not parsed yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line<'a> {
    pub(crate) seq: u64,
    pub(crate) prev: Digest,
    pub(crate) sha256: Digest,
    #[serde(borrow)]
    message: &'a RawValue,
}

impl<'a> Line<'a> {
    /// Parses a line and checks the digest of its message.
    pub(crate) fn parse(line: &'a [u8]) -> std::result::Result<Self, String> {
        let parsed: Self = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        if Digest::of(parsed.message.get().as_bytes()) != parsed.sha256 {
            return Err(format!("the digest of message {} does not match", parsed.seq));
        }
        Ok(parsed)
    }

    /// Returns the chain value after this record.
    pub(crate) fn chain(&self) -> Digest {
        self.prev.link(self.seq, &self.sha256)
    }

    /// Parses only the id.
    pub(crate) fn id(&self) -> std::result::Result<MessageId, String> {
        #[derive(Deserialize)]
        struct IdOnly {
            id: MessageId,
        }
        serde_json::from_str::<IdOnly>(self.message.get()).map(|only| only.id).map_err(|e| e.to_string())
    }

    /// Parses the message.
    pub(crate) fn envelope(&self) -> std::result::Result<Envelope, String> {
        let draft = Draft::from_canonical(self.message.get())?;
        Ok(Envelope { seq: self.seq, sha256: self.sha256, draft })
    }
}

/// Appends a line to the buffer.
pub(crate) fn push_line(out: &mut Vec<u8>, seq: u64, prev: Digest, sealed: &SealedMessage) {
    let (sha256, message) = (sealed.sha256(), sealed.canonical());
    let line =
        format!("{{\"seq\":{seq},\"prev\":\"{prev}\",\"sha256\":\"{sha256}\",\"message\":{message}}}\n");
    out.extend_from_slice(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_segments() {
        assert_eq!(Segment::parse("message-registry.1-20.json"), Some(Segment::closed(1, 20)));
        for name in [
            CURRENT,
            "message-registry.json~",
            "message-registry.20-1.json",
            "message-registry.01-2.json",
            "message-registry.+1-2.json",
            "message-registry.1-2.json.gz",
        ] {
            assert_eq!(Segment::parse(name), None, "{name}");
        }
    }
}
