//! Owns saving what a former holder of the write lock left, before anybody else gets it (DECISIONS 2).
//!
//! Invariant: the lock leaves the state `Recovering` only after the snapshot's ref is there, or when
//! somebody with the right to do so gave it up. Only commands do this, outside the gate; a command that
//! is killed on the way is followed by the next one, and a snapshot made twice harms nobody.

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::adapters::git::Repo;
use crate::adapters::git::rescue::snapshot::{Snapshot, SnapshotLimits};
use crate::adapters::os::{clock, process};
use crate::domain::command::{Asker, Command, Rescue};
use crate::domain::describe;
use crate::domain::freeze::freeze_state::System;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::release::Release;
use crate::domain::lock::write_lock::{Unsaved, lock_id};
use crate::domain::policy::mode::Mode;
use crate::domain::rescue::note;
use crate::domain::rescue::note::{Note, Skipped};
use crate::domain::state::State;
use crate::domain::util::path_encoding::to_text;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;
use crate::store::watch::Watch;

use crate::app::error::{Failure, with_causes};
use crate::app::exit::Exit;
use crate::app::guard::ownership;
use crate::app::workspace::Context;

/// How many names an audit record carries.
const NAMES_MAX: usize = 20;
/// A lock file of a git that is gone is in everybody's way from this age on, in milliseconds.
pub const STALE_LOCK_MS: u64 = 3_000;

/// How long a commit waits for the index, in milliseconds.
const INDEX_MS: u64 = 10_000;

/// How long a snapshot may take, in milliseconds: less than the others wait for it (DECISIONS 2).
const SNAPSHOT_MS: u64 = 9_000;

/// What this command has to save, when it has to: because it is at it, or because it froze everything,
/// for which nobody waits.
#[must_use]
pub fn due(state: &State, asker: &Asker, command: &Command) -> Option<Unsaved> {
    let me = process::me();
    let mine = state.recovery().filter(|r| r.by == me).map(|r| r.unsaved.clone());
    mine.or_else(|| match (&state.system, command) {
        (System::Frozen { by, unsaved, .. }, Command::Freeze { .. }) if *by == asker.actor => unsaved.clone(),
        (System::Frozen { .. } | System::Running, _) => None,
    })
}

/// Saves it, and gives the state afterwards.
///
/// # Errors
/// [`Failure`] when the store failed. That something could not be saved is recorded, and no error of
/// this command.
pub fn save(
    context: &Context<'_>,
    asker: &Asker,
    state: &State,
    unsaved: &Unsaved,
) -> Result<State, Failure> {
    let outcome = match snapshot(context, asker, state, unsaved) {
        Ok(saved) => saved,
        Err(why) => {
            context
                .env
                .report(&format!("warning: the uncommitted work of {} is not saved: {why}", unsaved.former));
            Rescue::Failed { why }
        }
    };
    Ok(context.publish(asker, &Command::Rescued { token: unsaved.token, outcome })?.state)
}

/// Takes the snapshot; in shared mode what the former holder had staged is unstaged, so that nobody
/// else commits it by accident.
fn snapshot(
    context: &Context<'_>,
    asker: &Asker,
    state: &State,
    unsaved: &Unsaved,
) -> Result<Rescue, String> {
    let nothing =
        |skipped: Vec<String>| Rescue::Saved { reference: None, files: 0, skipped, unstaged: Vec::new() };
    let repo = match work_tree(context, unsaved) {
        Ok(Some(repo)) => repo,
        Ok(None) => {
            let gone = unsaved.work_tree.as_deref().unwrap_or("the work tree");
            return Ok(nothing(vec![format!("{} is gone", sanitize::line(gone))]));
        }
        Err(why) => return Err(why),
    };
    context.env.report(&clear_the_way(&repo).join("\n"));
    let Some(saved) = within_time(&repo, unsaved)? else { return Ok(nothing(Vec::new())) };
    // Who comes back to its own work finds it as it was; and a merge that is half done must not be
    // concluded by somebody's next commit without what it brought.
    let comes_back = unsaved.former == asker.actor && unsaved.reason == Release::Expired;
    let index_stays = unsaved.index_stays || comes_back || repo.unfinished().is_some();
    let unstaged = if index_stays { Vec::new() } else { unstage(context, &repo, state, unsaved) };
    Ok(Rescue::Saved {
        files: saved.changed as u64,
        skipped: skipped(&saved),
        unstaged,
        reference: Some(saved.ref_name),
    })
}

