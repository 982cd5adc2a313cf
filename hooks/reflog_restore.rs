//! Restores what a refused `git branch -m` would lose: the branch's reflog, which git has moved away by
//! then.

use cmw::domain::guard::git_ref::RefTarget;
use cmw::domain::guard::hook_input::parse_transaction;

use crate::context::HookInvocation;

/// Puts the reflogs of branches back that were to be deleted, and stay.
pub(crate) fn restore_reflogs(invocation: &HookInvocation, stdin: &[u8]) {
    let Ok(lines) = parse_transaction(stdin) else { return };
    let stays = lines
        .iter()
        .filter(|line| line.new == RefTarget::Zero && line.name.as_str().starts_with("refs/heads/"));
    for line in stays {
        let Ok(repo) = invocation.repo() else { return };
        // The refusal stands; git itself would have left the log where it is.
        let _ = repo.restore_renamed_reflog(&line.name);
    }
}
