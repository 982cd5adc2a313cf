//! Violations as evidence for the sequence of checks: whether a movement or a push would carry one elsewhere.

use cmw::app::audit::ref_check::RefChecker;
use cmw::app::error::Failure;
use cmw::domain::audit::taint::{self, tainted};
use cmw::domain::audit::violation::{TaintedRef, Violation};
use cmw::domain::guard::git_ref::{Oid, RefName, RefTarget};
use cmw::domain::guard::hook_input::{PushLine, RefLine};
use cmw::domain::guard::permission::Evidence;
use cmw::domain::guard::ref_rules::CurrentRef;
use cmw::domain::refusal::Refusal;

use crate::auto_lock;
use crate::context::HookContext;
use cmw::app::error::git_failure;

/// Returns the violation of the branch on which this lands, or whose commits it brings (docs/rules.md R5).
///
/// # Errors
/// [`Failure`] of git.
pub(super) fn landing(
    context: &mut HookContext<'_>,
    line: &RefLine,
    current: &CurrentRef,
) -> Result<Option<Refusal>, Failure> {
    let RefTarget::Oid(new) = &line.new else { return Ok(on_branch(context, &line.name)) };
    // A commit that git has just made is on no branch yet.
    if auto_lock::calling_git().is_none_or(|caller| caller.call.may_move_branches()) {
        check_source_branches(context, std::slice::from_ref(new));
    }
    let old = match &current.value {
        Some(RefTarget::Oid(old)) => Some(old),
        Some(RefTarget::Zero | RefTarget::Symref(_)) | None => None,
    };
    brought(context, &line.name, old, new)
}

/// Returns the violation of the branch on which this lands.
pub(super) fn on_branch(context: &HookContext<'_>, branch: &RefName) -> Option<Refusal> {
    taint::may_land_on(&context.state, branch.as_str()).err()
}

/// Returns the same as evidence.
pub(super) fn evidence(context: &HookContext<'_>, branch: &RefName) -> Evidence<Option<Refusal>> {
    Evidence::Known(on_branch(context, branch))
}

/// Returns the violation of that branch, or of another one that comes along.
///
/// # Errors
/// [`Failure`] of git.
pub(super) fn brought(
    context: &HookContext<'_>,
    branch: &RefName,
    old: Option<&Oid>,
    new: &Oid,
) -> Result<Option<Refusal>, Failure> {
    if context.state.violations.is_empty() {
        return Ok(None);
    }
    let found = on_branch(context, branch);
    if found.is_some() {
        return Ok(found);
    }
    for (of, place, commit) in carriers(context) {
        let had = old.is_some_and(|old| context.repo().contains(old, &commit).unwrap_or(false));
        if place.name != branch.as_str()
            && !had
            && context.repo().contains(new, &commit).map_err(|e| git_failure(&e))?
        {
            return Ok(Some(taint::refusal(of, place)));
        }
    }
    Ok(None)
}

/// Returns the violation of what is pushed, or of what came in with it, under any name.
///
/// # Errors
/// [`Failure`] of git.
pub(super) fn pushed(context: &HookContext<'_>, line: &PushLine) -> Result<Option<Refusal>, Failure> {
    if context.state.violations.is_empty() {
        return Ok(None);
    }
    let Some(pushed) = &line.local_oid else { return Ok(None) };
    for name in [line.local.as_str(), line.remote.as_str()] {
        if let Err(refusal) = taint::may_leave(&context.state, name) {
            return Ok(Some(refusal));
        }
    }
    for (of, place, commit) in carriers(context) {
        if context.repo().contains(pushed, &commit).map_err(|e| git_failure(&e))? {
            return Ok(Some(taint::refusal(of, place)));
        }
    }
    Ok(None)
}

/// Returns the commits that bypassed the hooks and are not adopted.
fn carriers<'s>(context: &'s HookContext<'_>) -> impl Iterator<Item = (&'s Violation, &'s TaintedRef, Oid)> {
    let brought = tainted(&context.state).filter(|(_, place)| place.brings);
    brought.filter_map(|(of, place)| Some((of, place, Oid::parse(place.is.as_bytes()).ok()?)))
}

/// Checks the branches at these tips before something is taken from them: an unauthorized update is a
/// violation from then on. Soft: a failed check must not block other work.
pub(super) fn check_source_branches(context: &mut HookContext<'_>, tips: &[Oid]) {
    let found = {
        let (repo, disk) = (context.repo(), context.disk());
        let looker = RefChecker { repo, disk, policy: context.policy(), by: &context.caller.actor };
        let branches = tips.iter().filter_map(|tip| repo.branches_at(tip).ok()).flatten();
        let astray = |name: &RefName| {
            repo.read_ref(name).is_ok_and(|value| looker.quick_check(name, &value.into()).unwrap_or(false))
        };
        branches.filter(astray).count() > 0
    };
    if found {
        let _ = auto_lock::ingest_journal(context);
    }
}

/// Checks every ref in the same way: for what leaves the repository.
pub(super) fn check_all_refs(context: &mut HookContext<'_>) {
    let (repo, disk) = (context.repo(), context.disk());
    let looker = RefChecker { repo, disk, policy: context.policy(), by: &context.caller.actor };
    if looker.check_all(&[]).is_ok_and(|looked| looked.new > 0) {
        let _ = auto_lock::ingest_journal(context);
    }
}
