//! Restores a reflog that git has moved away to rename a branch.
//!
//! With refs in files, git moves `logs/refs/heads/X` to `logs/refs/.tmp-renamed-log` before the hook decides
//! about X, and leaves it there when the hook refuses.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::adapters::git::refs::RefValue;
use crate::adapters::git::{RefFormat, Repo};
use crate::domain::guard::git_ref::{Oid, RefName};

/// Where git keeps the log in the meantime, below the common directory.
const AWAY: &str = "logs/refs/.tmp-renamed-log";
/// How many bytes of a log's end are read: a line is shorter.
const END_BYTES: u64 = 64 << 10;

impl Repo {
    /// Moves the log of a branch back to its place, when it was moved away and belongs to this branch, which
    /// its last value tells. Overwrites nothing. Returns whether the log was moved.
    pub fn restore_renamed_reflog(&self, branch: &RefName) -> io::Result<bool> {
        let away = self.common_dir.join(AWAY);
        if self.ref_format != RefFormat::Files || !branch.as_str().starts_with("refs/heads/") {
            return Ok(false);
        }
        let end = match last_line(&away) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        let Ok(RefValue::Oid(value)) = self.read_ref(branch) else { return Ok(false) };
        let place = self.common_dir.join("logs").join(OsStr::from_bytes(&branch.to_bytes()));
        if place.symlink_metadata().is_ok() || !is_of(&end, &value) {
            return Ok(false);
        }
        if let Some(above) = place.parent() {
            DirBuilder::new().recursive(true).create(above)?;
        }
        renameat_with(CWD, &away, CWD, &place, RenameFlags::NOREPLACE)?;
        Ok(true)
    }
}

/// Returns whether a log with this last line may belong to the branch: all its lines may have expired.
fn is_of(line: &[u8], value: &Oid) -> bool {
    let new = line.split(|b| *b == b' ').nth(1);
    line.is_empty() || new.is_some_and(|new| new == value.as_str().as_bytes())
}

fn last_line(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(END_BYTES)))?;
    let mut end = Vec::new();
    file.take(END_BYTES).read_to_end(&mut end)?;
    let line = end.strip_suffix(b"\n").unwrap_or(&end);
    Ok(line.rsplit(|b| *b == b'\n').next().unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_known_by_its_end() {
        let [old, new] = ["a1", "b2"].map(|digits| digits.repeat(20));
        let line = format!("{old} {new} A <a@example.org> 1767225600 +0000\tx");
        let oid = |text: &String| Oid::parse(text.as_bytes()).unwrap();
        assert!(is_of(line.as_bytes(), &oid(&new)));
        assert!(!is_of(line.as_bytes(), &oid(&old)));
        assert!(is_of(b"", &oid(&old)));
    }
}
