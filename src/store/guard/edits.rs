//! Recent edits, `cmw/edits.jsonl`: which role edited which path last; soft.
//!
//! Written by every process that sees an edit (the client's hooks, `cmw-commit`, the demo agent): appended
//! without a sync and without a gate, and cut when it grows. A lost line costs only a guess: edits by shell
//! commands are not recorded either (docs/decisions.md S13). A line records size and time of the file after
//! the edit, so that a later unrecorded edit invalidates it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::identity::role::Role;
use crate::domain::util::path_encoding;
use crate::domain::util::sanitize::ascii_safe_json;
use crate::domain::util::time::WallTime;

use crate::store::disk::Disk;
use crate::store::error::{Doing, Result};
use crate::store::layout;

/// The size in bytes from which on the older half is dropped.
const CUT_BYTES: u64 = 128 << 10;

/// One edit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// When it was made.
    pub at: WallTime,
    /// The role that made it.
    pub role: Role,
    /// The file, as git names it.
    pub path: String,
    /// The file after the edit: when its inode changed, in nanoseconds since 1970, and its size in bytes;
    /// none when it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<(i64, u64)>,
}

/// Records edits.
pub fn append<D: Disk>(disk: &D, edits: &[Edit]) -> Result<()> {
    let mut lines = String::new();
    for edit in edits {
        let json = serde_json::to_string(edit).expect("an edit has only texts and numbers");
        lines.push_str(&ascii_safe_json(&json));
        lines.push('\n');
    }
    if disk.size(layout::EDITS).doing("look at", layout::EDITS)?.unwrap_or(0) > CUT_BYTES {
        cut(disk)?;
    }
    disk.append(layout::EDITS, lines.as_bytes()).doing("append to", layout::EDITS)
}

/// Keeps the newer half. Two concurrent cuts do no harm: the record is soft.
fn cut<D: Disk>(disk: &D) -> Result<()> {
    let half = disk.read_at(layout::EDITS, CUT_BYTES / 2, 2 * usize::try_from(CUT_BYTES).unwrap_or(0));
    let half = half.doing("read", layout::EDITS)?;
    let kept = half.iter().position(|b| *b == b'\n').map_or(&[][..], |end| &half[end + 1..]);
    let tmp = format!("{}.tmp", layout::EDITS);
    disk.remove(&tmp).doing("remove", &tmp)?;
    disk.create_new(&tmp, kept).doing("write", &tmp)?;
    disk.rename(&tmp, layout::EDITS).doing("replace", layout::EDITS)
}

/// Returns the last edit of each path; empty when nothing was ever recorded.
pub fn last<D: Disk>(disk: &D) -> Result<BTreeMap<Vec<u8>, Edit>> {
    let max = 4 * usize::try_from(CUT_BYTES).unwrap_or(0);
    let bytes = disk.read_at(layout::EDITS, 0, max).doing("read", layout::EDITS)?;
    let edits = bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Edit>(line).ok());
    Ok(edits.map(|edit| (path_encoding::from_text(&edit.path), edit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::RealDisk;

    fn edit(role: &str, path: &str) -> Edit {
        Edit { at: WallTime(1), role: Role::parse(role).unwrap(), path: path.to_owned(), looks: Some((1, 2)) }
    }

    #[test]
    fn the_last_edit_counts_and_what_is_torn_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        disk.ensure_dir("cmw").unwrap();
        assert!(last(&disk).unwrap().is_empty());
        append(&disk, &[edit("Dev-A", "a"), edit("Dev-A", "b")]).unwrap();
        disk.append(layout::EDITS, b"{\"torn\n").unwrap();
        append(&disk, &[edit("Dev-B", "a")]).unwrap();
        let roles: Vec<String> = last(&disk).unwrap().values().map(|e| e.role.to_string()).collect();
        assert_eq!(roles, ["Dev-B", "Dev-A"]);
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        disk.ensure_dir("cmw").unwrap();
        let many: Vec<Edit> = (0..500).map(|i| edit("Dev-A", &format!("file-{i}"))).collect();
        for _ in 0..80 {
            append(&disk, &many).unwrap();
        }
        assert!(disk.size(layout::EDITS).unwrap().unwrap() < 300 << 10);
        assert_eq!(last(&disk).unwrap().len(), 500);
    }
}
