//! Stages the files of a work tree in a temporary index: those within the limits and readable; names all
//! others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::domain::rescue::note::SkippedPath;

use crate::adapters::git::dirty::{PathChange, StagedEntry, SubmoduleState};
use crate::adapters::git::rescue::snapshot::SnapshotLimits;
use crate::adapters::git::rescue::temp_index::TempIndex;
use crate::adapters::git::stdin::quoted;

/// The result of staging.
pub(crate) struct StageResult {
    /// How many changed paths are saved.
    pub(crate) changed: usize,
    /// Paths that are not saved, or not completely.
    pub(crate) skipped: Vec<SkippedPath>,
    /// Paths that are saved byte for byte, because git could not apply their filter.
    pub(crate) unfiltered: Vec<Vec<u8>>,
}

/// What kind of file a path is.
enum PathKind {
    Nothing,
    File { bytes: u64 },
    Link,
    Directory,
    Other(&'static str),
}

/// Examines paths of one work tree, without following links in their directories.
struct PathInspector<'a> {
    root: &'a Path,
    /// Which directories are missing or links: nothing below them is part of the work tree.
    dirs: BTreeMap<PathBuf, bool>,
}

impl PathInspector<'_> {
    fn at(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }

    fn inspect(&mut self, path: &[u8]) -> Result<PathKind, io::Error> {
        let parents: Vec<&[u8]> =
            path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| &path[..i]).collect();
        for parent in parents {
            let full = self.at(parent);
            let is_dir = |full: &PathBuf| full.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            if !*self.dirs.entry(full.clone()).or_insert_with(|| is_dir(&full)) {
                return Ok(PathKind::Nothing);
            }
        }
        match self.at(path).symlink_metadata() {
            Ok(meta) => Ok(kind(&meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(PathKind::Nothing),
            Err(error) => Err(error),
        }
    }
}

fn kind(meta: &Metadata) -> PathKind {
    let kind = meta.file_type();
    if kind.is_file() {
        PathKind::File { bytes: meta.len() }
    } else if kind.is_symlink() {
        PathKind::Link
    } else if kind.is_dir() {
        PathKind::Directory
    } else if kind.is_fifo() {
        PathKind::Other("it is a FIFO")
    } else if kind.is_socket() {
        PathKind::Other("it is a socket")
    } else {
        PathKind::Other("it is a device")
    }
}

/// Checks that a file can be read; does not block if a FIFO has replaced it.
fn readable(path: &Path) -> io::Result<()> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).expect("these flags are small");
    std::fs::File::options().read(true).custom_flags(flags).open(path).map(drop)
}

