//! Reads refs: from files without starting git, from other stores by running it.
//!
//! Invariants (tests of the same name in `tests/fast/git/adapter.rs`):
//! * `refs_agree_with_git`
//! * `a_packed_ref_is_found_among_many`

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::domain::guard::git_ref::{Oid, RefName, RefTarget};
use crate::domain::guard::hook_input::RefLine;
use crate::domain::guard::ref_rules::{CurrentRef, without_worktree};

use crate::adapters::git::{RefFormat, Repo, RepoError, failure, io_error};

/// How many symbolic refs are followed (git's own limit).
const DEPTH_MAX: usize = 5;

/// Below this many bytes a part of `packed-refs` is scanned linearly.
const SCAN_BYTES: u64 = 16 << 10;

/// Longest line of `packed-refs`: an id, a blank, a name.
const LINE_BYTES: u64 = 64 + 1 + 4096 + 1;

/// The value of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefValue {
    /// The ref does not exist.
    Missing,
    /// An object.
    Oid(Oid),
    /// Another ref.
    Symref(RefName),
}

impl From<RefValue> for RefTarget {
    fn from(value: RefValue) -> Self {
        match value {
            RefValue::Missing => Self::Zero,
            RefValue::Oid(oid) => Self::from(oid),
            RefValue::Symref(name) => Self::Symref(name),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

fn broken(path: &Path, why: &str) -> RepoError {
    RepoError::Broken { path: path.to_owned(), why: why.to_owned() }
}

impl Repo {
    /// Returns the inode of the lock that git holds on a ref; `None` when there is none, so that no git moves it.
    /// A ref that is only packed may be deleted under the lock of `packed-refs` alone (git 2.39). Where refs are
    /// stored in a format of later versions, the answer is 0.
    #[must_use]
    pub fn ref_lock(&self, name: &RefName) -> Option<u64> {
        let locks = match self.ref_format {
            RefFormat::Files => {
                let mut lock = self.path_of(name).into_os_string();
                lock.push(".lock");
                let shared = format!("{}.lock", without_worktree(name.as_str()));
                vec![lock.into(), self.common_dir.join(shared), self.common_dir.join("packed-refs.lock")]
            }
            RefFormat::Reftable => {
                [&self.common_dir, &self.git_dir].map(|dir| dir.join("reftable/tables.list.lock")).to_vec()
            }
            RefFormat::Other => return Some(0),
        };
        let lock = |path: PathBuf| std::fs::symlink_metadata(path).ok().filter(|it| it.is_file());
        locks.into_iter().find_map(lock).map(|it| it.ino())
    }

    /// Reads one ref; symbolic refs are not followed.
    ///
    /// # Errors
    /// When it exists but cannot be read or parsed.
    pub fn read_ref(&self, name: &RefName) -> Result<RefValue, RepoError> {
        match self.ref_format {
            RefFormat::Files => match self.read_loose(name)? {
                RefValue::Missing => Ok(self.read_packed(name)?.map_or(RefValue::Missing, RefValue::Oid)),
                found @ (RefValue::Oid(_) | RefValue::Symref(_)) => Ok(found),
            },
            RefFormat::Reftable | RefFormat::Other => self.ask_ref(name),
        }
    }

    /// Follows symbolic refs to an object: [`RefValue::Missing`] or [`RefValue::Oid`].
    ///
    /// # Errors
    /// As [`Repo::read_ref`]; also when a chain has more than five symbolic refs.
    pub fn resolve(&self, name: &RefName) -> Result<RefValue, RepoError> {
        let mut name = name.clone();
        for _ in 0..=DEPTH_MAX {
            match self.read_ref(&name)? {
                RefValue::Symref(next) => name = next,
                found @ (RefValue::Missing | RefValue::Oid(_)) => return Ok(found),
            }
        }
        Err(broken(&self.path_of(&name), "the chain of symbolic refs is too long"))
    }

    /// Returns the value to compare with a line of a transaction (see [`CurrentRef`]): an unreadable ref is
    /// unknown, and never an error, since that must refuse protected refs only.
    #[must_use]
    pub fn current(&self, line: &RefLine) -> CurrentRef {
        let value = match line.new {
            RefTarget::Oid(_) => self.resolve(&line.name),
            RefTarget::Zero | RefTarget::Symref(_) => self.read_ref(&line.name),
        };
        let wants_packed = matches!((&line.old, &line.new), (RefTarget::Oid(_), RefTarget::Zero))
            && self.ref_format == RefFormat::Files;
        let packed = if wants_packed { self.read_packed(&line.name).ok().flatten() } else { None };
        CurrentRef { value: value.ok().map(RefTarget::from), packed }
    }

    /// Returns whether deletions may come from `git pack-refs`; for `guard::RefContext`.
    ///
    /// A commit of another process holds `packed-refs.lock` for a moment too, so a lock that disappears soon
    /// is not the one that a real deletion holds until the hook has ended. Waits at most 25 ms, and only when
    /// a line requires it.
    #[must_use]
    pub fn prune_possible(&self, lines: &[RefLine]) -> bool {
        let could_be =
            |line: &RefLine| matches!((&line.old, &line.new), (RefTarget::Oid(_), RefTarget::Zero));
        if self.ref_format != RefFormat::Files || !lines.iter().any(could_be) {
            return false;
        }
        (0..25).any(|_| {
            let is_free = !self.packed_refs_locked();
            if !is_free {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            is_free
        })
    }

    /// Returns the branch that is checked out here, including one without a commit; `None` when HEAD is
    /// detached.
    ///
    /// # Errors
    /// As [`Repo::read_ref`].
    pub fn head_branch(&self) -> Result<Option<RefName>, RepoError> {
        let head = RefName::parse(b"HEAD").expect("HEAD is a name");
        match self.read_ref(&head)? {
            RefValue::Symref(name) => Ok(Some(name)),
            RefValue::Oid(_) | RefValue::Missing => Ok(None),
        }
    }

    /// Returns all branches, as git lists them; unreadable ones are left out.
    ///
    /// # Errors
    /// Git's error message.
    pub fn branches(&self) -> Result<Vec<RefName>, RepoError> {
        let args = ["for-each-ref", "--format=%(refname)", "refs/heads/"].map(OsStr::new);
        let listed = self.run_ok(self.plain_git(), &args)?;
        let lines = listed.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| RefName::parse(line).map_err(|e| broken(&self.common_dir, &e.to_string()))).collect()
    }

    /// Returns whether a rebase has stashed changes of this work tree.
    #[must_use]
    pub fn has_autostash(&self) -> bool {
        let there = |dir: &str| self.git_dir.join(dir).join("autostash").exists();
        there("rebase-merge") || there("rebase-apply")
    }

    /// Returns whether a rebase is in progress in this work tree.
    #[must_use]
    pub fn rebase_in_progress(&self) -> bool {
        self.git_dir.join("rebase-merge").is_dir() || self.git_dir.join("rebase-apply/rebasing").exists()
    }

    /// Returns the name of a git command in progress in this work tree, which the next commit would conclude.
    #[must_use]
    pub fn operation_in_progress(&self) -> Option<&'static str> {
        let there = |name: &str| self.git_dir.join(name).symlink_metadata().is_ok();
        let by_file =
            [("MERGE_HEAD", "merge"), ("CHERRY_PICK_HEAD", "cherry-pick"), ("REVERT_HEAD", "revert")];
        if self.rebase_in_progress() {
            return Some("rebase");
        }
        if there("rebase-apply") {
            return Some("am");
        }
        by_file.into_iter().find(|(file, _)| there(file)).map(|(_, name)| name)
    }

    /// Returns whether a process has locked `packed-refs`.
    #[must_use]
    pub fn packed_refs_locked(&self) -> bool {
        self.common_dir.join("packed-refs.lock").symlink_metadata().is_ok()
    }

    /// Returns the file of a loose ref.
    fn path_of(&self, name: &RefName) -> PathBuf {
        let text = name.as_str();
        let bytes = name.to_bytes();
        let per_worktree = |rest: &str| RefName::parse(rest.as_bytes()).is_ok_and(|n| n.is_per_worktree());
        if let Some(rest) = text.strip_prefix("main-worktree/").filter(|rest| per_worktree(rest)) {
            return self.common_dir.join(rest);
        }
        // The file of `worktrees/<id>/HEAD` is below the common directory.
        let base = if name.is_per_worktree() { &self.git_dir } else { &self.common_dir };
        base.join(OsStr::from_bytes(&bytes))
    }

    fn read_loose(&self, name: &RefName) -> Result<RefValue, RepoError> {
        let path = self.path_of(name);
        if let Ok(target) = std::fs::read_link(&path) {
            // A symbolic ref may be an old symbolic link, which git still reads.
            let target = target.into_os_string().into_vec();
            if let (true, Ok(name)) = (target.starts_with(b"refs/"), RefName::parse(&target)) {
                return Ok(RefValue::Symref(name));
            }
        }
        let text = match read_head(&path) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Ok(RefValue::Missing),
            Err(error) => return Err(io_error(&path)(error)),
        };
        if let Some(target) = text.strip_prefix(b"ref:") {
            let target = RefName::parse(target.trim_ascii()).map_err(|e| broken(&path, &e.to_string()))?;
            return Ok(RefValue::Symref(target));
        }
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let oid = Oid::parse(&text[..end]).map_err(|e| broken(&path, &e.to_string()))?;
        // Git also treats a file of zeros as broken.
        if oid.is_zero() { Err(broken(&path, "it holds zeros")) } else { Ok(RefValue::Oid(oid)) }
    }

    /// Returns the value of a ref in `packed-refs`, regardless of its loose file.
    ///
    /// # Errors
    /// When the file cannot be read or parsed.
    pub fn read_packed(&self, name: &RefName) -> Result<Option<Oid>, RepoError> {
        let path = self.common_dir.join("packed-refs");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path)(error)),
        };
        let packed = PackedRefsSearch { file: &file, name: &name.to_bytes() };
        match packed.find().map_err(io_error(&path))? {
            Ok(found) => Ok(found),
            Err(why) => Err(broken(&path, &why)),
        }
    }

    /// Reads a ref by running git, for stores other than files: first whether it is symbolic, then its
    /// object, since no single command answers both for an exact name.
    fn ask_ref(&self, name: &RefName) -> Result<RefValue, RepoError> {
        let bytes = name.to_bytes();
        let name = OsStr::from_bytes(&bytes);
        let mut command = self.plain_git();
        let args = [OsStr::new("symbolic-ref"), OsStr::new("-q"), name];
        command.args(args);
        let output = self.run(command)?;
        if output.status.success() {
            let target = RefName::parse(output.stdout.trim_ascii_end());
            return target.map(RefValue::Symref).map_err(|e| broken(&self.common_dir, &e.to_string()));
        }
        if output.status.code() != Some(1) {
            return Err(failure(&args, &output));
        }
        if bytes.starts_with(b"refs/") || bytes == b"HEAD" {
            self.ask_shared(name)
        } else {
            self.ask_private(name)
        }
    }

    /// Returns the object of a ref below `refs/`, or of HEAD.
    fn ask_shared(&self, name: &OsStr) -> Result<RefValue, RepoError> {
        let args = ["show-ref", "--verify", "--hash", "--"].map(OsStr::new);
        let mut command = self.plain_git();
        command.args(args).arg(name);
        let output = self.run(command)?;
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => self.answered(&output.stdout),
            false if said.contains("not a valid ref") => Ok(RefValue::Missing),
            false => Err(failure(&args, &output)),
        }
    }

    /// Returns the object of another work tree's ref or of a pseudo ref, which `show-ref` does not know.
    /// `rev-parse` also tries branches and tags of that name, so its full name is checked first.
    fn ask_private(&self, name: &OsStr) -> Result<RefValue, RepoError> {
        for question in ["--symbolic-full-name", "--verify"] {
            let args = ["rev-parse", "-q", "--verify", question].map(OsStr::new);
            let mut command = self.plain_git();
            command.args(args).arg(name);
            let output = self.run(command)?;
            let answer = output.stdout.trim_ascii_end();
            match output.status.code() {
                Some(0) if question == "--verify" => return self.answered(answer),
                Some(0) if answer == name.as_bytes() => {}
                Some(0 | 1) => return Ok(RefValue::Missing),
                Some(_) | None => return Err(failure(&args, &output)),
            }
        }
        Ok(RefValue::Missing)
    }

    fn answered(&self, stdout: &[u8]) -> Result<RefValue, RepoError> {
        let oid = Oid::parse(stdout.trim_ascii_end());
        oid.map(RefValue::Oid).map_err(|error| broken(&self.common_dir, &error.to_string()))
    }
}

