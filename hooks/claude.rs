//! `cmw-hook claude EVENT`, called by Claude Code: checks tool use, records which role edited a file, and
//! delivers the role's mail (`app/client`).
//!
//! The client reads exit code 2 as a refusal whose text its model sees. An error of ours must not stop an
//! agent that is not paused: nothing is said then.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use cmw::app::client::payload::{HookPayload, INPUT_BYTES_MAX};
use cmw::app::client::{ClientHook, HookArgs, events, fast_path};
use cmw::app::env::Env;
use cmw::app::guard::ownership;

use crate::tool_use;

/// Answers an event of the client; returns the exit code.
pub(crate) fn run(env: Env, called: &OsStr, args: &[OsString]) -> u8 {
    let call = HookArgs::parse(args);
    let mut stdin = Vec::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut stdin);
    let payload = read.ok().and_then(|_| HookPayload::parse(&stdin));
    let Some(payload) = payload else { return 0 };
    drop(stdin);
    let at = if call.repo.is_none() { payload.cwd.clone().filter(|cwd| cwd.is_dir()) } else { None };
    let env = at.map_or_else(|| env.clone(), |at| env.at(at));
    if fast_path::nothing_to_do(&env, &call, &payload) {
        return 0;
    }
    if call.event == "PreToolUse" {
        return tool_use::judge(env, called, &call, &payload);
    }
    let Ok(Some(mut client_hook)) = ClientHook::of(&env, &call, &payload, "claude") else { return 0 };
    if call.event == "PostToolUse" && payload.is_edit() {
        // An edit that is not recorded only leaves the file's owner unknown.
        let _ = record(&client_hook, &payload);
    }
    events::answer(&mut client_hook).unwrap_or(0)
}

/// Records the role that edited a file with a tool.
fn record(client_hook: &ClientHook<'_>, payload: &HookPayload) -> Option<()> {
    let (path, repo) = (payload.file()?, &client_hook.context.repo);
    let here = payload.cwd.clone().or_else(|| client_hook.context.env.cwd.clone())?;
    let path = repo.from_root(&here, canonical(&here, &path).as_os_str())?;
    ownership::record(client_hook.context.store.disk(), repo.work_tree.as_ref()?, &client_hook.role, &[path]);
    Some(())
}

/// Returns the path with its directory resolved, so that a link to the work tree is the same place.
fn canonical(here: &Path, path: &Path) -> PathBuf {
    let whole = here.join(path);
    let dir = whole.parent().and_then(|dir| dir.canonicalize().ok());
    match (dir, whole.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        (_, _) => whole,
    }
}
