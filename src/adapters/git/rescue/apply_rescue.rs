//! Applies a rescue: restores its files in a work tree, all or nothing after a check.
//!
//! A path may be written when it is unchanged since the base commit, or already as in the rescue; so applying
//! again completes an interrupted run. The index and refs are not touched.
//!
//! Invariants (tests of the same name in `tests/fast/rescue/apply.rs`):
//! * `a_conflict_writes_nothing`
//! * `applying_again_finishes`

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Stdio;

use crate::adapters::os::worktree_writer::{self, FileContent, FileStamp, PathState, WorktreeWriter};

use crate::adapters::git::dirty::StagedEntry;
use crate::adapters::git::rescue::list::{TreeChange, TreeEntry, TreeEntryKind};
use crate::adapters::git::rescue::scratch::ScratchDir;
use crate::adapters::git::rescue::temp_index::TempIndex;
use crate::adapters::git::stdin::quoted;
use crate::adapters::git::{Repo, RepoError, io_error};

/// The result of an applied rescue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Paths that were written.
    pub written: Vec<Vec<u8>>,
    /// Paths that were removed.
    pub removed: Vec<Vec<u8>>,
    /// Paths that were already as in the rescue.
    pub unchanged: Vec<Vec<u8>>,
    /// Paths that were left unchanged, each with the path of the rescued version.
    pub copies: Vec<(Vec<u8>, Vec<u8>)>,
    /// Paths deleted in the rescue and changed since: left unchanged.
    pub kept: Vec<Vec<u8>>,
    /// Nested repositories, whose content is not part of a rescue.
    pub repositories: Vec<Vec<u8>>,
}

/// The result of applying a rescue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// It was applied.
    Done(Applied),
    /// Nothing was written: these paths were changed since, for these reasons.
    Conflicts(Vec<(Vec<u8>, String)>),
}

/// Why a rescue could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Git failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The repository has no work tree here.
    #[error("this repository has no work tree here")]
    NoWorkTree,
    /// The rescue has a path that leads out of the work tree.
    #[error("the rescue has the path {}, which no work tree may have; nothing was written", .0.display())]
    BadPath(PathBuf),
    /// A path could not be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What to do with one path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PathVerdict {
    Unchanged,
    Write(Option<FileStamp>),
    Remove(FileStamp),
    Repository,
    Conflict(String),
}

/// Object ids of the files in the work tree.
struct WorktreeHashes {
    as_git_takes_it: BTreeMap<Vec<u8>, String>,
    as_it_is: BTreeMap<Vec<u8>, String>,
}

fn path_of(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}

fn write_error(path: &[u8]) -> impl FnOnce(io::Error) -> ApplyError {
    let path = path_of(path);
    move |source| ApplyError::Write { path, source }
}

impl Repo {
    /// Writes the changes of a rescue into this work tree, or returns the conflicts. With `copies`, paths
    /// that were changed since stay unchanged, and the rescued version is written beside them.
    ///
    /// `as_it_is` has the paths whose content was saved without their filter.
    ///
    /// # Errors
    /// [`ApplyError`]. When writing failed half way, applying again continues.
    pub fn apply(
        &self,
        changes: &[TreeChange],
        as_it_is: &[Vec<u8>],
        copies: bool,
    ) -> Result<ApplyOutcome, ApplyError> {
        if let Some(bad) = changes.iter().find(|change| !worktree_writer::is_sound(&change.path)) {
            return Err(ApplyError::BadPath(path_of(&bad.path)));
        }
        let root = self.work_tree.as_ref().ok_or(ApplyError::NoWorkTree)?;
        let tree = WorktreeWriter::open(root).map_err(io_error(root))?;
        let verdicts = self.verdicts(&tree, changes)?;
        let conflicts: Vec<(Vec<u8>, String)> = verdicts
            .iter()
            .filter_map(|(change, verdict)| match verdict {
                PathVerdict::Conflict(why) => Some((change.path.clone(), why.clone())),
                PathVerdict::Unchanged
                | PathVerdict::Write(_)
                | PathVerdict::Remove(_)
                | PathVerdict::Repository => None,
            })
            .collect();
        if !conflicts.is_empty() && !copies {
            return Ok(ApplyOutcome::Conflicts(conflicts));
        }
        let scratch = ScratchDir::new(&self.common_dir).map_err(io_error(&self.common_dir))?;
        let wanted: Vec<&TreeChange> = verdicts
            .iter()
            .filter(|(_, verdict)| matches!(verdict, PathVerdict::Write(_) | PathVerdict::Conflict(_)))
            .map(|(change, _)| *change)
            .filter(|change| change.new.is_some())
            .collect();
        let sources = self.bring_out(&scratch, &wanted, as_it_is)?;
        perform(&tree, &verdicts, &sources).map(ApplyOutcome::Done)
    }

