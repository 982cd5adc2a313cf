//! A temporary index: a copy of a work tree's index that is changed without affecting the work tree.
//!
//! Every git command here runs without hooks, without background helpers, and durably before it returns.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::domain::guard::git_ref::{Oid, RefName};
use crate::domain::rescue::note::SkippedPath;

use crate::adapters::git::dirty::{self, StagedEntry, WorktreeChanges};
use crate::adapters::git::refs::RefValue;
use crate::adapters::git::{Repo, RepoError, failure, io_error};

/// Settings for every git command on such an index.
const SETTINGS: [(&str, &str); 11] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    // A split index would put its shared half beside the real one.
    ("core.splitIndex", "false"),
    // Whether line ends survive a round trip does not matter here: everything is to be saved.
    ("core.safecrlf", "false"),
    ("core.fsync", "all"),
    ("core.fsyncMethod", "batch"),
    ("i18n.commitEncoding", "UTF-8"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
];

/// How often a copy is retried while another process writes the index.
const COPIES: usize = 20;

/// Runs git with an index of its own.
pub(crate) struct TempIndex<'a> {
    pub(crate) repo: &'a Repo,
    pub(crate) path: PathBuf,
    settings: Vec<(OsString, OsString)>,
}

impl<'a> TempIndex<'a> {
    /// Returns an empty index.
    pub(crate) fn empty(repo: &'a Repo, path: PathBuf) -> Self {
        let settings = SETTINGS.map(|(key, value)| (key.into(), value.into())).to_vec();
        Self { repo, path, settings }
    }

    /// Copies the work tree's index; returns it with the commit that was checked out at that moment.
    pub(crate) fn copy(repo: &'a Repo, path: PathBuf) -> Result<(Self, Option<Oid>), RepoError> {
        let real = repo.git_dir.join("index");
        let mut head = repo.head_commit()?;
        for _ in 0..COPIES {
            let copied = copy_file(&real, &path).map_err(io_error(&real))?;
            let after = repo.head_commit()?;
            // Git replaces an index as a whole, so a different file means a different state.
            if head == after && identity(&real) == copied {
                break;
            }
            head = after;
        }
        Ok((Self::empty(repo, path), head))
    }

    /// Builds a git command that uses it.
    pub(crate) fn git(&self) -> Command {
        let mut command = self.repo.settled_git(&self.settings);
        command.env("GIT_INDEX_FILE", &self.path);
        command
    }

