//! Owns what Claude Code's own hooks ask (`cmw-hook claude EVENT`): before a tool is used, whether it may be;
//! after an edit, whose file that is now; and their role's mail (`cli/client`).
//!
//! The client reads exit code 2 as a refusal whose text its model sees. A fault of ours must not stop an
//! agent that nobody paused: then nothing is said.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use cmw::app::client::payload::{INPUT_BYTES_MAX, Said};
use cmw::app::client::{Call, Caller, events, fast_path};
use cmw::app::env::Env;
use cmw::app::guard::ownership;

use crate::tool_use;

/// Answers an event of the client; gives the exit code.
pub(crate) fn run(env: Env, called: &OsStr, args: &[OsString]) -> u8 {
    let call = Call::parse(args);
    let mut stdin = Vec::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut stdin);
    let said = read.ok().and_then(|_| Said::parse(&stdin));
    let Some(said) = said else { return 0 };
    drop(stdin);
    let at = if call.repo.is_none() { said.cwd.clone().filter(|cwd| cwd.is_dir()) } else { None };
    let env = at.map_or_else(|| env.clone(), |at| env.at(at));
    if fast_path::nothing_to_do(&env, &call, &said) {
        return 0;
    }
    if call.event == "PreToolUse" {
        return tool_use::judge(env, called, &call, &said);
    }
    let Ok(Some(mut caller)) = Caller::of(&env, &call, &said, "claude") else { return 0 };
    if call.event == "PostToolUse" && said.edits() {
        // What cannot be recorded costs only a guess.
        let _ = record(&caller, &said);
    }
    events::answer(&mut caller).unwrap_or(0)
}

/// Notes whose file it is that a tool has changed.
fn record(caller: &Caller<'_>, said: &Said) -> Option<()> {
    let (path, repo) = (said.file()?, &caller.context.repo);
    let here = said.cwd.clone().or_else(|| caller.context.env.cwd.clone())?;
    let path = repo.from_root(&here, canonical(&here, &path).as_os_str())?;
    ownership::record(caller.context.store.disk(), repo.work_tree.as_ref()?, &caller.role, &[path]);
    Some(())
}

/// The path with its directory as it really is, so that a link to the work tree is no other place.
fn canonical(here: &Path, path: &Path) -> PathBuf {
    let whole = here.join(path);
    let dir = whole.parent().and_then(|dir| dir.canonicalize().ok());
    match (dir, whole.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        (_, _) => whole,
    }
}
