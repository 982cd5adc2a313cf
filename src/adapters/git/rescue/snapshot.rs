//! Rescue snapshots: saves all uncommitted work of a work tree as one commit under `refs/cmw/rescue/`,
//! without touching the work tree, its index, or any other ref.
//!
//! The commit has the form of a stash: its tree is the work tree, its parents are the commit that is checked
//! out and a commit of the index. With conflicts, a third parent has their stages as `1/PATH`, `2/PATH`,
//! `3/PATH`. On a branch without a commit the first parent is left out.
//!
//! Invariants (tests of the same name in `tests/fast/rescue/snapshot`):
//! * `nothing_is_lost_and_nothing_is_touched`
//! * `what_is_not_saved_is_named`
//! * `killed_anywhere_it_blocks_nothing_and_the_next_try_succeeds`
//!
//! Limitations: ignored files are not saved, nor the content of submodules and nested repositories, nor
//! changes hidden by `update-index --assume-unchanged`; a FIFO has no content to save.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use crate::domain::guard::git_ref::{Oid, RefName};
use crate::domain::rescue::note::SkippedPath;
use crate::domain::rescue::note::{self, RescueNote};

use crate::adapters::git::dirty::{PathChange, StagedEntry, SubmoduleState, WorktreeChanges};
use crate::adapters::git::refs::RefValue;
use crate::adapters::git::rescue::scratch::ScratchDir;
use crate::adapters::git::rescue::stage_worktree::{self, StageResult};
use crate::adapters::git::rescue::temp_index::TempIndex;
use crate::adapters::git::{Repo, RepoError, io_error};

/// Size limits of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// The largest file, in bytes.
    pub file_bytes_max: u64,
    /// All files together, in bytes.
    pub total_bytes_max: u64,
}

impl Default for SnapshotLimits {
    fn default() -> Self {
        Self { file_bytes_max: 50 << 20, total_bytes_max: 500 << 20 }
    }
}

/// A rescue that is synced to disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its full ref name.
    pub ref_name: String,
    /// Its commit.
    pub commit: Oid,
    /// How many of its paths differ from the commit that is checked out.
    pub changed: usize,
    /// Paths that are missing, or not saved completely.
    pub skipped: Vec<SkippedPath>,
}

/// How many names are tried for one snapshot.
const NAMES_MAX: usize = 9;

/// The three trees of a snapshot, with the paths saved and skipped.
struct SnapshotTrees {
    index: Oid,
    work: Oid,
    stages: Option<Oid>,
    saved: StageResult,
}

impl Repo {
    /// Saves all uncommitted work of this work tree as `refs/cmw/rescue/<prefix>/<stamp>`, with a numeric
    /// suffix when that name is taken; `None` when everything is committed.
    ///
    /// `message` is the result of [`RescueNote::message`]; the skipped paths are added to it. The same work
    /// with the same stamp gives the same snapshot, so an interrupted call can be repeated.
    ///
    /// # Errors
    /// Git's error message, or the system's. Then no ref was created.
    pub fn snapshot(
        &self,
        prefix: &str,
        stamp: &str,
        message: &str,
        limits: SnapshotLimits,
    ) -> Result<Option<Snapshot>, RepoError> {
        let Some(work_tree) = &self.work_tree else { return Ok(None) };
        let scratch = ScratchDir::new(&self.common_dir).map_err(io_error(&self.common_dir))?;
        let (mut index, head) = TempIndex::copy(self, scratch.at("index"))?;
        let mut dirty = index.status(head.as_ref())?;
        dirty.changes.retain(|(path, change)| *change != PathChange::Nested || !self.owns(work_tree, path));
        if !dirty.changes.iter().any(|(_, change)| is_work(change)) && dirty.unreadable.is_empty() {
            return Ok(None);
        }
        let trees = self.trees(&index, &scratch, work_tree, dirty, limits)?;
        self.make_durable(&index, head.as_ref(), &trees)?;
        let StageResult { changed, skipped, unfiltered } = trees.saved;
        let found =
            RescueNote::snapshot_trailers(changed, head.as_ref().map(Oid::as_str), &skipped, &unfiltered);
        let message = format!("{}\n{found}", message.trim_end());
        let time = note::stamp_time(stamp).map(|time| format!("@{} +0000", time.0 / 1_000));
        let commit = |tree: &Oid, parents: &[&Oid], text: &str| {
            self.commit_tree(&index, tree, parents, text, time.as_deref())
        };
        let base: Vec<&Oid> = head.iter().collect();
        let of_index = commit(&trees.index, &base, "the index of a rescue\n")?;
        let stages =
            trees.stages.map(|tree| commit(&tree, &[], "the conflicts of a rescue\n")).transpose()?;
        let parents: Vec<&Oid> = base.into_iter().chain([&of_index]).chain(stages.as_ref()).collect();
        let commit = commit(&trees.work, &parents, &message)?;
        let (ref_name, commit) = self.create_rescue_ref(prefix, stamp, commit)?;
        Ok(Some(Snapshot { ref_name, commit, changed, skipped }))
    }