    fn verdicts<'a>(
        &self,
        tree: &WorktreeWriter,
        changes: &'a [TreeChange],
    ) -> Result<Vec<(&'a TreeChange, PathVerdict)>, ApplyError> {
        let mut there = Vec::new();
        for change in changes {
            there.push(tree.inspect(&change.path).map_err(write_error(&change.path))?);
        }
        let is_file = |there: &PathState| matches!(there, PathState::File { .. });
        let files: Vec<&[u8]> =
            changes.iter().zip(&there).filter(|(_, t)| is_file(t)).map(|(c, _)| &c.path[..]).collect();
        let hashes =
            WorktreeHashes { as_git_takes_it: self.hash(&files, true), as_it_is: self.hash(&files, false) };
        let links = self.link_targets(changes.iter().flat_map(|c| [&c.old, &c.new]).flatten())?;
        let mut verdicts: Vec<(&TreeChange, PathVerdict)> = changes
            .iter()
            .zip(&there)
            .map(|(change, there)| (change, verdict(change, there, &hashes, &links)))
            .collect();
        let removed: BTreeSet<&[u8]> = verdicts
            .iter()
            .filter(|(_, verdict)| matches!(verdict, PathVerdict::Remove(_)))
            .map(|(change, _)| &change.path[..])
            .collect();
        // A file in the place of a directory, or the reverse, is no obstacle when it is to be removed.
        for ((change, verdict), there) in verdicts.iter_mut().zip(&there) {
            let is_free = change.new.as_ref().is_some_and(|new| new.kind != TreeEntryKind::Repository)
                && match there {
                    PathState::Blocked(by) => removed.contains(&by[..]),
                    PathState::Directory => {
                        let below = tree.files_below(&change.path).map_err(write_error(&change.path))?;
                        below.iter().all(|path| removed.contains(&path[..]))
                    }
                    PathState::Nothing
                    | PathState::File { .. }
                    | PathState::Link { .. }
                    | PathState::Other => false,
                };
            if is_free && change.old.is_none() {
                *verdict = PathVerdict::Write(None);
            }
        }
        Ok(verdicts)
    }

    /// Returns the object ids of files, with or without their filters; files that git cannot hash are left
    /// out.
    fn hash(&self, paths: &[&[u8]], with_filters: bool) -> BTreeMap<Vec<u8>, String> {
        let filters = if with_filters { &[][..] } else { &["--no-filters"] };
        let args: Vec<&OsStr> = [&["hash-object"][..], filters, &["--stdin-paths"]]
            .concat()
            .into_iter()
            .map(OsStr::new)
            .collect();
        let safe = [("core.safecrlf".into(), "false".into())];
        let (mut todo, mut found) = (vec![paths], BTreeMap::new());
        while let Some(batch) = todo.pop().filter(|batch| !batch.is_empty()) {
            let input: Vec<u8> = batch.iter().flat_map(|path| [&quoted(path)[..], b"\n"].concat()).collect();
            if let Ok(answer) = self.run_with_input_ok(self.settled_git(&safe), &args, &input) {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                found.extend(batch.iter().map(|path| path.to_vec()).zip(answer.lines().map(str::to_owned)));
            } else if batch.len() > 1 {
                let (first, second) = batch.split_at(batch.len() / 2);
                todo.extend([second, first]);
            }
        }
        found
    }

    /// Returns the targets of links, by their object ids.
    fn link_targets<'a>(
        &self,
        entries: impl Iterator<Item = &'a TreeEntry>,
    ) -> Result<BTreeMap<String, Vec<u8>>, RepoError> {
        let mut targets = BTreeMap::new();
        for entry in entries.filter(|entry| entry.kind == TreeEntryKind::Link) {
            if !targets.contains_key(&entry.oid) {
                let args = ["cat-file", "blob", &entry.oid].map(OsStr::new);
                targets.insert(entry.oid.clone(), self.run_ok(self.settled_git(&[]), &args)?);
            }
        }
        Ok(targets)
    }

    /// Writes the wanted content into temporary files, as git would check it out; returns their paths.
    fn bring_out(
        &self,
        scratch: &ScratchDir,
        wanted: &[&TreeChange],
        as_it_is: &[Vec<u8>],
    ) -> Result<BTreeMap<Vec<u8>, Source>, ApplyError> {
        let mut sources = BTreeMap::new();
        let links = self.link_targets(wanted.iter().filter_map(|change| change.new.as_ref()))?;
        let mut by_git = Vec::new();
        for change in wanted {
            let Some(new) = &change.new else { continue };
            match new.kind {
                TreeEntryKind::Link => {
                    let target = links.get(&new.oid).cloned().unwrap_or_default();
                    sources.insert(change.path.clone(), Source::Link(target));
                }
                TreeEntryKind::File | TreeEntryKind::Program if !as_it_is.contains(&change.path) => {
                    by_git.push(*change);
                }
                TreeEntryKind::File | TreeEntryKind::Program | TreeEntryKind::Repository => {}
            }
        }
        let index = TempIndex::empty(self, scratch.at("index"));
        let staged = |change: &TreeChange| {
            let new = change.new.as_ref()?;
            let mode = if new.kind == TreeEntryKind::Program { "100755" } else { "100644" };
            Some(StagedEntry { mode: mode.to_owned(), oid: new.oid.clone() })
        };
        let entries: Vec<Option<StagedEntry>> = by_git.iter().map(|change| staged(change)).collect();
        let entries: Vec<(&[u8], Option<&StagedEntry>)> =
            by_git.iter().map(|change| &change.path[..]).zip(entries.iter().map(Option::as_ref)).collect();
        // What git refuses in a batch is written byte for byte below.
        index.set(&entries);
        let paths: Vec<&[u8]> = by_git.iter().map(|change| &change.path[..]).collect();
        index.check_out(&paths, &scratch.at("out"));
        for (n, change) in wanted.iter().enumerate() {
            let Some(new) = change
                .new
                .as_ref()
                .filter(|new| matches!(new.kind, TreeEntryKind::File | TreeEntryKind::Program))
            else {
                continue;
            };
            let mut file = scratch.at("out").join(OsStr::from_bytes(&change.path));
            if !file.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                file = scratch.at(&format!("{n}.blob"));
                self.blob(&new.oid, &file)?;
            }
            sources.insert(change.path.clone(), Source::File(file, new.kind == TreeEntryKind::Program));
        }
        Ok(sources)
    }

    /// Writes an object into a new file.
    fn blob(&self, oid: &str, to: &std::path::Path) -> Result<(), RepoError> {
        let file = File::options().write(true).create_new(true).open(to).map_err(io_error(to))?;
        let mut command = self.settled_git(&[]);
        let args = ["cat-file", "blob", oid].map(OsStr::new);
        command.args(args).stdout(Stdio::from(file)).stderr(Stdio::piped());
        let child = command.spawn().and_then(std::process::Child::wait_with_output);
        let output =
            child.map_err(|source| RepoError::NotStarted { program: self.program.clone(), source })?;
        if output.status.success() { Ok(()) } else { Err(crate::adapters::git::failure(&args, &output)) }
    }
}

