//! The message of a rescue commit: who lost the lock and why, and what could not be saved.
//!
//! The message is read tolerantly: such a commit may be written by hand, so missing or malformed
//! fields are left out, and no field is trusted unless it is verified elsewhere.
//!
//! Invariants (each has a test of the same name):
//! * `what_is_written_is_read_again`
//! * `a_message_by_hand_breaks_nothing`

use serde_json::Value;

use crate::domain::util::path_encoding;
use crate::domain::util::sanitize;
use crate::domain::util::time::WallTime;

/// The prefix of all rescues: `refs/cmw/rescue/<role>/<time>`.
pub const PREFIX: &str = "refs/cmw/rescue/";

/// Maximum number of files read from a message, or named in one.
pub const NAMED_MAX: usize = 1_000;

/// A path that was not saved, or only in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedPath {
    /// The path from the root of the work tree, as git writes it.
    pub path: Vec<u8>,
    /// The reason.
    pub why: String,
}

/// The content of a rescue's message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RescueNote {
    /// The role whose work it is.
    pub role: String,
    /// The reason for the rescue, such as `lease expired`.
    pub reason: String,
    /// The lock that was lost, such as `WL-0007`.
    pub lock: Option<String>,
    /// The work tree of the files.
    pub work_tree: Option<String>,
    /// The number of changed paths; written by the snapshot.
    pub files: Option<usize>,
    /// The commit on which the work is based, or `none`; written by the snapshot.
    pub base: Option<String>,
    /// The paths that were not saved; written by the snapshot.
    pub skipped: Vec<SkippedPath>,
    /// The paths that were saved unfiltered, because their filter failed.
    pub unfiltered: Vec<Vec<u8>>,
}

impl RescueNote {
    /// Returns the message for the snapshot, which adds the trailers known only to it.
    #[must_use]
    pub fn message(&self) -> String {
        let mut out = format!("rescue of {}: {}\n\n", one(&self.role), one(&self.reason));
        let trailers = [
            ("Cmw-Role", Some(&self.role)),
            ("Cmw-Reason", Some(&self.reason)),
            ("Cmw-Lock", self.lock.as_ref()),
            ("Cmw-Work-Tree", self.work_tree.as_ref()),
        ];
        for (key, value) in trailers {
            if let Some(value) = value {
                out.push_str(&format!("{key}: {}\n", one(value)));
            }
        }
        out
    }

    /// Returns the trailers (`Cmw-Files:` …) that a snapshot adds to the message of its rescue commit.
    #[must_use]
    pub fn snapshot_trailers(
        files: usize,
        base: Option<&str>,
        skipped: &[SkippedPath],
        unfiltered: &[Vec<u8>],
    ) -> String {
        let mut out = format!("Cmw-Files: {files}\nCmw-Base: {}\n", base.unwrap_or("none"));
        for skipped in skipped.iter().take(NAMED_MAX) {
            out.push_str(&format!("Cmw-Not-Saved: {} {}\n", quoted(&skipped.path), one(&skipped.why)));
        }
        if let Some(more) = skipped.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            out.push_str(&format!("Cmw-Not-Saved: \"\" and {more} more\n"));
        }
        for path in unfiltered.iter().take(NAMED_MAX) {
            out.push_str(&format!("Cmw-Unfiltered: {}\n", quoted(path)));
        }
        out
    }

    /// Reads a message; `None` if it names no role, and so is not a rescue's.
    #[must_use]
    pub fn parse(message: &str) -> Option<Self> {
        let mut note = Self::default();
        for line in message.lines() {
            let Some((key, value)) = line.split_once(": ") else { continue };
            let value = value.trim();
            let text = || Some(value.to_owned()).filter(|text| !text.is_empty());
            match key {
                "Cmw-Role" => note.role = value.to_owned(),
                "Cmw-Reason" => note.reason = value.to_owned(),
                "Cmw-Lock" => note.lock = text(),
                "Cmw-Work-Tree" => note.work_tree = text(),
                "Cmw-Files" => note.files = value.parse().ok(),
                "Cmw-Base" => note.base = text(),
                "Cmw-Not-Saved" if note.skipped.len() <= NAMED_MAX => {
                    let parsed = unquoted(value);
                    note.skipped.extend(parsed.map(|(path, why)| SkippedPath { path, why: why.to_owned() }));
                }
                "Cmw-Unfiltered" if note.unfiltered.len() < NAMED_MAX => {
                    note.unfiltered.extend(unquoted(value).map(|(path, _)| path));
                }
                _ => {}
            }
        }
        (!note.role.is_empty()).then_some(note)
    }
}

