//! `post-commit`, `post-merge`, `post-rewrite`: checks that the authority was asked. When its file is gone,
//! or no program any more, git passes it by silently.
//!
//! They never refuse: it has happened. What a commit changed was compared with the claim when the ref moved.

use cmw::app::audit::ref_check::RefChecker;
use cmw::app::error::Failure;

use crate::context::{HookContext, HookInvocation};

/// Compares the branch that is checked out with the ref journal; what went around us is noted.
pub(crate) fn check(invocation: &HookInvocation) {
    // Git listens to nobody here, and the next look finds it too.
    let _ = compare_head(invocation);
}

fn compare_head(invocation: &HookInvocation) -> Result<(), Failure> {
    let context = HookContext::read(invocation)?;
    let (repo, disk) = (context.repo(), context.disk());
    let looker = RefChecker { repo, disk, policy: context.policy(), by: &context.caller.actor };
    looker.quick_check_head().map(drop)
}
