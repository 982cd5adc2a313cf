//! `cmw-rescue`: its arguments, the lookup of the rescue that is named, and the list of all.

pub mod apply;
pub mod show;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use crate::adapters::git::rescue::list::{Rescue, RescueContent, TreeChange};
use crate::adapters::git::{Repo, RepoError};
use crate::adapters::os::clock;
use crate::domain::command::Command;
use crate::domain::rescue::note::{PREFIX, SkippedPath};
use crate::domain::util::path_encoding;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::{Failure, with_causes};
use crate::app::exit::Exit;
use crate::app::workspace;
use crate::cli::Common;
use crate::cli::output::Style;

/// Restore work that was left uncommitted
///
/// When a holder of the write lock crashes, or its lease expires, all uncommitted work in its work tree is
/// saved before the next holder gets the lock. The files themselves stay as they are.
#[derive(Parser, Debug)]
#[command(name = "cmw-rescue", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List the rescues, newest first
    List,
    /// Show the content of a rescue
    Show {
        /// Its name, a unique prefix of it, or a role (its newest)
        rescue: String,
        /// Print the diff against the commit the work is based on
        #[arg(long)]
        patch: bool,
        /// Only these files, and everything below these directories
        paths: Vec<PathBuf>,
    },
    /// Write the saved files into this work tree; the index stays as it is
    Apply {
        /// Its name, a unique prefix of it, or a role (its newest)
        rescue: String,
        /// Only these files, and everything below these directories
        paths: Vec<PathBuf>,
        /// Where a file has changed since, write the saved one beside it, as NAME.rescued
        #[arg(long)]
        copies: bool,
    },
    /// Give up work that cannot be saved, so that the lock can be granted (Orchestrator and User only)
    Abandon {
        /// Why; recorded
        #[arg(long, value_parser = crate::cli::freeze::parse_reason)]
        reason: String,
    },
}

/// Runs `cmw-rescue`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    if let Verb::Abandon { reason } = &cli.verb {
        return abandon(env, cli, reason);
    }
    let repo = workspace::find_repo(env, cli.common.repo.as_ref())?;
    let all = repo.rescues().map_err(git_failed)?;
    match &cli.verb {
        Verb::List => Ok(list(&all)),
        Verb::Show { rescue, patch, paths } => {
            let chosen = SelectedRescue::new(&repo, &all, rescue)?;
            let paths = from_root(env, &repo, paths)?;
            if *patch {
                show::patch(&repo, &chosen, &paths, env.stdout_is_terminal, cli.common.json)
            } else {
                show::show(&repo, &chosen, &paths)
            }
        }
        Verb::Apply { rescue, paths, copies } => {
            let chosen = SelectedRescue::new(&repo, &all, rescue)?;
            let typed = apply::ApplyArgs { paths, from_root: from_root(env, &repo, paths)?, copies: *copies };
            apply::apply(&repo, &chosen, &typed)
        }
        Verb::Abandon { reason } => abandon(env, cli, reason),
    }
}

/// Gives up work that cannot be saved: it must not block the lock for ever.
fn abandon(env: &Env, cli: &Cli, reason: &str) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let caller = context.caller(&context.state()?)?;
    let done = context.publish(&caller, &Command::AbandonRescue { reason: reason.to_owned() })?;
    done.outcome?;
    let text = format!(
        "given up: {reason}; {}",
        crate::cli::lock::show::lock_line(&done.state, &context.facts(&done.state))
    );
    Ok(Answer::done(json!({"abandoned": true}), text).noting("files in the work tree were not touched"))
}

/// Converts a git error to a [`Failure`].
pub(crate) fn git_failed(error: RepoError) -> Failure {
    Failure::with_next_step(Exit::Unavailable, with_causes(&error), "cmw-doctor")
}

/// The rescue that was named, and what it changes.
pub(crate) struct SelectedRescue<'a> {
    pub(crate) rescue: &'a Rescue,
    pub(crate) content: &'a RescueContent,
    pub(crate) changes: Vec<TreeChange>,
}

impl<'a> SelectedRescue<'a> {
    fn new(repo: &Repo, all: &'a [Rescue], name: &str) -> Result<Self, Failure> {
        let rescue = find(all, name)?;
        let content = rescue.content.as_ref().map_err(|why| {
            let next = format!("git show {}", word(&path_encoding::from_text(&rescue.ref_name())));
            Failure::with_next_step(Exit::Refused, format!("{} is not a rescue: {why}", shown(rescue)), &next)
        })?;
        let changes = repo.tree_changes(content.base.as_ref(), &content.commit).map_err(|error| {
            let what = format!("{} cannot be read completely: {}", shown(rescue), with_causes(&error));
            Failure::with_next_step(Exit::Damaged, what, "git fsck --no-dangling")
        })?;
        Ok(Self { rescue, content, changes })
    }

    /// Its name, quoted for a command line.
    pub(crate) fn word(&self) -> String {
        word(&path_encoding::from_text(&self.rescue.name))
    }

