//! Uncommitted changes of a work tree, parsed from `git status --porcelain`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::domain::rescue::note::SkippedPath;

/// An entry of an index: its mode and its object id, as git writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StagedEntry {
    pub(crate) mode: String,
    pub(crate) oid: String,
}

impl StagedEntry {
    fn new(mode: &[u8], oid: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (mode != b"000000").then(|| Self { mode: text(mode), oid: text(oid) })
    }

    /// Returns whether it is a submodule's commit.
    pub(crate) fn is_gitlink(&self) -> bool {
        self.mode == "160000"
    }
}

/// Whether a path is a submodule with uncommitted changes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubmoduleState {
    /// No submodule, or one without uncommitted changes.
    Clean,
    /// It has uncommitted changes, and is at another commit too.
    Dirty,
    /// It has uncommitted changes only.
    OnlyDirty,
}

/// The uncommitted change of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathChange {
    /// A path in the index or in HEAD.
    Tracked {
        /// Whether the work tree differs from the index.
        unstaged: bool,
        /// Whether the path is missing from the work tree.
        gone: bool,
        /// The entry in the index.
        index: Option<StagedEntry>,
        /// Uncommitted changes in a submodule.
        submodule: SubmoduleState,
    },
    /// A path with a conflict: stages 1 to 3.
    Unmerged([Option<StagedEntry>; 3]),
    /// An untracked file.
    Untracked,
    /// A nested repository in the work tree.
    Nested,
}

/// The uncommitted changes of a work tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorktreeChanges {
    /// Each path and its change.
    pub(crate) changes: Vec<(Vec<u8>, PathChange)>,
    /// Directories that could not be read.
    pub(crate) unreadable: Vec<SkippedPath>,
}

/// Returns the arguments of `git status` for [`parse`].
pub(crate) fn question(submodules: &str) -> Vec<String> {
    let submodules = format!("--ignore-submodules={submodules}");
    let fixed = ["status", "--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", &submodules];
    fixed.map(str::to_owned).to_vec()
}

/// Parses git's output and warnings. Unknown lines, which later versions may add, are skipped.
pub(crate) fn parse(stdout: &[u8], stderr: &[u8]) -> WorktreeChanges {
    let changes = stdout.split(|b| *b == 0).filter_map(change).collect();
    let complaints = stderr.split(|b| *b == b'\n').filter_map(unreadable).collect();
    WorktreeChanges { changes, unreadable: complaints }
}

fn change(record: &[u8]) -> Option<(Vec<u8>, PathChange)> {
    let fields = |n: usize| -> Option<Vec<&[u8]>> {
        let fields: Vec<&[u8]> = record.splitn(n, |b| *b == b' ').collect();
        (fields.len() == n).then_some(fields)
    };
    match record.first()? {
        b'1' => {
            // `1 XY sub mH mI mW hH hI path`
            let f = fields(9)?;
            let (sub, path) = (f[2], f[8]);
            let &[x, y] = f[1] else { return None };
            let is_dirty = sub.starts_with(b"S") && (sub.contains(&b'M') || sub.contains(&b'U'));
            let submodule = match (is_dirty, x == b'.' && !sub.contains(&b'C')) {
                (false, _) => SubmoduleState::Clean,
                (true, false) => SubmoduleState::Dirty,
                (true, true) => SubmoduleState::OnlyDirty,
            };
            let change = PathChange::Tracked {
                unstaged: y != b'.',
                gone: y == b'D',
                index: StagedEntry::new(f[4], f[7]),
                submodule,
            };
            Some((path.to_vec(), change))
        }
        b'u' => {
            // `u XY sub m1 m2 m3 mW h1 h2 h3 path`
            let f = fields(11)?;
            let stages = [0, 1, 2].map(|n| StagedEntry::new(f[3 + n], f[7 + n]));
            Some((f[10].to_vec(), PathChange::Unmerged(stages)))
        }
        b'?' => {
            let path = *fields(2)?.get(1)?;
            Some(match path.strip_suffix(b"/") {
                Some(path) => (path.to_vec(), PathChange::Nested),
                None => (path.to_vec(), PathChange::Untracked),
            })
        }
        _ => None,
    }
}

/// Parses the warning about an unreadable directory, which git reports only in human-readable form.
fn unreadable(line: &[u8]) -> Option<SkippedPath> {
    let rest = line.strip_prefix(b"warning: could not open directory '")?;
    let end = rest.windows(3).rposition(|w| w == b"': ")?;
    let why = crate::domain::util::sanitize::line(&OsStr::from_bytes(&rest[end + 3..]).to_string_lossy());
    Some(SkippedPath { path: rest[..end].to_vec(), why: format!("cannot be read: {why}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_unknown_ones_passed_over() {
        let a = "a".repeat(40);
        let text = format!(
            "1 MM N... 100644 100755 100644 {a} {a} one two\0? new\0? sub/\0# branch.oid x\0! ignored\0\
             u UU N... 100644 000000 100644 100644 {a} {a} {a} both\0"
        );
        let dirty = parse(text.as_bytes(), b"warning: could not open directory 'x/y/': Permission denied\n");
        let index = StagedEntry { mode: "100755".to_owned(), oid: a.clone() };
        let stage = StagedEntry { mode: "100644".to_owned(), oid: a };
        assert_eq!(
            dirty.changes,
            [
                (
                    b"one two".to_vec(),
                    PathChange::Tracked {
                        unstaged: true,
                        gone: false,
                        index: Some(index),
                        submodule: SubmoduleState::Clean
                    }
                ),
                (b"new".to_vec(), PathChange::Untracked),
                (b"sub".to_vec(), PathChange::Nested),
                (b"both".to_vec(), PathChange::Unmerged([Some(stage.clone()), None, Some(stage)])),
            ]
        );
        assert_eq!(dirty.unreadable[0].path, b"x/y/");
        assert_eq!(dirty.unreadable[0].why, "cannot be read: Permission denied");
    }
}
