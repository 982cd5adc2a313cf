//! Owns `cmw-init --uninstall`: nothing of ours stays, everything of theirs does.

use serde_json::json;

use crate::adapters::git::config::Config;
use crate::store::error::StoreError;
use crate::store::hookdir;

use super::context::Context;
use super::exit::Exit;
use super::failure::Failure;
use super::init::{git_failure, read_chained, session_name};
use super::output::Answer;

/// Directories that are ours as a whole.
const TREES: [&str; 3] = ["cmw", "audit", "messages"];
/// Single files of ours.
const FILES: [&str; 4] = [
    "locks/write-lock.json",
    "locks/write-lock.json.tmp",
    "instance-registry.json",
    "instance-registry.json.tmp",
];

/// Restores `core.hooksPath`, then removes hooks, state, messages, audit and `cmw.*` settings.
///
/// # Errors
/// [`Failure`]: while a session runs, or when something cannot be removed.
pub fn run(context: &Context<'_>, dry_run: bool) -> Result<Answer, Failure> {
    let state = context.store.snapshot().ok();
    if let Some(name) = state.as_ref().and_then(|state| session_name(state, context)) {
        let what = format!("the session {name} is running");
        return Err(Failure::told(Exit::Refused, what, "cmw-session down"));
    }
    let config = context.repo.read_all().map_err(git_failure)?;
    let ours = context.repo.common_dir.join(hookdir::DIR).display().to_string();
    let in_effect = config.get("core.hooksPath");
    let is_ours = in_effect.is_some_and(|e| e.text() == ours);
    let former = match state {
        Some(state) => state.policy.former_hooks_path,
        None => former_by_chain(context, &config),
    };
    let back = match (&former, is_ours) {
        (_, false) if in_effect.is_none() => "core.hooksPath is not set".to_owned(),
        (_, false) => "core.hooksPath is not ours and stays".to_owned(),
        (Some(path), true) => format!("core.hooksPath goes back to {path}"),
        (None, true) => "core.hooksPath is unset".to_owned(),
    };
    let data = json!({"hooks_path": former, "dry_run": dry_run});
    if dry_run {
        return Ok(Answer::done(data, format!("cmw would be removed; {back}")));
    }
    // First: from here on git no longer asks us.
    match (former, is_ours) {
        (Some(path), true) => context.repo.set_local("core.hooksPath", &path).map_err(git_failure)?,
        (None, true) => context.repo.unset_local("core.hooksPath").map(|_| ()).map_err(git_failure)?,
        (_, false) => {}
    }
    context.repo.remove_sections("cmw").map_err(git_failure)?;
    remove_files(context)?;
    Ok(Answer::done(data, format!("cmw is removed; {back}")))
}

/// What `core.hooksPath` was in this repository, when the state that knows cannot be read: the
/// directory that is chained, unless git comes to it by itself.
fn former_by_chain(context: &Context<'_>, config: &Config) -> Option<String> {
    let by_default = context.repo.common_dir.join("hooks").display().to_string();
    let elsewhere = config.get_all("core.hooksPath").into_iter().rfind(|entry| !entry.is_local());
    read_chained(context.store.disk())
        .filter(|chained| *chained != by_default && elsewhere.is_none_or(|entry| entry.text() != chained))
}

fn remove_files(context: &Context<'_>) -> Result<(), StoreError> {
    use crate::store::disk::Disk;
    let disk = context.store.disk();
    let names = disk.list("").map_err(|e| StoreError::io("list", ".", e))?;
    let segments = names.iter().filter(|n| n.starts_with("message-registry") && n.ends_with(".json"));
    for file in FILES.into_iter().chain(segments.map(String::as_str)) {
        disk.remove(file).map_err(|e| StoreError::io("remove", file, e))?;
    }
    for tree in TREES {
        disk.remove_tree(tree).map_err(|e| StoreError::io("remove", tree, e))?;
    }
    disk.remove_empty_dir("locks").map_err(|e| StoreError::io("remove", "locks", e))
}