    /// Returns the changes at or below the given paths; all if none is given.
    ///
    /// # Errors
    /// A usage failure when a path matches no change.
    pub(crate) fn wanted(changes: &[TreeChange], paths: &[Vec<u8>]) -> Result<Vec<TreeChange>, Failure> {
        let is_below = |path: &[u8], at: &[u8]| {
            at.is_empty() || path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        for at in paths {
            if !changes.iter().any(|change| is_below(&change.path, at)) {
                return Err(Failure::usage(format!("the rescue has no change at {}", path_shown(at))));
            }
        }
        let is_wanted =
            |change: &&TreeChange| paths.is_empty() || paths.iter().any(|at| is_below(&change.path, at));
        Ok(changes.iter().filter(is_wanted).cloned().collect())
    }
}

/// Finds the rescue by its full name, by its role, or by a unique prefix of its name.
fn find<'a>(all: &'a [Rescue], name: &str) -> Result<&'a Rescue, Failure> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name).trim_end_matches('/');
    if let Some(found) = all.iter().find(|rescue| rescue.name == name) {
        return Ok(found);
    }
    // They are sorted, and refs that are not rescues come last.
    let is_its = |rescue: &&Rescue| {
        let role = rescue.content.as_ref().map_or("", |content| content.note.role.as_str());
        let dir = rescue.name.split_once('/').map_or("", |(dir, _)| dir);
        [role, dir].iter().any(|role| role.eq_ignore_ascii_case(name))
    };
    if let Some(newest) = all.iter().find(is_its) {
        return Ok(newest);
    }
    let mut begins = all.iter().filter(|rescue| !name.is_empty() && rescue.name.starts_with(name));
    match (begins.next(), begins.next()) {
        (Some(found), None) => Ok(found),
        (Some(one), Some(other)) => {
            let what = format!(
                "{} could be {}, {}{}",
                sanitize::line(name),
                shown(one),
                shown(other),
                more(begins.count())
            );
            Err(Failure::with_next_step(Exit::Usage, what, "cmw-rescue list"))
        }
        (None, _) => {
            let what = format!("no rescue is named {}", sanitize::line(name));
            Err(Failure::with_next_step(Exit::Usage, what, "cmw-rescue list"))
        }
    }
}

fn more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}

/// Its name, for a terminal.
pub(crate) fn shown(rescue: &Rescue) -> String {
    path_encoding::shown(&rescue.name)
}

/// Formats a path for a terminal.
pub(crate) fn path_shown(path: &[u8]) -> String {
    if path.is_empty() { ".".to_owned() } else { path_encoding::shown(&path_encoding::to_text(path)) }
}

/// Returns a word of a command line that can be copied.
pub(crate) fn word(bytes: &[u8]) -> String {
    let shown = path_shown(bytes);
    match shlex::try_quote(&shown) {
        Ok(word) => word.into_owned(),
        Err(_) => shown.clone(),
    }
}

/// Paths from the command line, relative to the root of the work tree.
fn from_root(env: &Env, repo: &Repo, paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let Some(root) = &repo.work_tree else {
        return Ok(paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect());
    };
    // With --repo the working directory may be elsewhere; then paths begin at the root.
    let cwd = env.cwd.as_deref().filter(|cwd| cwd.starts_with(root)).unwrap_or(root);
    let one = |path: &PathBuf| {
        let whole = plain(&cwd.join(path));
        let below = whole.strip_prefix(root).map_err(|_| {
            Failure::usage(format!("{} is outside of the work tree", path_shown(path.as_os_str().as_bytes())))
        })?;
        Ok(below.as_os_str().as_bytes().to_vec())
    };
    paths.iter().map(one).collect()
}

/// Returns a path without `.` and `..`; links are not resolved.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

/// Formats a number of files.
pub(crate) fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// Returns the reason of the rescue, and the lock that was lost.
pub(crate) fn reason(content: &RescueContent) -> String {
    let note = &content.note;
    let lock = note.lock.as_ref().map(|lock| format!(" ({lock})")).unwrap_or_default();
    let why = if note.reason.is_empty() { "no reason given" } else { &note.reason };
    sanitize::line(&format!("{why}{lock}"))
}

fn list(all: &[Rescue]) -> Answer {
    let now = clock::now().wall;
    let row = |rescue: &Rescue| match &rescue.content {
        Ok(content) => {
            let count = content.note.files.map_or("? files".to_owned(), files);
            let age = rescue.made.map_or("?".to_owned(), |made| human(now.ms_since(made)));
            [shown(rescue), count, format!("{age} ago"), reason(content)]
        }
        Err(why) => [shown(rescue), "not a rescue".to_owned(), String::new(), sanitize::line(why)],
    };
    let rows: Vec<[String; 4]> = all.iter().map(row).collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let lines = rows.iter().map(|[name, count, age, why]| {
        format!("{name:0$}  {count:1$}  {age:2$}  {why}", widths[0], widths[1], widths[2])
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let data = json!({"rescues": all.iter().map(data).collect::<Vec<_>>()});
    match all.iter().find(|rescue| rescue.content.is_ok()) {
        Some(newest) => {
            let next = format!("cmw-rescue show {}", word(&path_encoding::from_text(&newest.name)));
            let mut answer = Answer::done(data, text).noting(format!("next: {next}"));
            answer.hint = Some(next);
            answer
        }
        None if all.is_empty() => Answer::done(data, "no rescues"),
        None => Answer::done(data, text),
    }
}

/// Returns a rescue as JSON.
pub(crate) fn data(rescue: &Rescue) -> Value {
    let made = rescue.made.map(|made| made.to_string());
    match &rescue.content {
        Ok(content) => json!({
            "name": rescue.name,
            "ref": rescue.ref_name(),
            "made": made,
            "commit": content.commit,
            "base": content.base,
            "role": content.note.role,
            "reason": content.note.reason,
            "lock": content.note.lock,
            "work_tree": content.note.work_tree,
            "files": content.note.files,
            "not_saved": content.note.skipped.iter().map(skipped).collect::<Vec<_>>(),
        }),
        Err(why) => json!({"name": rescue.name, "ref": rescue.ref_name(), "made": made, "problem": why}),
    }
}

fn skipped(skipped: &SkippedPath) -> Value {
    json!({"path": path_encoding::to_text(&skipped.path), "why": skipped.why})
}
