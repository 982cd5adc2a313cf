//! The lock that `git commit` takes by itself (docs/rules.md R4.12, docs/decisions.md D13).
//!
//! Invariant: such a lease ends with the git that acquired it. It is released when the branch has moved; when
//! git ends before that (the editor was left, another hook refused), the kernel reports the end of its
//! process. A former holder's unsaved work is a refusal here: commands save it, a hook never does.

use std::path::Path;

use cmw::adapters::git::{GitEnv, discover};
use cmw::adapters::os::process;
use cmw::app::error::Failure;
use cmw::domain::command::Command;
use cmw::domain::guard::git_command::GitCommand;
use cmw::domain::guard::permission;
use cmw::domain::lock::claim::Claim;
use cmw::domain::lock::request::LockRequest;
use cmw::domain::mail::priority::Priority;
use cmw::domain::refusal::Refusal;
use cmw::domain::session::process::Process;

use crate::context::{HookContext, HookInvocation};

/// How many processes above this one are searched for git.
const ABOVE_MAX: usize = 8;

/// The git process that called this hook, and its command.
pub(crate) struct CallingGit {
    pub(crate) process: Process,
    pub(crate) call: GitCommand,
}

/// Returns the git that called this hook; `None` when another program did.
pub(crate) fn calling_git() -> Option<CallingGit> {
    let parent = process::stat(std::process::id())?.parent;
    let call = GitCommand::parse(&process::command_line(parent))?;
    Some(CallingGit { process: process::identify(parent)?, call })
}

/// Returns the git that moves the ref: the nearest one above this process, since another hook manager's shell
/// may stand between.
pub(crate) fn moving_git() -> Option<Process> {
    let mut pid = std::process::id();
    for _ in 0..ABOVE_MAX {
        pid = process::stat(pid)?.parent;
        if GitCommand::parse(&process::command_line(pid)).is_some() {
            return process::identify(pid);
        }
    }
    None
}

/// Returns the git whose work this is: a cherry-pick or revert that opens an editor has its commit made by
/// another git process.
pub(crate) fn working_git() -> Option<GitCommand> {
    let caller = calling_git()?;
    let starter = process::stat(caller.process.pid).map(|stat| stat.parent);
    let starter = starter.and_then(|pid| GitCommand::parse(&process::command_line(pid)));
    let picks = |call: &GitCommand| call.is("cherry-pick") || call.is("revert");
    Some(starter.filter(|call| caller.call.is("commit") && picks(call)).unwrap_or(caller.call))
}

/// Returns the same git command under the lock: the calling one, or the push that it serves here.
pub(crate) fn retry_under_lock(invocation: &HookInvocation) -> Option<String> {
    let call = calling_git()?.call;
    if !call.is("receive-pack") {
        return call.retry_under_lock();
    }
    let ours = &invocation.repo().ok()?.common_dir;
    let pushes = |process: Process| {
        let call = GitCommand::parse(&process::command_line(process.pid)).filter(|call| call.is("push"))?;
        Some((call, process::working_dir(process.pid)?))
    };
    let (call, place) = process::lineage().skip(2).find_map(pushes)?;
    match discover(&place, &GitEnv::default()) {
        Ok(repo) if repo.common_dir == *ours => call.retry_under_lock(),
        Ok(_) | Err(_) => {
            let main = ours.parent().filter(|_| ours.ends_with(".git")).unwrap_or(ours);
            call.retry_under_lock_in(main.to_str()?)
        }
    }
}

/// Returns the calling git if it commits and acquiring the lock would resolve this refusal.
///
/// # Errors
/// The refusal otherwise.
pub(crate) fn committer(context: &HookContext<'_>, refusal: Refusal) -> Result<CallingGit, Refusal> {
    let helps = permission::lock_helps(&context.state, &refusal);
    let caller = if helps { calling_git() } else { None };
    caller.filter(|caller| caller.call.is_committing()).ok_or(refusal)
}

/// Acquires the free lock for that git, with a claim on what it commits. If the lock is not free, the role is
/// queued, and the refusal says at which place.
///
/// # Errors
/// The refusal.
pub(crate) fn acquire(
    context: &mut HookContext<'_>,
    caller: CallingGit,
    paths: &[Vec<u8>],
) -> Result<(), Failure> {
    let request = LockRequest {
        files: Claim::exactly(paths),
        purpose: format!("git {}", caller.call.command()),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: context.context.work_tree_name(),
        guessed: !commits_given_paths(context),
    };
    let command = Command::Commit { request, git: caller.process };
    let done = context.context.transact(&context.caller, &command)?;
    done.outcome?;
    context.take_over(done.state);
    // An unidentified process is known by its git from here on.
    context.identify()
}

/// Queues the role, as a refused commit does; what would be committed is not known yet. If the lock has just
/// become free, its lease ends with this process.
///
/// # Errors
/// The refusal, with the place in the queue.
pub(crate) fn queue(context: &HookContext<'_>) -> Result<(), Failure> {
    let request = LockRequest {
        files: Claim::All,
        purpose: "git commit".to_owned(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: context.context.work_tree_name(),
        guessed: true,
    };
    let command = Command::Commit { request, git: process::current() };
    context.context.transact(&context.caller, &command)?.outcome?;
    Ok(())
}

/// Releases the lock if the calling git acquired it for this one commit.
///
/// # Errors
/// [`Failure`] of the store; the lease then ends with that git.
pub(crate) fn give_back(context: &HookContext<'_>) -> Result<(), Failure> {
    let Some(held) = context.state.held().filter(|held| held.auto) else { return Ok(()) };
    if !calling_git().is_some_and(|c| c.process == held.process && c.call.is("commit")) {
        return Ok(());
    }
    context.context.transact(&context.caller, &Command::Release { token: Some(held.token) }).map(drop)
}

/// Ingests the hooks' journal: a violation found there counts from then on.
///
/// # Errors
/// [`Failure`] of the store.
pub(crate) fn ingest_journal(context: &mut HookContext<'_>) -> Result<(), Failure> {
    let done = context.context.transact(&context.caller, &Command::Observe(Vec::new()))?;
    context.take_over(done.state);
    Ok(())
}

/// Returns whether git commits given paths: it then uses an index of its own.
pub(crate) fn commits_given_paths(context: &HookContext<'_>) -> bool {
    let index = context.invocation.env.get_os("GIT_INDEX_FILE").map(Path::new);
    let name = index.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.is_some_and(|name| name.starts_with("next-index-"))
}