    /// Runs a git command on it with an input.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Result<Vec<u8>, RepoError> {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        self.repo.run_with_input_ok(self.git(), &args, input)
    }

    /// Returns the uncommitted changes. When git fails because of a filter or a submodule, it is run again
    /// without them; when it fails because of the index, with one rebuilt from HEAD.
    pub(crate) fn status(&mut self, head: Option<&Oid>) -> Result<WorktreeChanges, RepoError> {
        let first = match self.ask("none") {
            Ok(dirty) => return Ok(dirty),
            Err(error) => error,
        };
        self.tolerate_filters();
        let mut notes = Vec::new();
        for is_rebuilt in [false, true] {
            if is_rebuilt {
                self.rebuild(head)?;
                let why = format!(
                    "cannot be read, so staged content that is not in the work tree is not saved: {first}"
                );
                notes.push(SkippedPath { path: b".git/index".to_vec(), why });
            }
            for submodules in ["none", "dirty", "all"] {
                let Ok(mut dirty) = self.ask(submodules) else { continue };
                dirty.unreadable.append(&mut notes);
                return Ok(dirty);
            }
        }
        Err(first)
    }

    fn ask(&self, submodules: &str) -> Result<WorktreeChanges, RepoError> {
        let args = dirty::question(submodules);
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let mut command = self.git();
        command.args(&args);
        let output = self.repo.run(command)?;
        if output.status.success() {
            Ok(dirty::parse(&output.stdout, &output.stderr))
        } else {
            Err(failure(&args, &output))
        }
    }

    /// From now on a filter that fails leaves a file unfiltered.
    fn tolerate_filters(&mut self) {
        let args = ["config", "--null", "--name-only", "--get-regexp", r"^filter\..*\.required$"];
        let found = self.repo.run_ok(self.git(), &args.map(OsStr::new)).unwrap_or_default();
        for key in found.split(|b| *b == 0).filter(|key| !key.is_empty()) {
            self.settings.push((OsStr::from_bytes(key).to_owned(), "false".into()));
        }
    }

    /// Rebuilds it from a commit.
    fn rebuild(&self, head: Option<&Oid>) -> Result<(), RepoError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&self.path)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let Some(head) = head else { return Ok(()) };
        self.repo.run_ok(self.git(), &["read-tree", head.as_str()].map(OsStr::new)).map(drop)
    }

    /// Sets entries (a path with `None` loses its entry); returns those that git refuses.
    pub(crate) fn set(&self, entries: &[(&[u8], Option<&StagedEntry>)]) -> Vec<(Vec<u8>, String)> {
        let zero = "0".repeat(self.repo.object_format.empty_tree().len());
        let line = |(path, staged): &(&[u8], Option<&StagedEntry>)| {
            // Removal first: an entry may replace a directory, or the reverse.
            let mut line = format!("0 {zero}\t").into_bytes();
            line.extend([path, &b"\0"[..]].concat());
            if let Some(staged) = staged {
                line.extend(format!("{} {}\t", staged.mode, staged.oid).bytes());
                line.extend([path, &b"\0"[..]].concat());
            }
            line
        };
        let args = ["update-index", "--add", "--replace", "-z", "--index-info"];
        self.in_batches(entries, &mut |batch| {
            let input: Vec<u8> = batch.iter().flat_map(line).collect();
            self.update(&args, &input)
        })
        .into_iter()
        .map(|((path, _), why)| (path.to_vec(), why))
        .collect()
    }

    /// Stages files from the work tree, as `git add` does; returns those that git refuses.
    pub(crate) fn add(&self, paths: &[&[u8]]) -> Vec<(Vec<u8>, String)> {
        let args = ["update-index", "--add", "--remove", "--replace", "-z", "--stdin"];
        self.in_batches(paths, &mut |batch| {
            let input: Vec<u8> = batch.iter().flat_map(|path| [path, &b"\0"[..]].concat()).collect();
            self.update(&args, &input)
        })
        .into_iter()
        .map(|(path, why)| (path.to_vec(), why))
        .collect()
    }

    /// Checks entries out into a directory. Files that git cannot write completely are removed.
    pub(crate) fn check_out(&self, paths: &[&[u8]], to: &Path) {
        let mut prefix = OsString::from("--prefix=");
        prefix.push(to.join(""));
        let args = [OsStr::new("checkout-index"), &prefix, OsStr::new("-zf"), OsStr::new("--stdin")];
        let failed = self.in_batches(paths, &mut |batch| {
            let input: Vec<u8> = batch.iter().flat_map(|path| [path, &b"\0"[..]].concat()).collect();
            self.repo.run_with_input_ok(self.git(), &args, &input).map(drop)
        });
        for (path, _) in failed {
            // A partial file is useless. There may be nothing to remove.
            let _ = std::fs::remove_file(to.join(OsStr::from_bytes(path)));
        }
    }

    /// Runs `update-index`, and turns the names that it ignores as dangerous, with success, into an error.
    fn update(&self, args: &[&str], input: &[u8]) -> Result<(), RepoError> {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let mut command = self.git();
        command.args(&args);
        let output = self.repo.run_with_input(command, input)?;
        let is_ignored = output.stderr.split(|b| *b == b'\n').any(|line| line.starts_with(b"Ignoring path "));
        if output.status.success() && !is_ignored { Ok(()) } else { Err(failure(&args, &output)) }
    }

    /// Processes all paths at once or, when that fails, each half, so that failing paths fail alone. Returns
    /// the failed paths; when that takes too long, all remaining ones.
    fn in_batches<T: Copy>(
        &self,
        all: &[T],
        step: &mut dyn FnMut(&[T]) -> Result<(), RepoError>,
    ) -> Vec<(T, String)> {
        /// The command that waits for the write lock waits for this.
        const STEPS_MAX: usize = 200;
        let (mut todo, mut failed, mut steps) = (vec![all], Vec::new(), 0);
        while let Some(batch) = todo.pop().filter(|batch| !batch.is_empty()) {
            steps += 1;
            let Err(error) = step(batch) else { continue };
            if batch.len() == 1 || steps > STEPS_MAX {
                failed.extend(batch.iter().map(|one| (*one, error.to_string())));
            } else {
                let (first, second) = batch.split_at(batch.len() / 2);
                todo.extend([second, first]);
            }
        }
        failed
    }

    /// Writes its tree. Entries whose object is missing are removed and reported.
    pub(crate) fn write_tree(&self, skipped: &mut Vec<SkippedPath>) -> Result<Oid, RepoError> {
        let write = || self.repo.run_ok(self.git(), &[OsStr::new("write-tree")]);
        let answer = match write() {
            Ok(answer) => answer,
            Err(error) => {
                let missing = self.missing()?;
                if missing.is_empty() {
                    return Err(error);
                }
                let removals: Vec<(&[u8], Option<&StagedEntry>)> =
                    missing.iter().map(|path| (path.as_slice(), None)).collect();
                self.set(&removals);
                let why = "its staged content is missing from the repository";
                let named =
                    missing.iter().map(|path| SkippedPath { path: path.clone(), why: why.to_owned() });
                skipped.extend(named);
                write()?
            }
        };
        self.repo.an_oid(&answer)
    }

    /// Returns the paths whose object is missing.
    fn missing(&self) -> Result<Vec<Vec<u8>>, RepoError> {
        let args = ["ls-files", "--stage", "-z", "--full-name"].map(OsStr::new);
        let listed = self.repo.run_ok(self.git(), &args)?;
        let entries: Vec<(&[u8], &[u8])> = listed
            .split(|b| *b == 0)
            .filter(|record| !record.starts_with(b"160000 "))
            .filter_map(|record| {
                let tab = record.iter().position(|b| *b == b'\t')?;
                Some((record[..tab].split(|b| *b == b' ').nth(1)?, &record[tab + 1..]))
            })
            .collect();
        let questions: Vec<u8> = entries.iter().flat_map(|(oid, _)| [oid, &b"\n"[..]].concat()).collect();
        let answers = self.feed(&["cat-file", "--batch-check=%(objectname) %(objecttype)"], &questions)?;
        let gone: BTreeSet<&[u8]> =
            answers.split(|b| *b == b'\n').filter_map(|line| line.strip_suffix(b" missing")).collect();
        Ok(entries.iter().filter(|(oid, _)| gone.contains(oid)).map(|(_, path)| path.to_vec()).collect())
    }
}

