//! Saves the uncommitted work of a former holder of the write lock, before the lock is granted again
//! (docs/decisions.md D2).
//!
//! Invariant: the lock leaves the state `Recovering` only after the snapshot's ref exists, or after an
//! authorised actor gave the work up. Only commands do this, outside the gate; the next command completes
//! what a killed one left undone, and a second snapshot is harmless.

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::adapters::git::Repo;
use crate::adapters::git::rescue::snapshot::{Snapshot, SnapshotLimits};
use crate::adapters::os::{clock, process};
use crate::domain::command::{Caller, Command, RescueOutcome};
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::describe::ended;
use crate::domain::lock::release::Release;
use crate::domain::lock::write_lock::{UnsavedWork, lock_id};
use crate::domain::policy::mode::Mode;
use crate::domain::rescue::note::{self, RescueNote, SkippedPath};
use crate::domain::state::State;
use crate::domain::util::path_encoding::to_text;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;
use crate::store::watch::Watch;

use crate::app::error::{Failure, with_causes};
use crate::app::exit::Exit;
use crate::app::guard::ownership;
use crate::app::workspace::Context;

/// How many names an audit record has at most.
const NAMES_MAX: usize = 20;
/// The age from which on a lock file of an ended git process is removed, in milliseconds.
pub const STALE_LOCK_MS: u64 = 3_000;

/// How long a commit waits for the index, in milliseconds.
const INDEX_MS: u64 = 10_000;

/// How long a snapshot may take, in milliseconds: less than other commands wait for it (docs/decisions.md
/// D2).
const SNAPSHOT_MS: u64 = 9_000;

/// Returns the work that this command has to save: because it does the recovery, or because it froze
/// everything, which no command waits for.
#[must_use]
pub fn unsaved_to_rescue(state: &State, caller: &Caller, command: &Command) -> Option<UnsavedWork> {
    let me = process::current();
    let mine = state.recovery().filter(|r| r.by == me).map(|r| r.unsaved.clone());
    mine.or_else(|| match (&state.system, command) {
        (FreezeState::Frozen { by, unsaved, .. }, Command::Freeze { .. }) if *by == caller.actor => {
            unsaved.clone()
        }
        (FreezeState::Frozen { .. } | FreezeState::Running, _) => None,
    })
}

/// Saves it, and returns the state afterwards.
///
/// # Errors
/// [`Failure`] when the store failed. A failed snapshot is recorded, and is no error of this command.
pub fn save(
    context: &Context<'_>,
    caller: &Caller,
    state: &State,
    unsaved: &UnsavedWork,
) -> Result<State, Failure> {
    let outcome = match snapshot(context, caller, state, unsaved) {
        Ok(saved) => saved,
        Err(why) => {
            context
                .env
                .report(&format!("warning: the uncommitted work of {} is not saved: {why}", unsaved.former));
            RescueOutcome::Failed { why }
        }
    };
    Ok(context.publish(caller, &Command::Rescued { token: unsaved.token, outcome })?.state)
}

/// Takes the snapshot; in shared mode unstages what the former holder had staged, so that no other role
/// commits it by accident.
fn snapshot(
    context: &Context<'_>,
    caller: &Caller,
    state: &State,
    unsaved: &UnsavedWork,
) -> Result<RescueOutcome, String> {
    let nothing = |skipped: Vec<String>| RescueOutcome::Saved {
        reference: None,
        files: 0,
        skipped,
        unstaged: Vec::new(),
    };
    let repo = match work_tree(context, unsaved) {
        Ok(Some(repo)) => repo,
        Ok(None) => {
            let gone = unsaved.work_tree.as_deref().unwrap_or("the work tree");
            return Ok(nothing(vec![format!("{} is gone", sanitize::line(gone))]));
        }
        Err(why) => return Err(why),
    };
    context.env.report(&remove_stale_locks(&repo).join("\n"));
    let Some(saved) = within_time(&repo, unsaved)? else { return Ok(nothing(Vec::new())) };
    // A role that returns to its own work finds it unchanged; and a merge in progress must not be concluded
    // by the next commit of another role without its changes.
    let comes_back = unsaved.former == caller.actor && unsaved.reason == Release::Expired;
    let index_stays = unsaved.index_stays || comes_back || repo.operation_in_progress().is_some();
    let unstaged = if index_stays { Vec::new() } else { unstage(context, &repo, state, unsaved) };
    Ok(RescueOutcome::Saved {
        files: saved.changed as u64,
        skipped: skipped(&saved),
        unstaged,
        reference: Some(saved.ref_name),
    })
}

/// Takes the snapshot, with a time limit: a hanging filter must not stop all commands.
fn within_time(repo: &Repo, unsaved: &UnsavedWork) -> Result<Option<Snapshot>, String> {
    let message = message(repo, unsaved);
    let (prefix, stamp) = (unsaved.former.to_string(), note::stamp(unsaved.ended_at));
    let (tell, told) = channel();
    let it = repo.clone();
    std::thread::spawn(move || {
        let saved = it.snapshot(&prefix, &stamp, &message, SnapshotLimits::default());
        // The receiver is gone after a timeout.
        let _ = tell.send(saved.map_err(|e| with_causes(&e)));
    });
    told.recv_timeout(Duration::from_millis(SNAPSHOT_MS)).unwrap_or_else(|_| {
        process::end_descendants();
        Err(format!("it took longer than {}; does a git filter hang?", human(SNAPSHOT_MS)))
    })
}

