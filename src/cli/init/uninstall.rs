//! `cmw-init --uninstall`: removes all our files and settings, and restores what was there before.

use serde_json::json;

use crate::adapters::git::config::Config;
use crate::domain::identity::actor::Actor;
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::StoreError;
use crate::store::guard::hookdir;
use crate::store::mail::mailbox;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::error::git_config_failure;
use crate::app::exit::Exit;
use crate::app::freeze::pins;
use crate::app::guard::git_hook_config;
use crate::app::guard::hook_chain::{self, read_chained};
use crate::app::workspace::Context;
use crate::cli::init::{self, InitCaller, session_name};

/// The files of the audit.
const AUDIT: [&str; 7] = [
    "write-lock-intents.json",
    "instance-registrations.log",
    "orchestrator-startup.log",
    "orchestrator-decisions.log",
    "security-events.log",
    "journal.jsonl",
    "journal.jsonl.tmp",
];
/// The directories of a mailbox.
const SHELVES: [&str; 4] = ["tmp", "new", "cur", "bad"];
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
/// [`Failure`]: while a session is running, or when something cannot be removed.
pub fn run(context: &Context<'_>, init_caller: &InitCaller, dry_run: bool) -> Result<Answer, Failure> {
    // A concurrent cmw-init would recreate half of what is removed.
    let _lock = if dry_run { None } else { Some(init::lock(context.store.disk())?) };
    let state = context.store.snapshot().ok();
    let is_role = matches!(init_caller.caller.actor, Actor::Role(_));
    match state.as_ref().and_then(|state| session_name(state, context)) {
        Some(name) if !is_role => {
            let what = format!("session {name} is running");
            return Err(Failure::with_next_step(Exit::Refused, what, "cmw-session down"));
        }
        Some(_) | None => init_caller.require("uninstalling")?,
    }
    let config = context.repo.read_lasting().map_err(|e| git_config_failure(&e))?;
    let ours = context.repo.common_dir.join(hookdir::DIR).display().to_string();
    let in_effect = config.get("core.hooksPath");
    let former_place = |path: &str| hook_chain::former_common_dir(path, &context.repo.common_dir);
    let is_ours = in_effect.is_some_and(|e| {
        e.text() == ours || state.is_some() && e.is_local() && former_place(e.text()).is_some()
    });
    let former = match &state {
        Some(state) => state.policy.former_hooks_path.clone(),
        None => former_by_chain(context, &config),
    };
    let back = match (&former, is_ours) {
        (_, false) if in_effect.is_none() => "core.hooksPath is not set".to_owned(),
        (_, false) => "core.hooksPath is not ours and is kept".to_owned(),
        (Some(path), true) => format!("core.hooksPath is restored to {path}"),
        (None, true) => "core.hooksPath is unset".to_owned(),
    };
    let data = json!({"hooks_path": former, "dry_run": dry_run});
    if dry_run {
        return Ok(Answer::done(data, format!("cmw would be removed; {back}")));
    }
    // Pins must go first: without the state no command could remove them.
    let kept = pins::remove_all_permanently(context, state.as_ref())?;
    // From here on git no longer runs our hooks. The guard goes before the hooks that it guards.
    git_hook_config::remove(&context.repo).map_err(|e| git_config_failure(&e))?;
    match (former, is_ours) {
        (Some(path), true) => {
            context.repo.set_local("core.hooksPath", &path).map_err(|e| git_config_failure(&e))?;
        }
        (None, true) => {
            context.repo.unset_local("core.hooksPath").map(|_| ()).map_err(|e| git_config_failure(&e))?;
        }
        (_, false) => {}
    }
    context.repo.remove_sections("cmw").map_err(|e| git_config_failure(&e))?;
    remove_files(context)?;
    Ok(Answer::done(data, format!("cmw was removed; {back}")).noting(kept.join("\n")))
}

/// Returns the former `core.hooksPath` when the state that records it cannot be read: the chained directory,
/// unless git uses that one by default.
fn former_by_chain(context: &Context<'_>, config: &Config) -> Option<String> {
    let by_default = context.repo.common_dir.join("hooks").display().to_string();
    let elsewhere = config.get_all("core.hooksPath").into_iter().rfind(|entry| !entry.is_local());
    read_chained(context.store.disk())
        .filter(|chained| *chained != by_default && elsewhere.is_none_or(|entry| entry.text() != chained))
}

fn remove_files(context: &Context<'_>) -> Result<(), StoreError> {
    let disk = context.store.disk();
    let names = names(disk, "")?;
    let segments = names.iter().filter(|n| n.starts_with("message-registry") && n.ends_with(".json"));
    for file in FILES.into_iter().chain(segments.map(String::as_str)) {
        remove(disk, file)?;
    }
    for file in AUDIT {
        remove(disk, &format!("audit/{file}"))?;
    }
    remove_messages(disk)?;
    // This directory is ours entirely.
    disk.remove_tree("cmw").map_err(|e| StoreError::io("remove", "cmw", e))?;
    ["audit/archive", "audit", "locks"].into_iter().try_for_each(|dir| remove_if_empty(disk, dir))
}

/// Removes the copies of messages, and the directories that are empty then.
fn remove_messages(disk: &RealDisk) -> Result<(), StoreError> {
    for name in names(disk, "messages")? {
        let mailbox = format!("messages/{name}");
        for shelf in SHELVES {
            let dir = format!("{mailbox}/{shelf}");
            for file in names(disk, &dir)?.iter().filter(|file| is_message(file)) {
                remove(disk, &format!("{dir}/{file}"))?;
            }
            remove_if_empty(disk, &dir)?;
        }
        remove_if_empty(disk, &mailbox)?;
    }
    remove_if_empty(disk, "messages")
}

/// Returns whether a file of a mailbox has one of our names: in `bad/` a number may follow it.
fn is_message(file: &str) -> bool {
    let stem = file.rsplit_once('.').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
    mailbox::parse_name(stem.map_or(file, |(stem, _)| stem)).is_some()
}

/// Returns the entries of a directory; none if it is a file or a link, which none of ours is.
fn names(disk: &RealDisk, dir: &str) -> Result<Vec<String>, StoreError> {
    match disk.list(dir) {
        Err(e) if is_no_directory(&e) => Ok(Vec::new()),
        listed => listed.map_err(|e| StoreError::io("list", dir, e)),
    }
}

fn remove(disk: &RealDisk, file: &str) -> Result<(), StoreError> {
    match disk.remove(file) {
        Err(e) if is_no_directory(&e) => Ok(()),
        removed => removed.map_err(|e| StoreError::io("remove", file, e)),
    }
}

fn remove_if_empty(disk: &RealDisk, dir: &str) -> Result<(), StoreError> {
    match disk.remove_empty_dir(dir) {
        Err(e) if is_no_directory(&e) => Ok(()),
        removed => removed.map_err(|e| StoreError::io("remove", dir, e)),
    }
}

/// Returns whether the error means that our directory does not exist: it is missing, a file or a link.
fn is_no_directory(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidData)
}
