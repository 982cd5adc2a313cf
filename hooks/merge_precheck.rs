//! Refuses a merge early: before git touches the index and the work tree.
//!
//! A merge that only moves the branch forward runs no hook but `reference-transaction`, which is called for
//! the branch when the files are merged already. Before that, git records the branch's old commit in
//! ORIG_HEAD; this check runs at that moment. It is a convenience only: it recognises a merge by variables
//! and arguments of the caller, and the authority refuses later what is missed here. So what cannot be read
//! passes.

use cmw::app::error::Failure;
use cmw::domain::guard::git_ref::{Oid, RefName};
use cmw::domain::guard::permission::{Evidence, Known, Movement};
use cmw::domain::refusal::Refusal;

use crate::auto_lock::{self, CallingGit};
use crate::context::{HookContext, HookInvocation};
use crate::pre_commit::verdict;
use crate::taint;

/// Refuses a merge into a branch that must not move now; a role that has to wait is then in the queue.
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
    // The merge itself acquires a free lock when it commits.
    let free = matches!(refusal, Refusal::NotHeld { .. });
    auto_lock::committer(&context, refusal)?;
    if free { Ok(()) } else { auto_lock::acquire(&mut context, caller, &brought) }
}

/// Returns the merge that called, if it will commit.
fn merging(invocation: &HookInvocation) -> Option<CallingGit> {
    let action = invocation.env.get("GIT_REFLOG_ACTION")?;
    let begins = ["merge", "pull"].iter().any(|word| action.starts_with(word));
    if !begins || invocation.env.suffixes_of("GITHEAD_").next().is_none() {
        return None;
    }
    auto_lock::calling_git().filter(|caller| caller.call.is("merge") && !caller.call.prepares_only())
}

/// Returns the paths that the merge brings; `None` when there is nothing to merge, or when they cannot be
/// determined.
fn brought(context: &HookContext<'_>) -> Option<Vec<Vec<u8>>> {
    let mut all = None;
    for head in heads(context) {
        if let Some(paths) = context.repo().merged_paths(&head).ok()? {
            all.get_or_insert_with(Vec::new).extend(paths);
        }
    }
    all
}

/// Returns the commits that are merged.
fn heads(context: &HookContext<'_>) -> Vec<Oid> {
    context
        .invocation
        .env
        .suffixes_of("GITHEAD_")
        .filter_map(|name| Oid::parse(name.as_bytes()).ok())
        .collect()
}

/// Returns whether the branch's configuration lets merges make no commit.
fn wants_no_commit(context: &HookContext<'_>, branch: &RefName) -> bool {
    let Some(short) = branch.as_str().strip_prefix("refs/heads/") else { return false };
    let Ok(config) = context.repo().read_all() else { return true };
    let options = config.get(&format!("branch.{short}.mergeoptions"));
    options.is_some_and(|entry| ["--sq", "--no-co"].iter().any(|option| entry.text().contains(option)))
}
