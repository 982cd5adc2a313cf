//! The hooks that run before anything has changed: for a commit (`pre-commit`, `prepare-commit-msg`,
//! `pre-merge-commit`, `applypatch-msg`) and for a rebase (`pre-rebase`).
//!
//! None of them is the authority: they refuse earlier, while nothing has happened yet. `prepare-commit-msg`
//! also runs where `pre-commit` is skipped, and for commits that git makes from others (cherry-pick, revert,
//! merge). It starts no git while its caller holds the lock, and leaves beats and warnings to the hooks
//! before and after it.

use std::ffi::OsString;
use std::path::Path;

use cmw::app::error::Failure;
use cmw::app::error::git_failure;
use cmw::app::freeze::pins;
use cmw::domain::guard::git_command::GitCommand;
use cmw::domain::guard::git_ref::{RefName, RefTarget};
use cmw::domain::guard::permission::{Evidence, Known, Movement, Need};
use cmw::domain::guard::ref_rules::{RefContext, RefVerdict, of_a_commit};
use cmw::domain::lock::checks::Owners;
use cmw::domain::refusal::Refusal;
use cmw::store::audit::journal;

use crate::auto_lock;
use crate::context::{HookContext, HookInvocation};
use crate::taint;

/// The stage of a commit at which a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitStage {
    /// `pre-commit`: the staged changes are what will be committed, if anything is.
    Commit,
    /// `pre-merge-commit`: the staged changes are what the merge brings.
    Merge,
    /// `applypatch-msg`: nothing is staged yet.
    Patch,
    /// `prepare-commit-msg`: a commit of the staged changes is certain.
    Message,
}

impl CommitStage {
    /// Returns whether another role's file may be among the staged ones: not when a merge or patch brings it.
    fn looks_for_others(self, call: Option<&GitCommand>) -> bool {
        match self {
            Self::Commit => true,
            Self::Merge | Self::Patch => false,
            Self::Message => call.is_some_and(|call| call.is("commit")),
        }
    }

    /// Returns whether the staged paths are compared with the claim; the authority compares them in any case.
    fn looks_at_claims(self) -> bool {
        match self {
            Self::Commit | Self::Merge => true,
            Self::Patch | Self::Message => false,
        }
    }

    /// Returns whether the absence of staged changes may mean that no commit will follow.
    fn may_find_nothing(self) -> bool {
        match self {
            Self::Commit | Self::Merge => true,
            Self::Patch | Self::Message => false,
        }
    }

    /// Returns whether git may have changed files, or begun an operation, before it called the hook.
    fn is_late(self) -> bool {
        match self {
            Self::Merge | Self::Message | Self::Patch => true,
            Self::Commit => false,
        }
    }

    /// Returns whether the hook of this stage prints the warnings, and counts as work.
    fn reports_warnings(self) -> bool {
        match self {
            Self::Commit | Self::Merge => true,
            Self::Patch | Self::Message => false,
        }
    }
}

/// Refuses a commit that the authority would refuse; acquires a free lock for it.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn commit(invocation: &HookInvocation, moment: CommitStage) -> Result<(), Failure> {
    let repo = invocation.repo()?;
    // Each commit of a rebase would stop, and the branch moves only at its end.
    if moment == CommitStage::Message && repo.rebase_in_progress() {
        return Ok(());
    }
    let Some(branch) = repo.head_branch().map_err(|e| git_failure(&e))? else { return Ok(()) };
    if moment.is_late() {
        invocation.mark_files_changed(None);
    }
    let mut context = HookContext::read(invocation)?;
    if context.state.pins.as_ref().is_some_and(|pins| !pins.wanted) {
        remove_stale_pins(&context);
    }
    let verdict = verdict(&context, branch.clone());
    may_commit(&mut context, verdict, &branch, moment)?;
    if !moment.reports_warnings() {
        return Ok(());
    }
    let warned = context.warned("committing");
    if !warned.is_empty() {
        journal::append(context.disk(), &warned)?;
    }
    context.beat();
    Ok(())
}

/// Removes the pins that an interrupted thaw left: git would stop at them, and report a crash. Soft: a
/// command removes those that stay.
fn remove_stale_pins(context: &HookContext<'_>) {
    let _ = pins::apply_pins(context.context, &context.state, false);
}

/// Refuses a rebase before anything is rewritten, if the authority would refuse its end.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn rebase(invocation: &HookInvocation, args: &[OsString]) -> Result<(), Failure> {
    let Some(branch) = rebased(invocation, args)? else { return Ok(()) };
    if invocation.repo()?.has_autostash() {
        invocation.mark_files_changed(None);
    }
    let mut context = HookContext::read(invocation)?;
    let verdict = verdict(&context, branch.clone());
    before_anything(&mut context, &Movement::new(verdict, &format!("rebasing {branch}")), &branch)
}

