//! `cmw-commit`: acquires the lock, commits exactly these files, and releases the lock, in one call.
//!
//! Invariants (each has a test of the same name in `tests/fast/lock/commit.rs`):
//! * `only_the_named_files_are_committed`: other changes staged in the shared index stay staged.
//! * `killed_half_way_it_leaves_no_lock_and_loses_nothing`

mod report;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;

use clap::Parser;

use crate::adapters::git::worktree_status::{ChangedFile, ChangedFileState};
use crate::adapters::os::process;
use crate::domain::audit::taint;
use crate::domain::command::{Caller, Command, Reply};
use crate::domain::guard::git_ref::RefName;
use crate::domain::guard::permission::{Evidence, Known, Movement, Stop, judge};
use crate::domain::guard::ref_rules::{RefContext, RefVerdict, of_a_commit};
use crate::domain::guard::retry_command::commit_only;
use crate::domain::lock::checks::Owners;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::request::{LockRequest, PURPOSE_CHARS_MAX};
use crate::domain::mail::priority::Priority;
use crate::domain::policy::mode::Mode;
use crate::domain::state::State;
use crate::domain::util::path_encoding::to_text;
use crate::domain::util::sanitize;
use crate::domain::util::time::parse_duration_ms;

use crate::adapters::os::stdio::write_err;
use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::{Failure, git_failure};
use crate::app::exit::Exit;
use crate::app::guard::ownership;
use crate::app::lock::wait::wait_for;
use crate::app::rescue::save;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::lock::run::{lease_belongs_to, run_child, wait_timed_out};
use crate::cli::output::Style;

/// The longest message from standard input, in bytes.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Commit exactly these files under the write lock, then release it
///
/// New files are included; other staged changes stay staged. While another role has the lock it waits; when
/// the time is over the place in the queue stays, and you are told when it is your turn.
#[derive(Parser, Clone, Debug)]
#[command(name = "cmw-commit", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// The message (repeat it for more paragraphs)
    #[arg(long, short, value_name = "TEXT", required_unless_present = "file")]
    message: Vec<String>,
    /// Read the message from a file, or from standard input (-)
    #[arg(long, short = 'F', value_name = "FILE", conflicts_with = "message")]
    file: Option<OsString>,
    /// Wait this long for the lock
    #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "90s")]
    wait: u64,
    /// critical, high, normal or low
    #[arg(long, default_value = "normal")]
    priority: Priority,
    /// What to commit: files, directories, or git's patterns
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
}

/// Runs `cmw-commit`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    let caller = context.caller(&state)?;
    let cli = &Cli { paths: meant(&here(&context)?, &cli.paths), ..cli.clone() };
    let pending = wanted(&context, cli)?;
    let needs_lock = permitted(&context, &state, &caller, cli, &pending)?;
    let message = Message::of(&context, cli)?;
    if !needs_lock {
        let id = commit(&context, &message, &caller, &pending, state.policy.lock.lease_ms)?;
        return Ok(report::answer(&context, cli, &id, &pending, None));
    }
    let request = request(&context, cli, &pending);
    let next_token = state.held().is_none().then_some(state.last.token + 1);
    // The lease is bound to this process: the kernel reports its end.
    let me = process::current();
    let (reply, state) = wait_for(&context, &caller, &request, cli.wait, Some(&me), cli.common.quiet)?;
    let held = match reply {
        Reply::Granted(held) | Reply::Renewed(held) => held,
        Reply::Queued { place, .. } => {
            // When it is its turn, the same command is typed again.
            let failure = wait_timed_out(&context, &state, place);
            return Err(failure.with_next(again(&context, cli, &pending)));
        }
        Reply::Done | Reply::Released { .. } => {
            return Err(Failure::with_next_step(Exit::Bug, "an unexpected answer", "cmw-doctor"));
        }
    };
    let holder = Caller { actor: held.holder.clone(), process: held.process.clone() };
    let was_free = next_token == Some(held.token);
    let committed = if was_free {
        commit(&context, &message, &holder, &pending, state.policy.lock.lease_ms)
            .map(|id| (id, pending.clone()))
    } else {
        under_the_lock(&context, cli, &message, &holder, &pending)
    };
    if held.process == me && lease_belongs_to(&context, &me) {
        // A lease that was ended in the meantime is no longer ours to release; the commit stays.
        if let Err(failure) = context.transact(&holder, &Command::Release { token: Some(held.token) }) {
            write_err(&failure.text());
        }
    }
    let (id, pending) = committed?;
    Ok(report::answer(&context, cli, &id, &pending, Some(&held)))
}