/// Takes the snapshot, and gives up when it takes too long: a filter that hangs must not stop everybody.
fn within_time(repo: &Repo, unsaved: &Unsaved) -> Result<Option<Snapshot>, String> {
    let message = message(repo, unsaved);
    let (prefix, stamp) = (unsaved.former.to_string(), note::stamp(unsaved.ended_at));
    let (tell, told) = channel();
    let it = repo.clone();
    std::thread::spawn(move || {
        let saved = it.snapshot(&prefix, &stamp, &message, SnapshotLimits::default());
        // Nobody waits any more when it took too long.
        let _ = tell.send(saved.map_err(|e| with_causes(&e)));
    });
    told.recv_timeout(Duration::from_millis(SNAPSHOT_MS)).unwrap_or_else(|_| {
        process::end_descendants();
        Err(format!("it took longer than {}; does a filter of git's hang?", human(SNAPSHOT_MS)))
    })
}

/// The work tree in which the former holder worked; `None` when it is gone.
fn work_tree(context: &Context<'_>, unsaved: &Unsaved) -> Result<Option<Repo>, String> {
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
    // Another repository has taken its place: what was there is gone.
    Ok(Some(repo).filter(|repo| repo.common_dir == context.repo.common_dir))
}

/// A git that was killed leaves lock files that stop every other one, for ever; says what was done.
pub fn clear_the_way(repo: &Repo) -> Vec<String> {
    let cleared = repo.stale_locks(STALE_LOCK_MS).into_iter().map(|lock| {
        let shown = sanitize::line(&lock.path.display().to_string());
        match repo.remove_stale(&lock) {
            Ok(()) => format!("removed {shown}, which a git that is gone had left"),
            Err(error) => format!("could not remove {shown}, which a git that is gone had left: {error}"),
        }
    });
    cleared.collect()
}

/// Waits while another git writes this index: twelve agents share one, and each holds it for a moment.
/// What a git that is gone had left is removed.
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
    let cannot =
        |e: std::io::Error| Failure::told(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor");
    let pause = Watch::none().map_err(cannot)?;
    while is_taken() && waited_ms() < INDEX_MS {
        if waited_ms() > STALE_LOCK_MS {
            context.env.report(&clear_the_way(repo).join("\n"));
        }
        pause.wait(None, 50).map_err(cannot)?;
    }
    if is_taken() {
        let what = "another git has the index (index.lock); nothing was committed";
        return Err(Failure::told(Exit::Busy, what, "cmw-doctor"));
    }
    Ok(())
}

/// The names of staged files that are the former holder's as far as is known: claimed by it or edited
/// by it last, and nobody else's.
fn unstage(context: &Context<'_>, repo: &Repo, state: &State, unsaved: &Unsaved) -> Vec<String> {
    let Some(root) = repo.work_tree.as_deref().filter(|_| state.policy.mode == Mode::Shared) else {
        return Vec::new();
    };
    let Ok(staged) = repo.staged_paths(None) else { return Vec::new() };
    let owners = ownership::owners(context.store.disk(), root, state, &unsaved.former, &staged);
    let is_its = |path: &Vec<u8>| match (owners.get(path), &unsaved.files) {
        (Some(role), _) => Actor::Role(role.clone()) == unsaved.former,
        // What nobody is known to have edited may be anybody's.
        (None, Claim::All) => false,
        (None, Claim::Paths(_)) => unsaved.files.covers(path),
    };
    let its: Vec<Vec<u8>> = staged.into_iter().filter(is_its).collect();
    match repo.unstage(&its) {
        Ok(()) => its.iter().take(NAMES_MAX).map(|path| to_text(path)).collect(),
        Err(error) => {
            context.env.report(&format!(
                "warning: what {} had staged stays staged: {}",
                unsaved.former,
                with_causes(&error)
            ));
            Vec::new()
        }
    }
}

fn skipped(saved: &Snapshot) -> Vec<String> {
    let one = |s: &Skipped| format!("{}: {}", to_text(&s.path), s.why);
    let mut all: Vec<String> = saved.skipped.iter().take(NAMES_MAX).map(one).collect();
    if saved.skipped.len() > all.len() {
        all.push(format!("and {} more", saved.skipped.len() - all.len()));
    }
    all
}

fn message(repo: &Repo, unsaved: &Unsaved) -> String {
    let half_done = repo.unfinished().map_or_else(String::new, |what| format!("; a {what} was half done"));
    let note = Note {
        role: unsaved.former.to_string(),
        reason: format!("{}{half_done}", describe::ended(&unsaved.reason)),
        lock: Some(lock_id(unsaved.token)),
        work_tree: repo.work_tree.as_ref().map(|path| path.display().to_string()),
        ..Note::default()
    };
    note.message()
}
