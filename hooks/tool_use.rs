//! Checks whether an agent may use a tool (`PreToolUse`): not while it is paused, not against what protects
//! the repository, and not for a commit that git would refuse (docs/rules.md R13).
//!
//! What cannot be checked passes: git's own hooks judge what really happens.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use cmw::adapters::git::{GitEnv, discover};
use cmw::app::client::payload::HookPayload;
use cmw::app::client::{ClientHook, HookArgs};
use cmw::app::env::Env;
use cmw::app::error::Failure;
use cmw::app::error::git_failure;
use cmw::domain::guard::git_command::GitCommand;
use cmw::domain::guard::permission::{self, Movement};
use cmw::domain::guard::tool_use::{self, CommandContext};
use cmw::domain::health::client::Activity;
use cmw::domain::lock::checks;
use cmw::domain::policy::mode::Mode;
use cmw::domain::refusal::Refusal;
use cmw::domain::session::instance::Session;

use crate::context::{HookContext, HookInvocation, note_refusal};
use crate::{auto_lock, pre_commit};

/// The client's exit code for a refusal.
const REFUSED: u8 = 2;

/// Tools that change nothing but the client's own lists.
const READING: [&str; 16] = [
    "Read",
    "Glob",
    "Grep",
    "LS",
    "NotebookRead",
    "TodoWrite",
    "TodoRead",
    "WebFetch",
    "WebSearch",
    "BashOutput",
    "TaskOutput",
    "ToolSearch",
    "AskUserQuestion",
    "ExitPlanMode",
    "Skill",
    "ListMcpResourcesTool",
];

/// Tools of ours that change no file and no branch.
const ASKING: [&str; 8] = ["status", "why", "since", "inbox", "send", "heartbeat", "audit", "doctor"];

/// Returns the exit code by which the client allows the tool, or shows its model the refusal.
pub(crate) fn judge(env: Env, called: &OsStr, call: &HookArgs, payload: &HookPayload) -> u8 {
    if READING.contains(&payload.tool.as_str()) {
        return 0;
    }
    let Ok(Some(client_hook)) = ClientHook::of(&env, call, payload, "claude") else { return 0 };
    if !payload.is_subagent {
        // After a dialog the agent works again.
        let _ = client_hook.set_activity(&Activity::Working);
    }
    match may_use(&client_hook, called) {
        Ok(()) => 0,
        Err(told) => {
            cmw::adapters::os::stdio::write_err(&format!("cmw: {told}"));
            REFUSED
        }
    }
}

fn may_use(client_hook: &ClientHook<'_>, called: &OsStr) -> Result<(), String> {
    let payload = client_hook.payload;
    if changes_something(payload) {
        checks::not_paused(&client_hook.state, &client_hook.caller.actor)
            .map_err(|refusal| refusal.lines())?;
    }
    let here = payload.cwd.clone().or_else(|| client_hook.context.env.cwd.clone()).unwrap_or_default();
    let repo = &client_hook.context.repo;
    let git_dirs = [repo.common_dir.clone(), repo.git_dir.clone()];
    if let Some(file) = payload.file() {
        let file = real(&tool_use::resolved(&here, &file.to_string_lossy()));
        return tool_use::judge_file(&file, &git_dirs).map_err(|refusal| refusal.lines());
    }
    let Some(line) = payload.command() else { return Ok(()) };
    let root = repo.work_tree.clone().unwrap_or_default();
    let shared = client_hook.state.policy.mode == Mode::Shared;
    let at = |dir: &Path| discover(dir, &GitEnv::default()).ok();
    let is_ours = |dir: &Path| at(dir).is_some_and(|found| found.common_dir == repo.common_dir);
    let is_shared =
        |dir: &Path| shared && at(dir).is_some_and(|found| found.work_tree.as_ref() == Some(&root));
    let is_our_server = |name: Option<&str>| match &client_hook.state.session {
        Session::Up { socket, .. } => name == socket.as_deref() || name.is_none(),
        Session::Down => name.is_none(),
    };
    let here = real(&here);
    let place = CommandContext {
        cwd: &here,
        git_dirs: &git_dirs,
        is_shared: &is_shared,
        is_ours: &is_ours,
        is_our_server: &is_our_server,
        exists: &|path| path.symlink_metadata().is_ok(),
    };
    let commits = tool_use::judge(line, &place).map_err(|refusal| refusal.lines())?;
    match commits.first() {
        Some(commit) => may_commit(client_hook, called, &commit.call, &commit.dir),
        None => Ok(()),
    }
}