/// Makes one line of any text.
fn one(value: &str) -> String {
    sanitize::line(value.trim())
}

/// Writes a path as a JSON string: on one line, and without loss.
fn quoted(path: &[u8]) -> String {
    sanitize::ascii_safe_json(&Value::String(path_encoding::to_text(path)).to_string())
}

/// Splits a text into the path in quotes at its start and the rest.
fn unquoted(value: &str) -> Option<(Vec<u8>, &str)> {
    let mut stream = serde_json::Deserializer::from_str(value).into_iter::<String>();
    let path = stream.next()?.ok()?;
    let rest = value.get(stream.byte_offset()..)?;
    Some((path_encoding::from_text(&path), rest.trim()))
}

/// Returns the time in the name of a rescue: `20261124T161500Z`.
#[must_use]
pub fn stamp(time: WallTime) -> String {
    let time = chrono::DateTime::from_timestamp_millis(time.0).unwrap_or_default();
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

/// Returns the time of such a name, also of one with a number after it (`-2`).
#[must_use]
pub fn stamp_time(stamp: &str) -> Option<WallTime> {
    let stamp = stamp.get(..16)?;
    let time = chrono::NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ").ok()?;
    Some(WallTime(time.and_utc().timestamp_millis()))
}

/// Returns the name by which `cmw-rescue` knows a rescue.
#[must_use]
pub fn rescue_name(reference: &str) -> String {
    path_encoding::shown(reference.strip_prefix(PREFIX).unwrap_or(reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let skipped = |path: &[u8]| SkippedPath { path: path.to_vec(), why: "larger than 50 MiB".to_owned() };
        let note = RescueNote {
            role: "Dev-A".to_owned(),
            reason: "lease expired".to_owned(),
            lock: Some("WL-0007".to_owned()),
            work_tree: Some("/a b".to_owned()),
            files: Some(3),
            base: Some("none".to_owned()),
            skipped: vec![skipped(b"a\nCmw-Role: x"), skipped(b"\"caf\xe9\"")],
            unfiltered: vec![b"b\x1b".to_vec()],
        };
        let found = RescueNote::snapshot_trailers(3, None, &note.skipped, &note.unfiltered);
        let text = format!("{}{found}", note.message());
        assert_eq!(RescueNote::parse(&text), Some(note), "{text}");
        assert!(!text.replace('\n', "").chars().any(sanitize::is_unsafe));
        let many: Vec<SkippedPath> = (0..NAMED_MAX + 5).map(|n| skipped(n.to_string().as_bytes())).collect();
        let text = RescueNote::snapshot_trailers(0, None, &many, &[]);
        assert!(text.ends_with("Cmw-Not-Saved: \"\" and 5 more\n"));
    }

    #[test]
    fn a_message_by_hand_breaks_nothing() {
        assert_eq!(RescueNote::parse("fix the build\n\nSigned-off-by: A <a@example.org>\n"), None);
        assert_eq!(RescueNote::parse("Cmw-Role:  \nCmw-Files: many"), None);
        let odd =
            "Cmw-Role: x\nCmw-Files: -1\nCmw-Not-Saved: a b\nCmw-Not-Saved: \"\\ud800\" c\nCmw-Lock: \n";
        let note = RescueNote::parse(odd).unwrap();
        assert_eq!((note.files, note.skipped.len(), note.lock), (None, 0, None));
    }

    #[test]
    fn a_stamp_is_a_time() {
        let time = WallTime(1_795_536_900_000);
        assert_eq!(stamp(time), "20261124T161500Z");
        assert_eq!(stamp_time("20261124T161500Z"), Some(time));
        assert_eq!(stamp_time("20261124T161500Z-2"), Some(time));
        for wrong in ["", "2026", "20261324T161500Z", "ä261124T161500Z-"] {
            assert_eq!(stamp_time(wrong), None, "{wrong}");
        }
    }
}
