//! Git repositories: finding them, and running git in them. Uses no libgit2: it refuses repositories that git
//! itself opens, and a guard that depends on it would either block all work in them or check nothing
//! (docs/decisions.md D47).
//!
//! Discovery and refs in files are read by our own code, so that the common case starts no process;
//! everything else is read by running git.
//!
//! Limitations: `safe.directory` and `safe.bareRepository` are git's to enforce, not ours;
//! `includeIf` is not needed for discovery, since git ignores includes there too.

pub mod anchors;
pub mod commit_info;
pub mod config;
pub mod diff;
pub mod discover;
pub mod own_refs;
pub mod ref_snapshot;
pub mod refs;
pub mod rescue;
pub mod stale_locks;
pub mod unstage;
pub mod worktree_status;
pub mod worktrees;

mod dirty;
mod ini;
mod reflog_restore;
mod stdin;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use crate::adapters::git::discover::discover;
use crate::adapters::git::own_refs::OwnRefRecorder;

/// Git's environment variables, read by `cli::env` and passed in.
#[derive(Clone, Debug, Default)]
pub struct GitEnv {
    /// `GIT_DIR`.
    pub git_dir: Option<PathBuf>,
    /// `GIT_COMMON_DIR`.
    pub common_dir: Option<PathBuf>,
    /// `GIT_WORK_TREE`.
    pub work_tree: Option<PathBuf>,
    /// `GIT_CEILING_DIRECTORIES`.
    pub ceiling_directories: Option<OsString>,
    /// `GIT_INDEX_FILE`.
    pub index_file: Option<PathBuf>,
    /// The git to run; `git` on PATH when not given (in a hook: the git that runs the hook).
    pub program: Option<PathBuf>,
    /// More variables for each git process, overriding those of this process.
    pub variables: Vec<(OsString, OsString)>,
}

/// How refs are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefFormat {
    /// One file for each ref, and `packed-refs`.
    Files,
    /// Reftable.
    Reftable,
    /// A newer format, read by running git.
    Other,
}

/// The hash algorithm of object ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectFormat {
    /// 40 hex digits.
    Sha1,
    /// 64 hex digits.
    Sha256,
}

impl ObjectFormat {
    /// Returns the id of the empty tree, which git knows in every repository.
    #[must_use]
    pub fn empty_tree(self) -> &'static str {
        match self {
            Self::Sha1 => "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
            Self::Sha256 => "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
        }
    }
}

/// A repository.
#[derive(Clone, Debug)]
pub struct Repo {
    /// The git directory of this work tree; absolute, without links.
    pub git_dir: PathBuf,
    /// The directory that all work trees share; absolute, without links. Our state is below it.
    pub common_dir: PathBuf,
    /// The root of the work tree; `None` in a bare repository and inside a git directory.
    pub work_tree: Option<PathBuf>,
    /// Whether the repository has no main work tree.
    pub bare: bool,
    /// How refs are stored.
    pub ref_format: RefFormat,
    /// How objects are named.
    pub object_format: ObjectFormat,
    program: PathBuf,
    variables: Vec<(OsString, OsString)>,
    own_refs: Option<OwnRefRecorder>,
}

/// Why a repository operation failed.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {
    /// No repository was found.
    #[error(
        "{} is not inside a git repository; go to one, name it with --repo PATH, or make one with: git init",
        .start.display()
    )]
    NotARepository {
        /// The directory where the search started.
        start: PathBuf,
    },
    /// A repository that git would not open.
    #[error("{} is damaged: {why}; see what git reports with: git -C {} status", .path.display(), .path.display())]
    Broken {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file could not be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Git ran and failed.
    #[error("`git {what}` failed: {said}")]
    Git {
        /// The subcommand and its first arguments.
        what: String,
        /// Its exit code; `None` when a signal ended it.
        code: Option<i32>,
        /// Its error message, on one line.
        said: String,
    },
    /// Git could not be started.
    #[error("cannot start {}; is git installed and on PATH?", .program.display())]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// Variables that would make git read something other than what it is asked about.
const NOT_PASSED_ON: [&str; 12] = [
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
];

impl Repo {
    /// Builds a git command for exactly this repository: it takes no optional lock, follows no replaced
    /// objects, never prompts, and answers in English. Object directories (a quarantine) stay.
    fn git(&self) -> Command {
        let mut command = Command::new(&self.program);
        for name in NOT_PASSED_ON {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("GIT_DIR", &self.git_dir);
        if let Some(work_tree) = &self.work_tree {
            command.env("GIT_WORK_TREE", work_tree);
        }
        for (name, value) in [
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C"),
        ] {
            command.env(name, value);
        }
        command.current_dir(self.work_tree.as_ref().unwrap_or(&self.git_dir));
        command.stdin(Stdio::null());
        command
    }

    /// Builds a git command without what `git -c` and its variables add: checks must not be changed by the
    /// caller of git.
    fn plain_git(&self) -> Command {
        let mut command = self.git();
        for name in ["GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_CONFIG"] {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, mut command: Command) -> Result<Output, RepoError> {
        command.output().map_err(|source| RepoError::NotStarted { program: self.program.clone(), source })
    }

    /// Runs git and returns its output.
    fn run_ok(&self, mut command: Command, args: &[&OsStr]) -> Result<Vec<u8>, RepoError> {
        command.args(args);
        let output = self.run(command)?;
        if output.status.success() { Ok(output.stdout) } else { Err(failure(args, &output)) }
    }
}

/// Returns git's error message, on one line and sanitised for a terminal.
fn failure(args: &[&OsStr], output: &Output) -> RepoError {
    let what: Vec<_> = args.iter().take(3).map(|arg| arg.to_string_lossy()).collect();
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    let said = crate::domain::util::sanitize::line(&lines.join("; "));
    RepoError::Git {
        what: crate::domain::util::sanitize::line(&what.join(" ")),
        code: output.status.code(),
        said: if said.is_empty() { output.status.to_string() } else { said },
    }
}

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> RepoError {
    move |source| RepoError::Io { path: path.to_owned(), source }
}
