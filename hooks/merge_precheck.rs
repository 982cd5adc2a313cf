//! The early refusal of a merge: before git touches index and work tree.
//!
//! A merge that only moves the branch forward runs no hook but `reference-transaction`, and that asks
//! about the branch when the files are merged already. Before that git notes in ORIG_HEAD where it was;
//! that is the moment. Only for convenience: what tells a merge are variables and words of the caller's,
//! and what is not told here the authority refuses later. So whatever cannot be read passes.

use cmw::app::error::Failure;
use cmw::domain::guard::git_ref::{Oid, RefName};
use cmw::domain::guard::permission::{Evidence, Known, Movement};
use cmw::domain::refusal::Refusal;

use crate::auto_lock::{self, CallingGit};
use crate::context::{HookContext, HookInvocation};
use crate::pre_commit::verdict;
use crate::taint;

/// Refuses a merge into a branch that must not move now; a role that has to wait is in the queue then.
///
/// # Errors
/// The refusal.
pub(crate) fn check(invocation: &HookInvocation, stdin: &[u8]) -> Result<(), Failure> {
    let begins = |line: &[u8]| line.ends_with(b" ORIG_HEAD");
    if !stdin.split(|b| *b == b'\n').any(begins) {
        return Ok(());
    }
    let Some(caller) = merging(invocation) else { return Ok(()) };
    let Ok(repo) = invocation.repo() else { return Ok(()) };
    let Ok(Some(branch)) = repo.head_branch() else { return Ok(()) };
    let Ok(mut context) = HookContext::read(invocation) else { return Ok(()) };
    let verdict = verdict(&context, branch.clone());
    let action = format!("moving {branch}");
    let mut known = Known { violation: Evidence::Open, ..Known::default() };
    let refusal = context.permit(&Movement::new(verdict, &action), &mut known, |context, _, known| {
        let heads = heads(context);
        taint::check_source_branches(context, &heads);
        let mut found = None;
        for head in &heads {
            if found.is_none() {
                found = taint::brought(context, &branch, None, head)?;
            }
        }
        known.violation = Evidence::Known(found);
        Ok(())
    });
    let Err(refusal) = refusal else { return Ok(()) };
    let Some(brought) = brought(&context) else { return Ok(()) };
    if wants_no_commit(&context, &branch) {
        return Ok(());
    }
    let Failure::Refused(refusal) = refusal else { return Err(refusal) };
    // A free lock it takes itself when it commits.
    let free = matches!(refusal, Refusal::NotHeld { .. });
    auto_lock::committer(&context, refusal)?;
    if free { Ok(()) } else { auto_lock::acquire(&mut context, caller, &brought) }
}

/// The merge that called, when it will commit.
fn merging(invocation: &HookInvocation) -> Option<CallingGit> {
    let action = invocation.env.get("GIT_REFLOG_ACTION")?;
    let begins = ["merge", "pull"].iter().any(|word| action.starts_with(word));
    if !begins || invocation.env.suffixes_of("GITHEAD_").next().is_none() {
        return None;
    }
    auto_lock::calling_git().filter(|caller| caller.call.is("merge") && !caller.call.prepares_only())
}

/// What the merge brings; `None` when there is nothing to merge, or when that cannot be told.
fn brought(context: &HookContext<'_>) -> Option<Vec<Vec<u8>>> {
    let mut all = None;
    for head in heads(context) {
        if let Some(paths) = context.repo().merged_paths(&head).ok()? {
            all.get_or_insert_with(Vec::new).extend(paths);
        }
    }
    all
}

/// What is merged.
fn heads(context: &HookContext<'_>) -> Vec<Oid> {
    context
        .invocation
        .env
        .suffixes_of("GITHEAD_")
        .filter_map(|name| Oid::parse(name.as_bytes()).ok())
        .collect()
}

/// Whether the configuration of the branch has merges make no commit.
fn wants_no_commit(context: &HookContext<'_>, branch: &RefName) -> bool {
    let Some(short) = branch.as_str().strip_prefix("refs/heads/") else { return false };
    let Ok(config) = context.repo().read_all() else { return true };
    let options = config.get(&format!("branch.{short}.mergeoptions"));
    options.is_some_and(|entry| ["--sq", "--no-co"].iter().any(|option| entry.text().contains(option)))
}