/// Refuses a commit that git would refuse; a role that has to wait is queued, as by git's hook.
fn may_commit(
    client_hook: &ClientHook<'_>,
    called: &OsStr,
    call: &GitCommand,
    here: &Path,
) -> Result<(), String> {
    let invocation = HookInvocation::new(client_hook.context.env.at(here.to_owned()), called);
    let Err(failure) = try_commit(&invocation) else { return Ok(()) };
    let Failure::Refused(refusal) = &failure else { return Ok(()) };
    note_refusal(&invocation, call.command(), &failure);
    let again = Some(refusal).filter(|refusal| refusal.is_about_waiting());
    let next = again.and_then(|_| call.retry_under_lock()).unwrap_or_else(|| refusal.next());
    Err(refusal.lines_of(refusal.safe_state_hint().as_deref(), &next))
}

fn try_commit(invocation: &HookInvocation) -> Result<(), Failure> {
    let repo = invocation.repo()?;
    if repo.rebase_in_progress() {
        return Ok(());
    }
    let Some(branch) = repo.head_branch().map_err(|e| git_failure(&e))? else { return Ok(()) };
    let mut context = HookContext::read(invocation)?;
    let verdict = pre_commit::verdict(&context, branch.clone());
    let movement = Movement::new(verdict, "committing");
    let refusal = match pre_commit::before_anything(&mut context, &movement, &branch) {
        Err(Failure::Refused(refusal)) if permission::lock_helps(&context.state, &refusal) => refusal,
        ended => return ended,
    };
    // Git itself acquires a free lock.
    if matches!(refusal, Refusal::NotHeld { .. }) { Ok(()) } else { auto_lock::queue(&context) }
}

/// Returns the path with its existing directories resolved.
fn real(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut at = path;
    loop {
        if let Ok(found) = at.canonicalize() {
            return rest.iter().rev().fold(found, |path: PathBuf, name| path.join(name));
        }
        let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else { return path.to_owned() };
        rest.push(name.to_owned());
        at = parent;
    }
}

/// Returns whether a tool may change anything. A shell may, except for a plain call of our own tools: a
/// paused role still reads its mail. An unknown tool may, too.
fn changes_something(payload: &HookPayload) -> bool {
    let Some(command) = payload.command() else { return !READING.contains(&payload.tool.as_str()) };
    let plain = !command.contains([';', '&', '|', '<', '>', '`', '$', '\n', '(', ')']);
    let words: Vec<&str> = command.split_whitespace().collect();
    let asks = match words[..] {
        ["cmw", verb, ..] => ASKING.contains(&verb) || verb.starts_with("--"),
        ["cmw"] => true,
        ["cmw-lock", verb, ..] => ["status", "queue", "cancel", "release"].contains(&verb),
        [tool, ..] => tool.strip_prefix("cmw-").is_some_and(|tool| ASKING.contains(&tool)),
        [] => false,
    };
    !(plain && asks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(tool: &str, command: &str) -> HookPayload {
        let input = serde_json::json!({"command": command});
        HookPayload { tool: tool.to_owned(), input, ..HookPayload::default() }
    }

    #[test]
    fn a_shell_may_change_everything_but_for_our_own_tools() {
        for (tool, command, changes) in [
            ("Edit", "", true),
            ("Read", "", false),
            ("mcp__files__write", "", true),
            ("Task", "", true),
            ("Bash", "cargo test", true),
            ("Bash", "cmw-inbox next", false),
            ("Bash", "cmw-inbox next; rm -rf x", true),
            ("Bash", "cmw-send User $(rm x)", true),
            ("Bash", "cmw-commit -m x -- a", true),
            ("Bash", "cmw commit -m x -- a", true),
            ("Bash", "cmw rescue apply x", true),
            ("Bash", "cmw lock run -- rm a", true),
            ("Bash", "cmw-lock release", false),
            ("Bash", "cmw since 8h", false),
            ("Bash", "", true),
        ] {
            assert_eq!(changes_something(&payload(tool, command)), changes, "{tool} {command}");
        }
    }
}