/// Checks again, because others have had the lock since this command checked, and commits what is left of
/// what was claimed.
fn under_the_lock(
    context: &Context<'_>,
    cli: &Cli,
    message: &Message,
    holder: &Caller,
    claimed: &[ChangedFile],
) -> Result<(String, Vec<ChangedFile>), Failure> {
    let state = context.state()?;
    let mut pending = wanted(context, cli)?;
    pending.retain(|p| claimed.iter().any(|c| c.path == p.path));
    if pending.is_empty() {
        return Err(nothing_there());
    }
    permitted(context, &state, holder, cli, &pending)?;
    let id = commit(context, message, holder, &pending, state.policy.lock.lease_ms)?;
    Ok((id, pending))
}

fn request(context: &Context<'_>, cli: &Cli, pending: &[ChangedFile]) -> LockRequest {
    let files: Vec<&[u8]> = pending.iter().map(|p| p.path.as_slice()).collect();
    LockRequest {
        files: Claim::exactly(&files),
        purpose: purpose(cli),
        estimate_ms: None,
        loc: None,
        priority: cli.priority,
        work_tree: context.work_tree_name(),
        guessed: false,
    }
}

/// Makes the names of existing files literal; other names may be patterns.
fn meant(here: &Path, paths: &[OsString]) -> Vec<OsString> {
    let literal = |path: &OsString| {
        let special = path.as_encoded_bytes().iter().any(|b| b"*?[:\\".contains(b));
        if !special || here.join(path).symlink_metadata().is_err() {
            return path.clone();
        }
        let mut literal = OsString::from(":(literal)");
        literal.push(path);
        literal
    };
    paths.iter().map(literal).collect()
}

/// The source of the message. Standard input is read at once: git's own carries the paths.
enum Message {
    Words(Vec<String>),
    File(OsString),
    Kept(std::fs::File),
}

impl Message {
    fn of(context: &Context<'_>, cli: &Cli) -> Result<Self, Failure> {
        let Some(file) = &cli.file else { return Ok(Self::Words(cli.message.clone())) };
        if file != "-" {
            let cwd = context.env.cwd.clone().unwrap_or_default();
            return Ok(Self::File(cwd.join(file).into_os_string()));
        }
        let mut bytes = Vec::new();
        let mut stdin = std::io::stdin().lock().take(MESSAGE_BYTES_MAX + 1);
        stdin.read_to_end(&mut bytes).map_err(|e| {
            Failure::with_next_step(
                Exit::Unavailable,
                format!("cannot read the message: {e}"),
                "cmw-commit --help",
            )
        })?;
        if bytes.len() as u64 > MESSAGE_BYTES_MAX {
            let what = "the message is larger than 1 MiB; nothing was committed";
            return Err(Failure::with_next_step(Exit::Usage, what, "cmw-commit --help"));
        }
        Ok(Self::Kept(in_memory(&bytes)?))
    }

    fn tell(&self, git: &mut std::process::Command) {
        let path = match self {
            Self::Words(words) => {
                git.args(words.iter().flat_map(|word| ["-m", word.as_str()]));
                return;
            }
            Self::File(file) => file.clone(),
            Self::Kept(file) => format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into(),
        };
        git.arg("-F").arg(path);
    }
}

/// Returns the same command, when it is short enough to be typed.
fn again(context: &Context<'_>, cli: &Cli, pending: &[ChangedFile]) -> Option<String> {
    let [message] = &cli.message[..] else { return None };
    let files: Vec<String> = pending.iter().map(|p| to_text(&p.path)).collect();
    commit_only(Some(message), &files, &prefix(context))
}

/// Returns the directory to which typed paths are relative, from the root; empty at the root itself.
fn prefix(context: &Context<'_>) -> String {
    let here = here(context).ok();
    let from_root = here.and_then(|here| context.repo.from_root(&here, OsStr::new("")));
    from_root.map(|path| to_text(&path)).unwrap_or_default()
}