/// Where the rescued version of a path is.
enum Source {
    File(PathBuf, bool),
    Link(Vec<u8>),
}

/// Decides about a path, without regard to other paths.
fn verdict(
    change: &TreeChange,
    there: &PathState,
    hashes: &WorktreeHashes,
    links: &BTreeMap<String, Vec<u8>>,
) -> PathVerdict {
    let is = |entry: &Option<TreeEntry>| match (entry, there) {
        (None, PathState::Nothing | PathState::Blocked(_) | PathState::Directory) => true,
        (
            Some(TreeEntry { kind: TreeEntryKind::File | TreeEntryKind::Program, oid }),
            PathState::File { .. },
        ) => [&hashes.as_git_takes_it, &hashes.as_it_is].iter().any(|h| h.get(&change.path) == Some(oid)),
        (Some(TreeEntry { kind: TreeEntryKind::Link, oid }), PathState::Link { target, .. }) => {
            links.get(oid) == Some(target)
        }
        (None | Some(_), _) => false,
    };
    let has_its_mode = match (&change.new, there) {
        (Some(new), PathState::File { runs, .. }) => *runs == (new.kind == TreeEntryKind::Program),
        (None | Some(_), _) => true,
    };
    let is_repository = |entry: &Option<TreeEntry>| {
        entry.as_ref().is_some_and(|entry| entry.kind == TreeEntryKind::Repository)
    };
    match (&change.new, there.seen()) {
        _ if is_repository(&change.new) || is_repository(&change.old) => PathVerdict::Repository,
        _ if is(&change.new) && has_its_mode => PathVerdict::Unchanged,
        (None, Some(seen)) if is(&change.old) => PathVerdict::Remove(seen),
        (Some(_), Some(seen)) if is(&change.old) || is(&change.new) => PathVerdict::Write(Some(seen)),
        (Some(_), None) if is(&change.old) && *there == PathState::Nothing => PathVerdict::Write(None),
        _ => PathVerdict::Conflict(why(change, there)),
    }
}