/// What to do with the changes.
#[derive(Default)]
struct StagingPlan<'a> {
    removals: Vec<&'a [u8]>,
    /// Paths that git stages, with their sizes; those that were tracked first.
    tracked: Vec<(u64, &'a [u8])>,
    untracked: Vec<(u64, &'a [u8])>,
    /// Nested repositories.
    links: Vec<&'a [u8]>,
    skipped: Vec<SkippedPath>,
    /// How many paths are already saved, in the index.
    staged: usize,
}

/// Saves the changes of the work tree in the index; a path that cannot be saved keeps its index entry.
pub(crate) fn save(
    index: &TempIndex<'_>,
    root: &Path,
    changes: &[(Vec<u8>, PathChange)],
    limits: SnapshotLimits,
    saved: &mut StageResult,
) {
    let mut looker = PathInspector { root, dirs: BTreeMap::new() };
    let mut plan = StagingPlan::default();
    for (path, change) in changes {
        plan.sort_in(&mut looker, path, change, limits);
    }
    // When not everything fits, small files first save more paths.
    plan.untracked.sort_unstable();
    let mut room = limits.total_bytes_max;
    let mut taken = Vec::new();
    let (tracked, untracked) = (std::mem::take(&mut plan.tracked), std::mem::take(&mut plan.untracked));
    for (bytes, path) in tracked.into_iter().chain(untracked) {
        if let Some(left) = room.checked_sub(bytes) {
            room = left;
            taken.push(path);
        } else {
            let most = mib(limits.total_bytes_max);
            plan.skip(path, format!("{}, and all files together would be more than {most}", mib(bytes)));
        }
    }
    // Git writes an index fastest in the order of names, and the order makes the result reproducible.
    taken.sort_unstable();
    let removals: Vec<(&[u8], Option<&StagedEntry>)> =
        plan.removals.iter().map(|path| (*path, None)).collect();
    let mut failed = index.set(&removals);
    for (path, why) in index.add(&taken) {
        match unfiltered(index, &mut looker, &path) {
            Ok(()) => saved.unfiltered.push(path),
            Err(second) => failed.push((path, format!("{why}; {second}"))),
        }
    }
    let no_links: BTreeSet<Vec<u8>> = index.add(&plan.links).into_iter().map(|(path, _)| path).collect();
    let links = plan.links.iter().filter(|path| !no_links.contains(**path)).count();
    saved.changed = (plan.staged + plan.removals.len() + taken.len() + links).saturating_sub(failed.len());
    plan.skipped.extend(failed.into_iter().map(|(path, why)| SkippedPath { path, why }));
    saved.skipped.append(&mut plan.skipped);
}

impl<'a> StagingPlan<'a> {
    fn skip(&mut self, path: &[u8], why: impl Into<String>) {
        self.skipped.push(SkippedPath { path: path.to_vec(), why: why.into() });
    }

    fn sort_in(
        &mut self,
        looker: &mut PathInspector<'_>,
        path: &'a [u8],
        change: &PathChange,
        limits: SnapshotLimits,
    ) {
        const NESTED: &str = "a nested repository; its content is not saved";
        let (is_tracked, is_link) = match change {
            PathChange::Nested => {
                self.links.push(path);
                return self.skip(path, NESTED);
            }
            PathChange::Tracked { submodule: SubmoduleState::OnlyDirty, .. } => {
                return self
                    .skip(path, "a submodule with uncommitted changes of its own, which are not saved");
            }
            PathChange::Tracked { unstaged: false, .. } => {
                self.staged += 1;
                return;
            }
            PathChange::Tracked { gone: true, .. } => return self.removals.push(path),
            PathChange::Tracked { submodule, index, .. } => {
                if *submodule == SubmoduleState::Dirty {
                    self.skip(path, "a submodule with uncommitted changes of its own, which are not saved");
                }
                (true, index.as_ref().is_some_and(StagedEntry::is_gitlink))
            }
            PathChange::Unmerged(_) => (true, false),
            PathChange::Untracked => (false, false),
        };
        let there = match looker.inspect(path) {
            Ok(there) => there,
            Err(error) => return self.skip(path, format!("cannot be examined: {error}")),
        };
        let bytes = match there {
            PathKind::Nothing if is_tracked => return self.removals.push(path),
            // It disappeared in the meantime: there is nothing to save.
            PathKind::Nothing => return,
            PathKind::Directory if is_link => return self.links.push(path),
            // Its files, if it has any, are separate changes.
            PathKind::Directory => return self.removals.push(path),
            PathKind::Other(what) => {
                self.removals.push(path);
                return self.skip(path, what);
            }
            PathKind::Link => 0,
            PathKind::File { bytes } if bytes > limits.file_bytes_max => {
                let why = format!("{}, larger than {}", mib(bytes), mib(limits.file_bytes_max));
                return self.skip(path, why);
            }
            PathKind::File { bytes } => {
                if let Err(error) = readable(&looker.at(path)) {
                    return self.skip(path, format!("cannot be read: {error}"));
                }
                bytes
            }
        };
        if is_tracked { self.tracked.push((bytes, path)) } else { self.untracked.push((bytes, path)) }
    }
}

/// Stages one path byte for byte, after git failed to stage it with its filter.
fn unfiltered(index: &TempIndex<'_>, looker: &mut PathInspector<'_>, path: &[u8]) -> Result<(), String> {
    let full = looker.at(path);
    let there = looker.inspect(path).map_err(|error| error.to_string())?;
    let (mode, answer) = match there {
        PathKind::Nothing => return first_failure(index.set(&[(path, None)])),
        PathKind::Link => {
            let target = std::fs::read_link(&full).map_err(|error| error.to_string())?;
            let args = ["hash-object", "-w", "--no-filters", "--stdin"];
            ("120000", index.feed(&args, target.as_os_str().as_bytes()))
        }
        PathKind::File { .. } => {
            let runs = full.symlink_metadata().is_ok_and(|meta| meta.permissions().mode() & 0o100 != 0);
            let args = ["hash-object", "-w", "--no-filters", "--stdin-paths"];
            (if runs { "100755" } else { "100644" }, index.feed(&args, &quoted(path)))
        }
        PathKind::Directory => return Err("it is a directory".to_owned()),
        PathKind::Other(what) => return Err(what.to_owned()),
    };
    let oid = answer.and_then(|answer| index.repo.an_oid(&answer)).map_err(|error| error.to_string())?;
    let staged = StagedEntry { mode: mode.to_owned(), oid: oid.to_string() };
    first_failure(index.set(&[(path, Some(&staged))]))
}

fn first_failure(failed: Vec<(Vec<u8>, String)>) -> Result<(), String> {
    failed.into_iter().next().map_or(Ok(()), |(_, why)| Err(why))
}

/// Formats a size for display.
fn mib(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}