/// Returns the first line of the message, as far as it is known beforehand.
fn purpose(cli: &Cli) -> String {
    let first = cli.message.first().and_then(|message| message.lines().next()).unwrap_or("git commit");
    sanitize::shorten(&sanitize::line(first), PURPOSE_CHARS_MAX)
}

/// Returns the files that the paths name and that differ from the last commit.
fn wanted(context: &Context<'_>, cli: &Cli) -> Result<Vec<ChangedFile>, Failure> {
    let here = here(context)?;
    let pending = context.repo.changed_files(&here, &cli.paths).map_err(|e| git_failure(&e))?;
    for path in &cli.paths {
        let from_root = context.repo.from_root(&here, path).unwrap_or_default();
        let is_meant = |p: &ChangedFile| is_below(&p.path, &from_root);
        let is_pattern = path.as_encoded_bytes().iter().any(|b| b"*?[:".contains(b));
        if !is_pattern && here.join(path).symlink_metadata().is_err() && !pending.iter().any(is_meant) {
            let what = format!("there is no file {}", sanitize::line(&path.to_string_lossy()));
            return Err(Failure::with_next_step(Exit::Usage, what, "git status --short"));
        }
    }
    if let Some(conflict) = pending.iter().find(|p| p.state == ChangedFileState::Unmerged) {
        let what =
            format!("{} has conflicts: nothing was committed", sanitize::line(&to_text(&conflict.path)));
        return Err(Failure::with_next_step(Exit::Refused, what, "git status"));
    }
    if pending.is_empty() {
        return Err(nothing_there());
    }
    if let Some(what) = context.repo.operation_in_progress().filter(|what| *what != "rebase") {
        let what = format!("a {what} is in progress in this work tree, and git commits no single paths then");
        return Err(Failure::with_next_step(Exit::Refused, what, "git status"));
    }
    Ok(pending)
}

