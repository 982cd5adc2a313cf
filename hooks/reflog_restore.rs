//! Restores the reflog of a branch after a refused `git branch -m`: git has moved it away by then.

use cmw::domain::guard::git_ref::RefTarget;
use cmw::domain::guard::hook_input::parse_transaction;

use crate::context::HookInvocation;

/// Restores the reflogs of branches that were to be deleted and stay.
pub(crate) fn restore_reflogs(invocation: &HookInvocation, stdin: &[u8]) {
    let Ok(lines) = parse_transaction(stdin) else { return };
    let stays = lines
        .iter()
        .filter(|line| line.new == RefTarget::Zero && line.name.as_str().starts_with("refs/heads/"));
    for line in stays {
        let Ok(repo) = invocation.repo() else { return };
        // The refusal stands; git itself would leave the log where it is now.
        let _ = repo.restore_renamed_reflog(&line.name);
    }
}