/// Returns the branch that will move: the second argument, or the one that is checked out; `None` when it is
/// no branch.
fn rebased(invocation: &HookInvocation, args: &[OsString]) -> Result<Option<RefName>, Failure> {
    use std::os::unix::ffi::OsStrExt;
    let repo = invocation.repo()?;
    let Some(name) = args.get(1) else { return repo.head_branch().map_err(|e| git_failure(&e)) };
    let full = [b"refs/heads/", name.as_bytes()].concat();
    let Ok(branch) = RefName::parse(&full) else { return Ok(None) };
    let value = repo.read_ref(&branch).map_err(|e| git_failure(&e))?;
    Ok(Some(branch).filter(|_| RefTarget::from(value) != RefTarget::Zero))
}

/// Classifies a commit on this branch.
pub(crate) fn verdict(context: &HookContext<'_>, branch: RefName) -> RefVerdict {
    let ctx = RefContext {
        own_role: context.caller.actor.role(),
        mode: context.policy().mode,
        protect: &context.policy().protect,
        prune_possible: false,
    };
    of_a_commit(branch, &ctx)
}

/// Runs the sequence of checks when the changes are not known yet.
///
/// # Errors
/// The refusal.
pub(crate) fn before_anything(
    context: &mut HookContext<'_>,
    movement: &Movement<'_>,
    branch: &RefName,
) -> Result<(), Failure> {
    let mut known = Known { violation: taint::evidence(context, branch), ..Known::default() };
    context.permit(movement, &mut known, |_, _, _| Ok(())).map(drop)
}

fn may_commit(
    context: &mut HookContext<'_>,
    verdict: RefVerdict,
    branch: &RefName,
    moment: CommitStage,
) -> Result<(), Failure> {
    let movement = Movement::new(verdict, "committing");
    let mut known = Known {
        violation: taint::evidence(context, branch),
        owners: Evidence::open_if(moment.looks_for_others(None)),
        paths: Evidence::open_if(moment.looks_at_claims()),
        ..Known::default()
    };
    let refusal = match context.permit(&movement, &mut known, look_up) {
        Ok(_) => return Ok(()),
        Err(Failure::Refused(refusal)) => refusal,
        Err(failure) => return Err(failure),
    };
    // A commit that would be refused in any case acquires no lock; a role that has to wait is told at its
    // turn.
    let free = matches!(refusal, Refusal::NotHeld { .. });
    let caller = auto_lock::committer(context, refusal)?;
    let looks = moment.looks_for_others(Some(&caller.call));
    known.owners = Evidence::open_if(looks);
    if free && looks {
        context.permit(&movement.taking_the_lock(), &mut known, look_up)?;
    }
    let paths = match &known.paths {
        Evidence::Known(paths) => paths.clone(),
        Evidence::Open | Evidence::Skipped => staged_paths(context)?,
    };
    let unknown = moment == CommitStage::Patch && free;
    if unknown || paths.is_empty() && moment.may_find_nothing() {
        // Git may find that there is nothing to commit; otherwise the authority acquires the lock.
        return Ok(());
    }
    auto_lock::acquire(context, caller, &paths)?;
    if free || !looks {
        return Ok(());
    }
    // If it is refused after all, this git ends, and its lease with it.
    known.paths = Evidence::Known(paths);
    context.permit(&movement, &mut known, look_up).map(drop)
}

/// Looks up the staged paths and their owners. Owners are looked up only when they can matter; a commit of
/// given paths includes no others.
fn look_up(context: &mut HookContext<'_>, need: Need, known: &mut Known) -> Result<(), Failure> {
    if need == Need::Owners && (auto_lock::commits_given_paths(context) || !context.knows_owners()) {
        known.owners = Evidence::Known(Owners::new());
        return Ok(());
    }
    let paths = match std::mem::take(&mut known.paths) {
        Evidence::Known(paths) => paths,
        Evidence::Open | Evidence::Skipped => staged_paths(context)?,
    };
    if need == Need::Owners {
        known.owners = Evidence::Known(context.owners(&paths));
    }
    known.paths = Evidence::Known(paths);
    Ok(())
}

fn staged_paths(context: &HookContext<'_>) -> Result<Vec<Vec<u8>>, Failure> {
    let index = context.invocation.env.get_os("GIT_INDEX_FILE").map(Path::new);
    context.repo().staged_paths(index).map_err(|e| git_failure(&e))
}