    /// Returns whether a directory is another work tree of this repository: its work is not part of this one.
    fn owns(&self, work_tree: &Path, path: &[u8]) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let other = self.in_work_tree(&work_tree.join(OsStr::from_bytes(path)));
        other.is_ok_and(|other| other.common_dir == self.common_dir)
    }

    fn trees(
        &self,
        index: &TempIndex<'_>,
        scratch: &ScratchDir,
        work_tree: &Path,
        dirty: WorktreeChanges,
        limits: SnapshotLimits,
    ) -> Result<SnapshotTrees, RepoError> {
        let mut saved = StageResult { changed: 0, skipped: dirty.unreadable, unfiltered: Vec::new() };
        let unmerged: Vec<(&[u8], &[Option<StagedEntry>; 3])> = dirty
            .changes
            .iter()
            .filter_map(|(path, change)| match change {
                PathChange::Unmerged(stages) => Some((path.as_slice(), stages)),
                PathChange::Tracked { .. } | PathChange::Untracked | PathChange::Nested => None,
            })
            .collect();
        let stages = self.stages(scratch, &unmerged, &mut saved)?;
        // A tree has one entry for a path: our stage, or else theirs, or else the common ancestor's.
        let chosen: Vec<(&[u8], Option<&StagedEntry>)> = unmerged
            .iter()
            .map(|(path, [base, ours, theirs])| (*path, ours.as_ref().or(theirs.as_ref()).or(base.as_ref())))
            .collect();
        index.set(&chosen);
        let of_index = index.write_tree(&mut saved.skipped)?;
        stage_worktree::save(index, work_tree, &dirty.changes, limits, &mut saved);
        let work = index.write_tree(&mut saved.skipped)?;
        Ok(SnapshotTrees { index: of_index, work, stages, saved })
    }

    /// Writes the tree of all stages of all conflicts.
    fn stages(
        &self,
        scratch: &ScratchDir,
        unmerged: &[(&[u8], &[Option<StagedEntry>; 3])],
        saved: &mut StageResult,
    ) -> Result<Option<Oid>, RepoError> {
        if unmerged.is_empty() {
            return Ok(None);
        }
        let index = TempIndex::empty(self, scratch.at("stages"));
        let mut entries = Vec::new();
        for (path, stages) in unmerged {
            for (staged, number) in stages.iter().zip(*b"123") {
                entries.extend(staged.as_ref().map(|staged| ([&[number, b'/'], *path].concat(), staged)));
            }
        }
        let entries: Vec<(&[u8], Option<&StagedEntry>)> =
            entries.iter().map(|(path, staged)| (path.as_slice(), Some(*staged))).collect();
        let failed = index.set(&entries);
        saved.skipped.extend(failed.into_iter().map(|(path, why)| SkippedPath { path, why }));
        index.write_tree(&mut saved.skipped).map(Some)
    }

    /// Syncs objects that already existed and that git therefore did not write: `git add` leaves objects
    /// unsynced.
    fn make_durable(
        &self,
        index: &TempIndex<'_>,
        head: Option<&Oid>,
        trees: &SnapshotTrees,
    ) -> Result<(), RepoError> {
        let base = head.map_or(self.object_format.empty_tree(), Oid::as_str);
        for tree in [Some(&trees.index), Some(&trees.work), trees.stages.as_ref()].into_iter().flatten() {
            let old =
                if Some(tree) == trees.stages.as_ref() { self.object_format.empty_tree() } else { base };
            let args = ["diff-tree", "-r", "-t", "-z", "--raw", "--no-renames", "--no-abbrev"];
            let args = [&args[..], &["--end-of-options", old, tree.as_str()]].concat();
            let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
            let changes = self.run_ok(index.git(), &args)?;
            // `:mode mode old new status`, then the path.
            let records = changes.split(|b| *b == 0).filter(|record| record.starts_with(b":"));
            let new = records.filter_map(|record| record.split(|b| *b == b' ').nth(3));
            for oid in new.chain([tree.as_str().as_bytes()]) {
                self.sync_loose(oid)?;
            }
        }
        Ok(())
    }

    /// Syncs an object that has a file of its own; packs are synced by their writers.
    fn sync_loose(&self, oid: &[u8]) -> Result<(), RepoError> {
        use std::os::unix::ffi::OsStrExt;
        if oid.len() < 40 {
            return Ok(());
        }
        let (dir, name) = oid.split_at(2);
        let path = self.common_dir.join("objects").join(OsStr::from_bytes(dir)).join(OsStr::from_bytes(name));
        let Ok(file) = File::open(&path) else { return Ok(()) };
        file.sync_all().map_err(io_error(&path))
    }

    fn commit_tree(
        &self,
        index: &TempIndex<'_>,
        tree: &Oid,
        parents: &[&Oid],
        message: &str,
        time: Option<&str>,
    ) -> Result<Oid, RepoError> {
        let mut command: Command = index.git();
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "cmw rescue");
            command.env(format!("GIT_{who}_EMAIL"), "cmw@localhost.invalid");
            // The same work at the same time gives the same commit.
            match time {
                Some(time) => command.env(format!("GIT_{who}_DATE"), time),
                None => command.env_remove(format!("GIT_{who}_DATE")),
            };
        }
        let mut args =
            vec![OsStr::new("commit-tree"), OsStr::new("--no-gpg-sign"), OsStr::new(tree.as_str())];
        for parent in parents {
            args.extend(["-p", parent.as_str()].map(OsStr::new));
        }
        let answer = self.run_with_input_ok(command, &args, message.as_bytes())?;
        self.an_oid(&answer)
    }

    /// Creates a ref for the commit under a free name; an existing ref with the same content is reused.
    fn create_rescue_ref(&self, prefix: &str, stamp: &str, commit: Oid) -> Result<(String, Oid), RepoError> {
        let numbered = (2..=NAMES_MAX).map(|n| format!("{prefix}/{stamp}-{n}"));
        // The last candidate is beside the role's directory: a ref named like the directory leaves no room
        // below it.
        let names = std::iter::once(format!("{prefix}/{stamp}"))
            .chain(numbered)
            .chain([format!("{prefix}-2/{stamp}")]);
        let mut error = None;
        for name in names.map(|name| format!("{}{name}", note::PREFIX)) {
            match self.move_own_ref(&name, None, &commit, "cmw: rescue") {
                Ok(()) => return Ok((name, commit)),
                Err(why) => error = Some(why),
            }
            let there = RefName::parse(name.as_bytes()).ok().and_then(|name| self.resolve(&name).ok());
            if let Some(RefValue::Oid(there)) = there
                && (there == commit || self.holds_the_same(&there, &commit))
            {
                return Ok((name, there));
            }
        }
        Err(error.expect("at least one name was tried"))
    }

    /// Returns whether two commits have the same tree and parents with the same trees.
    fn holds_the_same(&self, one: &Oid, other: &Oid) -> bool {
        let trees = |oid: &Oid| {
            let args = ["rev-list", "--no-commit-header", "--no-walk", "--format=%T %P", oid.as_str()];
            self.run_ok(self.plain_git(), &args.map(OsStr::new)).ok()
        };
        trees(one).is_some_and(|found| Some(found) == trees(other))
    }
}

/// Returns whether a change can be saved: the content of another repository cannot.
fn is_work(change: &PathChange) -> bool {
    match change {
        PathChange::Tracked { submodule, .. } => *submodule != SubmoduleState::OnlyDirty,
        PathChange::Unmerged(_) | PathChange::Untracked => true,
        PathChange::Nested => false,
    }
}
