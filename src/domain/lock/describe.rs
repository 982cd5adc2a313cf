//! Sentences for the events of the write lock, and for the reasons of an end.

use crate::domain::guard::git_ref::short;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::lock::write_lock::Lease;
use crate::domain::util::path_encoding;
use crate::domain::util::phrase::{bracketed, listed, other};
use crate::domain::util::sanitize;

/// Returns the sentence; it follows the name of the actor and the event's tag.
pub(crate) fn describe(event: &LockEvent, by: &Actor) -> String {
    match event {
        LockEvent::LockRequested { waiter } => {
            let (whom, request) = (other("", &waiter.actor, by), &waiter.request);
            let purpose = bracketed(&request.purpose);
            format!("{whom}waits for {}, {}{purpose}", claim(&request.files), request.priority)
        }
        LockEvent::LockGranted { lease, .. } => granted(lease, by),
        LockEvent::LockRenewed { lock_id, expires_at, files, .. } => {
            format!("{} until {} for {}", sanitize::line(lock_id), expires_at.clock(), claim(files))
        }
        LockEvent::LockReleased { lock_id, holder, reason, .. } => {
            let of = other("of ", holder, by);
            format!("{} {of}({})", sanitize::line(lock_id), ended(reason))
        }
        LockEvent::LockOffered { offer } => {
            format!("reserved for {} until {}", offer.to, offer.until_at.clock())
        }
        LockEvent::OfferMissed { waiter } => {
            format!("{} did not take it up ({})", waiter.actor, waiter.missed)
        }
        LockEvent::WaiterRemoved { waiter, reason, .. } => {
            format!("{}{}", other("", waiter, by), removed(*reason))
        }
        LockEvent::LockRefused { who, action, why } => {
            format!("{}{}: {}", other("", who, by), sanitize::line(action), sanitize::line(why))
        }
        LockEvent::CommitVerified {
            lock_id, holder, branch, commit, files, outside, lease_was_over, ..
        } => {
            let what = committed(branch, commit, files, outside);
            let late = if *lease_was_over { ", AFTER THE LEASE WAS OVER" } else { "" };
            format!("{} {}{what}{late}", sanitize::line(lock_id), other("", holder, by))
        }
    }
}

fn granted(lease: &Lease, by: &Actor) -> String {
    let (id, to) = (lease.lock_id(), other("to ", &lease.holder, by));
    format!("{id} {to}for {}{}", claim(&lease.request.files), bracketed(&lease.request.purpose))
}

fn committed(branch: &str, commit: &str, files: &[String], outside: &[String]) -> String {
    let branch = path_encoding::shown(branch.strip_prefix("refs/heads/").unwrap_or(branch));
    let what = short(commit).map_or_else(|| format!("{branch} removed"), |oid| format!("{oid} on {branch}"));
    let count = if files.is_empty() { String::new() } else { format!(", {}", sanitize::files(files.len())) };
    let outside =
        if outside.is_empty() { String::new() } else { format!(", NOT CLAIMED: {}", listed(outside, ", ")) };
    format!("{what}{count}{outside}")
}

fn claim(files: &Claim) -> String {
    sanitize::line(&files.to_string())
}

/// Returns why a lease ended.
#[must_use]
pub fn ended(reason: &Release) -> String {
    match reason {
        Release::Done => "done".to_owned(),
        Release::Handover => "handed over".to_owned(),
        Release::Expired => "its lease ran out".to_owned(),
        Release::HolderDied => "its process is gone".to_owned(),
        Release::CommandEnded => "its git is done".to_owned(),
        Release::NotTakenUp => "no command saw the grant".to_owned(),
        Release::Shutdown => "it was shut down".to_owned(),
        Release::Forced(reason) => format!("taken away: {}", sanitize::line(reason)),
        Release::Freeze => "the system was frozen".to_owned(),
        Release::Parked => "a usage limit stops its holder".to_owned(),
    }
}

/// Returns why a waiter left the queue.
#[must_use]
pub fn removed(reason: Removal) -> &'static str {
    match reason {
        Removal::Cancelled => "left the queue",
        Removal::Died => "lost its place in the queue: its process is gone",
        Removal::Silent => "lost its place in the queue: nothing was heard of it for too long",
        Removal::Shutdown => "left the queue: it was shut down",
        Removal::Missed => "lost its place in the queue: it missed one offer too many",
    }
}

/// Returns the kind of a refusal: its text without names of work, times and counts, so that repetitions are
/// recognised.
#[must_use]
pub fn reason(why: &str) -> String {
    let ends = [" for \"", " since ", " (", ": ", ", for "].iter().filter_map(|mark| why.find(mark));
    sanitize::line(&why[..ends.min().unwrap_or(why.len())])
}

/// Returns the refused action for people: hooks record their own names.
#[must_use]
pub fn action_name(action: &str) -> String {
    match action {
        "pre-commit" | "prepare-commit-msg" => "committing".to_owned(),
        "pre-merge-commit" => "merging".to_owned(),
        "applypatch-msg" => "applying a patch".to_owned(),
        "pre-rebase" => "rebasing".to_owned(),
        "pre-push" | "pre-receive" => "pushing".to_owned(),
        "reference-transaction" => "moving a branch".to_owned(),
        other => sanitize::line(other),
    }
}
