//! `post-commit`, `post-merge`, `post-rewrite`: check that the authority was called. Git skips it silently
//! when its file is missing or cannot be run.
//!
//! They never refuse: the ref has moved. What a commit changed was compared with the claim when the ref
//! moved.

use cmw::app::audit::ref_check::RefChecker;
use cmw::app::error::Failure;

use crate::context::{HookContext, HookInvocation};

/// Compares the branch that is checked out with the ref journal, and records an unauthorized update.
pub(crate) fn check(invocation: &HookInvocation) {
    // Git ignores the result here, and the next check finds it too.
    let _ = compare_head(invocation);
}

fn compare_head(invocation: &HookInvocation) -> Result<(), Failure> {
    let context = HookContext::read(invocation)?;
    let (repo, disk) = (context.repo(), context.disk());
    let looker = RefChecker { repo, disk, policy: context.policy(), by: &context.caller.actor };
    looker.quick_check_head().map(drop)
}