/// Describes the obstacle.
fn why(change: &TreeChange, there: &PathState) -> String {
    match there {
        PathState::File { .. } | PathState::Link { .. } if change.old.is_none() => {
            "another file of that name is there".to_owned()
        }
        PathState::Nothing => "it was removed since".to_owned(),
        PathState::Blocked(by) => format!("{} is in the way", path_of(by).display()),
        PathState::File { .. } | PathState::Link { .. } => "it was changed since".to_owned(),
        PathState::Directory => "a directory is there".to_owned(),
        PathState::Other => "something that is not a file is there".to_owned(),
    }
}

/// Removes first: a path to be written may need the place.
fn perform(
    tree: &WorktreeWriter,
    verdicts: &[(&TreeChange, PathVerdict)],
    sources: &BTreeMap<Vec<u8>, Source>,
) -> Result<Applied, ApplyError> {
    let mut applied = Applied::default();
    for (TreeChange { path, .. }, verdict) in verdicts {
        match verdict {
            PathVerdict::Remove(seen) => {
                tree.remove(path, *seen).map_err(write_error(path))?;
                applied.removed.push(path.clone());
            }
            PathVerdict::Unchanged => applied.unchanged.push(path.clone()),
            PathVerdict::Repository => applied.repositories.push(path.clone()),
            PathVerdict::Write(_) | PathVerdict::Conflict(_) => {}
        }
    }
    for (TreeChange { path, .. }, verdict) in verdicts {
        match (verdict, sources.get(path)) {
            (PathVerdict::Write(over), Some(source)) => {
                source.open(|content| tree.write(path, *over, content)).map_err(write_error(path))?;
                applied.written.push(path.clone());
            }
            (PathVerdict::Conflict(_), Some(source)) => {
                let copy =
                    source.open(|content| tree.write_beside(path, content)).map_err(write_error(path))?;
                applied.copies.push((path.clone(), copy));
            }
            (PathVerdict::Conflict(_), None) => applied.kept.push(path.clone()),
            (PathVerdict::Write(_), None)
            | (PathVerdict::Remove(_) | PathVerdict::Unchanged | PathVerdict::Repository, _) => {}
        }
    }
    Ok(applied)
}

impl Source {
    fn open<T>(&self, write: impl FnOnce(FileContent<'_>) -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::File(path, runs) => write(FileContent::File(&mut File::open(path)?, *runs)),
            Self::Link(target) => write(FileContent::Link(target)),
        }
    }
}