/// Returns whether a path is this file, or is below this directory; an empty name is the root.
fn is_below(path: &[u8], dir: &[u8]) -> bool {
    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
    let rest = path.strip_prefix(dir);
    dir.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn nothing_there() -> Failure {
    let what = "nothing to commit there: unchanged since the last commit, or ignored";
    Failure::with_next_step(Exit::Refused, what, "git status --short --ignored")
}

/// Returns the directory to which paths are relative.
fn here(context: &Context<'_>) -> Result<std::path::PathBuf, Failure> {
    let root = context.repo.work_tree.as_ref().ok_or_else(|| {
        Failure::with_next_step(
            Exit::Config,
            "there is no work tree here to commit from",
            "cmw-commit --help",
        )
    })?;
    let cwd = context.env.cwd.as_ref().and_then(|cwd| cwd.canonicalize().ok());
    // With --repo, or from outside of the work tree, paths are relative to its root.
    Ok(cwd.filter(|cwd| cwd.starts_with(root)).unwrap_or_else(|| root.clone()))
}

/// Runs the sequence of checks before the lock is requested, as the hooks will once more; returns whether the
/// lock is needed: whether a commit here moves a protected branch. Warnings are left to the hooks.
fn permitted(
    context: &Context<'_>,
    state: &State,
    caller: &Caller,
    cli: &Cli,
    pending: &[ChangedFile],
) -> Result<bool, Failure> {
    let branch = context.repo.head_branch().map_err(|e| git_failure(&e))?;
    let verdict = branch.clone().map_or(RefVerdict::Pseudo, |branch| {
        let ctx = RefContext {
            own_role: caller.actor.role(),
            mode: state.policy.mode,
            protect: &state.policy.protect,
            prune_possible: false,
        };
        of_a_commit(branch, &ctx)
    });
    let tainted = branch.and_then(|branch| taint::may_land_on(state, branch.as_str()).err());
    let paths: Vec<Vec<u8>> = pending.iter().map(|p| p.path.clone()).collect();
    let known = Known {
        violation: Evidence::Known(tainted),
        owners: Evidence::Known(others(context, state, caller, cli, &paths)?),
        paths: Evidence::Known(paths),
        ..Known::default()
    };
    let movement = Movement { strict_owners: true, ..Movement::new(verdict, "committing").taking_the_lock() };
    match judge(state, caller, &context.facts(state), &movement, &known).permit {
        Ok(_) => Ok(verdict.needs_lock()),
        Err(Stop::Refused(refusal)) => {
            context.note_refusal(caller, "commit", &refusal);
            let message = cli.message.first().map(String::as_str);
            let next = refusal.own_files().and_then(|own| commit_only(message, own, &prefix(context)));
            Err(Failure::from(refusal).with_next(next))
        }
        Err(Stop::Needs(need)) => {
            Err(Failure::with_next_step(Exit::Bug, format!("{need:?} is not known"), "cmw-doctor"))
        }
    }
}

/// Returns the owners of the files that a directory or a pattern includes; a file that is named is intended.
fn others(
    context: &Context<'_>,
    state: &State,
    caller: &Caller,
    cli: &Cli,
    paths: &[Vec<u8>],
) -> Result<Owners, Failure> {
    let Some(root) = context.repo.work_tree.as_ref().filter(|_| state.policy.mode == Mode::Shared) else {
        return Ok(Owners::new());
    };
    let here = here(context)?;
    let named: BTreeSet<Vec<u8>> =
        cli.paths.iter().filter_map(|path| context.repo.from_root(&here, path)).collect();
    let mut owners = ownership::owners(context.store.disk(), root, state, &caller.actor, paths);
    owners.retain(|path, _| !named.contains(path));
    Ok(owners)
}

/// Commits the files; returns the new commit. If git fails, it does not know new files afterwards, as before.
fn commit(
    context: &Context<'_>,
    message: &Message,
    holder: &Caller,
    pending: &[ChangedFile],
    lease_ms: u64,
) -> Result<String, Failure> {
    let new: Vec<Vec<u8>> =
        pending.iter().filter(|p| p.state == ChangedFileState::New).map(|p| p.path.clone()).collect();
    let failed = |failure: Failure| {
        // As before: git does not know them.
        let _ = context.repo.unstage(&new);
        failure
    };
    if !new.is_empty() {
        save::wait_for_the_index(context)?;
        // An entry without content: a plain commit by another role does not include it.
        let mut add = context.repo.git_for_files();
        add.args(["add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul"]);
        add.stdin(paths_file(new.iter().map(Vec::as_slice))?);
        let status = add.status().map_err(cannot_run)?;
        if !status.success() {
            return Err(failed(Failure::with_next_step(
                Exit::Refused,
                "git could not add the new files",
                "git status",
            )));
        }
    }
    let mut git = context.repo.git_for_files();
    save::wait_for_the_index(context)?;
    git.args(["commit", "--quiet", "--only", "--pathspec-from-file=-", "--pathspec-file-nul"]);
    message.tell(&mut git);
    git.stdin(paths_file(pending.iter().map(|p| p.path.as_slice()))?);
    let status = run_child(context, holder, &mut git, lease_ms / 3);
    if !status.map_err(&failed)?.success() {
        let what = "git made no commit; your files and what was staged are as they were";
        return Err(failed(Failure::with_next_step(Exit::Refused, what, "git status")));
    }
    let head = RefName::parse(b"HEAD").expect("HEAD is a name");
    Ok(match context.repo.resolve(&head).map_err(|e| git_failure(&e))? {
        crate::adapters::git::refs::RefValue::Oid(oid) => oid.to_string(),
        crate::adapters::git::refs::RefValue::Missing | crate::adapters::git::refs::RefValue::Symref(_) => {
            String::new()
        }
    })
}

/// Returns paths for git's standard input.
fn paths_file<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Result<Stdio, Failure> {
    let bytes: Vec<u8> = paths.flat_map(|path| [path, b"\0"]).flatten().copied().collect();
    in_memory(&bytes).map(Into::into)
}

/// Returns an unnamed file with these bytes.
fn in_memory(bytes: &[u8]) -> Result<std::fs::File, Failure> {
    let memory = rustix::fs::memfd_create("cmw-commit", rustix::fs::MemfdFlags::CLOEXEC);
    let mut file = std::fs::File::from(memory.map_err(|e| cannot_run(e.into()))?);
    file.write_all(bytes).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(cannot_run)?;
    Ok(file)
}

fn cannot_run(error: std::io::Error) -> Failure {
    Failure::with_next_step(Exit::Unavailable, format!("cannot run git: {error}"), "git --version")
}