/// Reads the beginning of a loose ref: more bytes than any valid ref has.
fn read_head(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut text = Vec::new();
    File::open(path)?.take(LINE_BYTES + 64).read_to_end(&mut text)?;
    Ok(text)
}

/// One search in an open `packed-refs`; git replaces that file by rename, so the open file does not change.
struct PackedRefsSearch<'a> {
    file: &'a File,
    name: &'a [u8],
}

type LookupResult = Result<Option<Oid>, String>;

impl PackedRefsSearch<'_> {
    fn read(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let len = usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.file.read_at(&mut bytes[filled..], from + filled as u64)? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn find(&self) -> io::Result<LookupResult> {
        let end = self.file.metadata()?.len();
        let head = self.read(0, end.min(LINE_BYTES))?;
        let first = head.iter().position(|b| *b == b'\n').map_or(head.len(), |i| i + 1);
        let is_sorted = head.starts_with(b"# pack-refs with:")
            && head[..first].trim_ascii().split(|b| *b == b' ').any(|word| word == b"sorted");
        if is_sorted {
            return self.search(first as u64, end);
        }
        Ok(scan(&self.read(0, end)?, self.name))
    }

    /// Bisects the range in which a record with this name would begin, then scans it. A record begins at
    /// `low`, and no candidate at or after `high`.
    fn search(&self, mut low: u64, mut high: u64) -> io::Result<LookupResult> {
        let end = high;
        while high - low > SCAN_BYTES {
            let middle = low + (high - low) / 2;
            // From one byte earlier: a line end there means that a record begins at the middle itself.
            let bytes = self.read(middle - 1, end.min(middle + 3 * LINE_BYTES))?;
            match record_after(&bytes) {
                Some((at, name)) if middle - 1 + (at as u64) < high => {
                    let at = middle - 1 + at as u64;
                    if name <= self.name { low = at } else { high = at }
                }
                Some(_) | None => high = middle,
            }
        }
        Ok(scan(&self.read(low, end.min(high + LINE_BYTES))?, self.name))
    }
}

/// Returns where the first record after the first line end begins, and its name.
fn record_after(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut at = bytes.iter().position(|b| *b == b'\n')? + 1;
    loop {
        let line = &bytes[at..];
        let len = line.iter().position(|b| *b == b'\n')?;
        if line[0] != b'^' {
            let blank = line[..len].iter().position(|b| *b == b' ')?;
            return Some((at, &line[blank + 1..len]));
        }
        at += len + 1;
    }
}

/// Scans whole lines for a name; a partial line at the end is ignored.
fn scan(bytes: &[u8], name: &[u8]) -> LookupResult {
    for line in bytes.split_inclusive(|b| *b == b'\n').filter_map(|line| line.strip_suffix(b"\n")) {
        if line.len() > name.len() && line.ends_with(name) && line[line.len() - name.len() - 1] == b' ' {
            let oid = &line[..line.len() - name.len() - 1];
            return Oid::parse(oid).map(Some).map_err(|error| error.to_string());
        }
    }
    Ok(None)
}