impl Repo {
    /// Builds a git command with settings that override every other configuration.
    pub(crate) fn settled_git(&self, settings: &[(OsString, OsString)]) -> Command {
        let mut command = self.plain_git();
        // Objects belong in the repository, and not in the quarantine of a push in progress.
        for name in ["GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH", "GIT_ATTR_SOURCE"] {
            command.env_remove(name);
        }
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (n, (key, value)) in settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value);
        }
        command
    }

    /// Returns the commit that is checked out; `None` on a branch without one.
    ///
    /// # Errors
    /// As [`Repo::resolve`].
    pub fn head_commit(&self) -> Result<Option<Oid>, RepoError> {
        let head = RefName::parse(b"HEAD").expect("HEAD is a name");
        match self.resolve(&head)? {
            RefValue::Oid(oid) => Ok(Some(oid)),
            RefValue::Missing | RefValue::Symref(_) => Ok(None),
        }
    }

    /// Parses an object id in git's output.
    pub(crate) fn an_oid(&self, answer: &[u8]) -> Result<Oid, RepoError> {
        let broken = |why: String| RepoError::Broken { path: self.common_dir.clone(), why };
        Oid::parse(answer.trim_ascii_end()).map_err(|error| broken(error.to_string()))
    }
}

/// Returns the identity of a file; `None` when it does not exist.
fn identity(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

/// Copies an index, and returns which file it was. The copy keeps its time, by which git detects files that
/// may have changed unnoticed.
fn copy_file(from: &Path, to: &Path) -> io::Result<Option<(u64, u64, i64, i64)>> {
    let mut source = match File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match std::fs::remove_file(to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(error),
    };
    let meta = source.metadata()?;
    let mut target = File::options().write(true).create(true).truncate(true).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.set_modified(meta.modified()?)?;
    Ok(Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec())))
}
