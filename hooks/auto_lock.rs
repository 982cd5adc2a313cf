//! The lock that `git commit` takes by itself (DOMAIN section 4, DECISIONS 13).
//!
//! Invariant: such a lease ends with the git that took it. It is given back when the branch has moved;
//! when git ends before that (an editor that was left, another hook that refused), the kernel tells
//! everybody that the process is gone. What a former holder left unsaved stops it here: saving that is
//! for commands, never for a hook.

use std::path::Path;

use cmw::adapters::git::{GitEnv, discover};
use cmw::adapters::os::process;
use cmw::app::error::Failure;
use cmw::domain::command::Command;
use cmw::domain::guard::git_command::GitCall;
use cmw::domain::guard::permission;
use cmw::domain::lock::claim::Claim;
use cmw::domain::lock::request::Request;
use cmw::domain::mail::priority::Priority;
use cmw::domain::refusal::Refusal;
use cmw::domain::session::process::Process;

use crate::context::{House, Scene};

/// The git that called this hook, and what it does.
pub(crate) struct Caller {
    pub(crate) process: Process,
    pub(crate) call: GitCall,
}

/// The git that called this hook; `None` when something else did.
pub(crate) fn caller() -> Option<Caller> {
    let parent = process::stat(std::process::id())?.parent;
    let call = GitCall::parse(&process::command_line(parent))?;
    Some(Caller { process: process::identify(parent)?, call })
}

/// The git whose work this is: a pick that opens an editor has its commit made by a git of its own.
pub(crate) fn worker() -> Option<GitCall> {
    let caller = caller()?;
    let starter = process::stat(caller.process.pid).map(|stat| stat.parent);
    let starter = starter.and_then(|pid| GitCall::parse(&process::command_line(pid)));
    let picks = |call: &GitCall| call.is("cherry-pick") || call.is("revert");
    Some(starter.filter(|call| caller.call.is("commit") && picks(call)).unwrap_or(caller.call))
}

/// The same git again under the lock: the one that called, or the push that it serves here.
pub(crate) fn again_under_the_lock(house: &House) -> Option<String> {
    let call = caller()?.call;
    if !call.is("receive-pack") {
        return call.again_under_the_lock();
    }
    let ours = &house.repo().ok()?.common_dir;
    let pushes = |process: Process| {
        let call = GitCall::parse(&process::command_line(process.pid)).filter(|call| call.is("push"))?;
        Some((call, process::working_dir(process.pid)?))
    };
    let (call, place) = process::lineage().skip(2).find_map(pushes)?;
    match discover(&place, &GitEnv::default()) {
        Ok(repo) if repo.common_dir == *ours => call.again_under_the_lock(),
        Ok(_) | Err(_) => {
            let main = ours.parent().filter(|_| ours.ends_with(".git")).unwrap_or(ours);
            call.again_under_the_lock_of(main.to_str()?)
        }
    }
}

/// The git that called, when it commits and taking the lock would mend this refusal.
///
/// # Errors
/// The refusal otherwise.
pub(crate) fn committer(scene: &Scene<'_>, refusal: Refusal) -> Result<Caller, Refusal> {
    let helps = permission::lock_helps(&scene.state, &refusal);
    let caller = if helps { caller() } else { None };
    caller.filter(|caller| caller.call.is_committing()).ok_or(refusal)
}

/// Takes the free lock for that git, claiming what it commits; when it is not free, its role is in the
/// queue afterwards, and the refusal says at which place.
///
/// # Errors
/// The refusal.
pub(crate) fn take(scene: &mut Scene<'_>, caller: Caller, paths: &[Vec<u8>]) -> Result<(), Failure> {
    let request = Request {
        files: Claim::exactly(paths),
        purpose: format!("git {}", caller.call.command()),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: scene.context.work_tree_name(),
        guessed: !told_its_paths(scene),
    };
    let command = Command::Commit { request, git: caller.process };
    let done = scene.context.transact(&scene.asker, &command)?;
    done.outcome?;
    scene.state = done.state;
    scene.facts = scene.context.facts(&scene.state);
    // An unproven asker is now known by its git.
    scene.identify()
}

/// Puts the role into the queue, as a commit does that is refused; what would be committed is not known yet.
/// A lock that has just become free is left alone: with the end of this process it is free again.
///
/// # Errors
/// The refusal, with the place in the queue.
pub(crate) fn queue(scene: &Scene<'_>) -> Result<(), Failure> {
    let request = Request {
        files: Claim::All,
        purpose: "git commit".to_owned(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: scene.context.work_tree_name(),
        guessed: true,
    };
    let command = Command::Commit { request, git: process::me() };
    scene.context.transact(&scene.asker, &command)?.outcome?;
    Ok(())
}

/// Gives the lock back when the git that called has taken it for this one commit.
///
/// # Errors
/// [`Failure`] of the store; then the end of that git ends the lease.
pub(crate) fn give_back(scene: &Scene<'_>) -> Result<(), Failure> {
    let Some(held) = scene.state.held().filter(|held| held.auto) else { return Ok(()) };
    if !caller().is_some_and(|c| c.process == held.process && c.call.is("commit")) {
        return Ok(());
    }
    scene.context.transact(&scene.asker, &Command::Release { token: Some(held.token) }).map(drop)
}

/// Takes in what hooks have noted: a violation counts from then on.
///
/// # Errors
/// [`Failure`] of the store.
pub(crate) fn take_in(scene: &mut Scene<'_>) -> Result<(), Failure> {
    scene.state = scene.context.transact(&scene.asker, &Command::Observe(Vec::new()))?.state;
    scene.facts = scene.context.facts(&scene.state);
    Ok(())
}

/// Whether git commits the paths that it was given: it then uses an index of its own.
pub(crate) fn told_its_paths(scene: &Scene<'_>) -> bool {
    let index = scene.house.env.get_os("GIT_INDEX_FILE").map(Path::new);
    let name = index.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.is_some_and(|name| name.starts_with("next-index-"))
}
