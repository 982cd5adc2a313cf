//! `cmw-hook guard EVENT`: refuses what could need the lock when git looks for its hooks elsewhere.
//!
//! Git 2.54 or later runs it in addition to the hooks, wherever those are. It judges nothing else: while our
//! hooks are in place, they do. What is certainly not protected passes: fetch, stash and gc must not break.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use cmw::adapters::git::config::Scope;
use cmw::app::error::Failure;
use cmw::app::guard::git_hook_config::{Diversion, diverted};
use cmw::app::guard::hook_chain::former_common_dir;
use cmw::domain::guard::hook_input::TransactionPhase;
use cmw::domain::refusal::Refusal;

use crate::auto_lock;
use crate::chain;
use crate::context::HookInvocation;
use crate::pre_push;
use crate::reference_transaction as authority;
use cmw::app::error::git_failure;

/// Checks an event of git.
///
/// # Errors
/// The refusal.
pub(crate) fn check(invocation: &HookInvocation, event: &str, args: &[OsString]) -> Result<(), Failure> {
    let counts = match event {
        "reference-transaction" => {
            let phase = TransactionPhase::parse(args.first().map_or(b"", |arg| arg.as_bytes()));
            phase == TransactionPhase::Prepared
                && authority::may_be_protected(invocation, &chain::read_stdin()?)?
        }
        "pre-push" => {
            let lines = pre_push::parse(&chain::read_stdin()?)?;
            lines.iter().any(pre_push::may_be_protected) && !pre_push::is_dry_run()
        }
        "pre-commit" => invocation.repo()?.head_branch().map_err(|e| git_failure(&e))?.is_some(),
        _ => false,
    };
    if !counts {
        return Ok(());
    }
    let repo = invocation.repo()?;
    let names = ["GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"];
    let overruled = names.iter().any(|name| invocation.env.get_os(name).is_some());
    match diverted(repo, overruled).map_err(|e| git_failure(&e))? {
        None => Ok(()),
        Some(diversion) => Err(refusal(invocation, &diversion)?.into()),
    }
}

fn refusal(invocation: &HookInvocation, diversion: &Diversion) -> Result<Refusal, Failure> {
    let Some(entry) = &diversion.by else {
        return Ok(Refusal::Diverted { by: None, next: "cmw-doctor".to_owned() });
    };
    let moved = former_common_dir(entry.text(), &invocation.repo()?.common_dir).is_some();
    let call = auto_lock::calling_git().map(|caller| caller.call).filter(|call| !call.is_plain());
    let (by, next) = match (entry.scope, call) {
        (Scope::Command, Some(call)) => {
            ("an option of this command", call.retry_command().unwrap_or_else(|| "cmw".to_owned()))
        }
        (Scope::Command, None) => {
            ("the environment", "unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS".to_owned())
        }
        (Scope::Local | Scope::Unknown, _) if moved => {
            ("the configuration from this repository's former place", "cmw-init".to_owned())
        }
        (Scope::Local | Scope::Unknown, _) => ("the repository's configuration", "cmw-doctor".to_owned()),
        (Scope::Worktree, _) => ("this work tree's configuration", "cmw-doctor".to_owned()),
        (Scope::Global, _) => ("the user's configuration", "cmw-doctor".to_owned()),
        (Scope::System, _) => ("the machine's configuration", "cmw-doctor".to_owned()),
    };
    Ok(Refusal::Diverted { by: Some(by.to_owned()), next })
}