/// Returns the work tree of the former holder; `None` when it no longer exists.
fn work_tree(context: &Context<'_>, unsaved: &UnsavedWork) -> Result<Option<Repo>, String> {
    let path = match &unsaved.work_tree {
        Some(path) => Path::new(path).to_owned(),
        None => match context.repo.work_trees().map_err(|e| with_causes(&e))?.into_iter().next() {
            Some(main) => main,
            None => return Ok(None),
        },
    };
    if !path.is_dir() {
        return Ok(None);
    }
    let repo = context.repo.in_work_tree(&path).map_err(|e| with_causes(&e))?;
    // Another repository has replaced it: the work is gone.
    Ok(Some(repo).filter(|repo| repo.common_dir == context.repo.common_dir))
}

/// Removes the lock files of killed git processes, which block all others; returns what was done.
pub fn remove_stale_locks(repo: &Repo) -> Vec<String> {
    let cleared = repo.stale_locks(STALE_LOCK_MS).into_iter().map(|lock| {
        let shown = sanitize::line(&lock.path.display().to_string());
        match repo.remove_stale(&lock) {
            Ok(()) => format!("removed {shown}, left by a git process that has ended"),
            Err(error) => format!("could not remove {shown}, left by a git process that has ended: {error}"),
        }
    });
    cleared.collect()
}

/// Waits while another git process writes this index: twelve agents share one, and each holds it for a
/// moment. Removes stale lock files.
///
/// # Errors
/// [`Failure`] when it is not free within [`INDEX_MS`].
pub fn wait_for_the_index(context: &Context<'_>) -> Result<(), Failure> {
    let repo = &context.repo;
    let lock = repo.git_dir.join("index.lock");
    let began = clock::now().boot;
    let waited_ms = || clock::now().boot.ms_since(&began);
    let is_taken = || lock.symlink_metadata().is_ok();
    if !is_taken() {
        return Ok(());
    }
    let cannot = |e: std::io::Error| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor")
    };
    let pause = Watch::none();
    while is_taken() && waited_ms() < INDEX_MS {
        if waited_ms() > STALE_LOCK_MS {
            context.env.report(&remove_stale_locks(repo).join("\n"));
        }
        pause.wait(None, 50).map_err(cannot)?;
    }
    if is_taken() {
        let what = "another git process has locked the index (index.lock); nothing was committed";
        return Err(Failure::with_next_step(Exit::Busy, what, "cmw-doctor"));
    }
    Ok(())
}

/// Unstages the former holder's files, as far as they are known: claimed by it or last edited by it, and by
/// no other role; returns their names.
fn unstage(context: &Context<'_>, repo: &Repo, state: &State, unsaved: &UnsavedWork) -> Vec<String> {
    let Some(root) = repo.work_tree.as_deref().filter(|_| state.policy.mode == Mode::Shared) else {
        return Vec::new();
    };
    let Ok(staged) = repo.staged_paths(None) else { return Vec::new() };
    let owners = ownership::owners(context.store.disk(), root, state, &unsaved.former, &staged);
    let is_its = |path: &Vec<u8>| match (owners.get(path), &unsaved.files) {
        (Some(role), _) => Actor::Role(role.clone()) == unsaved.former,
        // A file without a recorded edit may be any role's.
        (None, Claim::All) => false,
        (None, Claim::Paths(_)) => unsaved.files.covers(path),
    };
    let its: Vec<Vec<u8>> = staged.into_iter().filter(is_its).collect();
    match repo.unstage(&its) {
        Ok(()) => its.iter().take(NAMES_MAX).map(|path| to_text(path)).collect(),
        Err(error) => {
            context.env.report(&format!(
                "warning: the files staged by {} stay staged: {}",
                unsaved.former,
                with_causes(&error)
            ));
            Vec::new()
        }
    }
}

fn skipped(saved: &Snapshot) -> Vec<String> {
    let one = |s: &SkippedPath| format!("{}: {}", to_text(&s.path), s.why);
    let mut all: Vec<String> = saved.skipped.iter().take(NAMES_MAX).map(one).collect();
    if saved.skipped.len() > all.len() {
        all.push(format!("and {} more", saved.skipped.len() - all.len()));
    }
    all
}

fn message(repo: &Repo, unsaved: &UnsavedWork) -> String {
    let half_done =
        repo.operation_in_progress().map_or_else(String::new, |what| format!("; a {what} was in progress"));
    let note = RescueNote {
        role: unsaved.former.to_string(),
        reason: format!("{}{half_done}", ended(&unsaved.reason)),
        lock: Some(lock_id(unsaved.token)),
        work_tree: repo.work_tree.as_ref().map(|path| path.display().to_string()),
        ..RescueNote::default()
    };
    note.message()
}
