//! Owns how an event is told to a person: one sentence for each.
//!
//! Invariants (each has a test of the same name):
//! * `every_event_is_told_in_one_safe_line` (I14)
//! * `the_list_of_names_is_whole`

pub use crate::domain::audit::event_names::{NAMES, about, name};

use crate::domain::audit::journal_entry::{Cause, Stray};
use crate::domain::audit::record::Record;
use crate::domain::audit::severity::Severity;
use crate::domain::audit::violation;
use crate::domain::event::Event;
use crate::domain::freeze::freeze_state::GlassEnd;
use crate::domain::guard::git_ref::RefName;
use crate::domain::health::describe::{health, work};
use crate::domain::health::incident::SessionLost;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::lock::write_lock::{Held, lock_id};
use crate::domain::util::path_encoding;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;
use crate::domain::util::time_arg;

/// How many names a sentence carries.
const NAMES_MAX: usize = 3;

/// Whether a record is by somebody or about them.
#[must_use]
pub fn concerns(record: &Record, actor: &Actor) -> bool {
    let is_among = |roles: &[Role]| actor.role().is_some_and(|role| roles.contains(role));
    if let Event::InstancesPaused { roles, .. } | Event::InstancesResumed { roles } = &record.event
        && is_among(roles)
    {
        return true;
    }
    if let Event::MessagesUndelivered { mailbox, senders, .. } = &record.event {
        let is_theirs = actor.role().is_some_and(|role| role.as_str() == mailbox);
        return is_theirs || senders.contains(actor) || record.by == *actor;
    }
    if let Event::SessionLost(SessionLost { roles, .. }) = &record.event
        && is_among(roles)
    {
        return true;
    }
    if let Event::TaskReassigned(it) = &record.event
        && is_among(std::slice::from_ref(&it.former))
    {
        return true;
    }
    record.by == *actor || about(&record.event).as_ref() == Some(actor)
}

/// One line of a log: number, time, a mark when somebody should care, who, what, and the sentence.
#[must_use]
pub fn line(record: &Record) -> String {
    let (at, mark) = (time_arg::minute(record.at), mark(record.severity));
    let (name, told) = (name(&record.event), describe(record));
    format!("{} {at} {mark}{} {name} {told}", record.seq, record.by).trim_end().to_owned()
}

/// A mark that is seen without colours too.
#[must_use]
pub fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "",
        Severity::Warning => "! ",
        Severity::High => "!! ",
    }
}

/// What happened, in one sentence that follows who did it and what it is called.
#[must_use]
pub fn describe(record: &Record) -> String {
    let by = &record.by;
    match &record.event {
        Event::PolicySet { .. } | Event::CommitVerified { .. } | Event::WorkRescued { .. } => {
            at_length(&record.event, by)
        }
        Event::WeakeningRefused { who, weakens, why } => {
            format!("{}{}: {}", other("", who, by), listed(weakens, "; "), sanitize::line(why))
        }
        Event::PolicyRestored { changed, .. } => {
            format!("somebody had changed it in the state: {}", listed(changed, ", "))
        }
        Event::HooksAdopted { former, adopted, .. } => {
            format!(
                "those in {} run after ours (before: {})",
                sanitize::line(adopted),
                sanitize::line(former)
            )
        }
        Event::SessionUp { name, .. } => sanitize::line(name),
        Event::SessionDown => String::new(),
        Event::SessionLost(_)
        | Event::InstanceStopping(_)
        | Event::InstanceCrashed(_)
        | Event::RestartBegun(_)
        | Event::InstanceRestarted(_)
        | Event::RestartFailed(_)
        | Event::InstanceStale(_)
        | Event::InstanceRecovered(_)
        | Event::InstanceParked(_)
        | Event::InstanceUnparked(_) => health(&record.event),
        Event::TaskAssigned(_)
        | Event::TaskStarted(_)
        | Event::TaskDone(_)
        | Event::TaskCancelled(_)
        | Event::TaskReassigned(_)
        | Event::WorkBlocked(_) => work(&record.event),
        Event::InstanceLaunched { role, pane_id, .. } => {
            format!("{role} in pane {}", sanitize::line(pane_id))
        }
        Event::InstanceRegistered { role, process, .. } => {
            format!("{}process {}", other("", &Actor::Role(role.clone()), by), process.pid)
        }
        Event::InstanceShutdown { role } => role.to_string(),
        Event::InitializationVerified { findings } if findings.is_empty() => "all is well".to_owned(),
        Event::InitializationVerified { findings } => listed(findings, "; "),
        Event::LockRequested { waiter } => {
            let (whom, request) = (other("", &waiter.actor, by), &waiter.request);
            let purpose = bracketed(&request.purpose);
            format!("{whom}waits for {}, {}{purpose}", claim(&request.files), request.priority)
        }
        Event::LockGranted { lease, .. } => granted(lease, by),
        Event::LockRenewed { lock_id, expires_at, files, .. } => {
            format!("{} until {} for {}", sanitize::line(lock_id), expires_at.clock(), claim(files))
        }
        Event::LockReleased { lock_id, holder, reason, .. } => {
            let of = other("of ", holder, by);
            format!("{} {of}({})", sanitize::line(lock_id), ended(reason))
        }
        Event::LockOffered { offer } => format!("kept for {} until {}", offer.to, offer.until_at.clock()),
        Event::OfferMissed { waiter } => format!("{} did not take it up ({})", waiter.actor, waiter.missed),
        Event::RecoveryStarted { recovery } => {
            let (unsaved, of) = (&recovery.unsaved, &recovery.unsaved.former);
            format!("of {of} under {} ({})", lock_id(unsaved.token), ended(&unsaved.reason))
        }
        Event::RecoveryFailed { former, token, why, .. } => {
            format!("of {former} under {}: {}", lock_id(*token), sanitize::line(why))
        }
        Event::RescueAbandoned { former, token, reason } => {
            format!("of {former} under {}: {}", lock_id(*token), sanitize::line(reason))
        }
        Event::InstancesPaused { roles, reason } => {
            format!("{}{}", listed(roles, ", "), bracketed(reason))
        }
        Event::InstancesResumed { roles } => listed(roles, ", "),
        Event::CheckWarned { who, action, check, why } => {
            let (action, why) = (sanitize::line(action), sanitize::line(why));
            format!("{}{action}: {why} ({} only warns)", other("", who, by), check.as_str())
        }
        Event::WaiterRemoved { waiter, reason, .. } => {
            format!("{}{}", other("", waiter, by), removed(*reason))
        }
        Event::LockRefused { who, action, why } => {
            format!("{}{}: {}", other("", who, by), sanitize::line(action), sanitize::line(why))
        }
        Event::ViolationFound { id, cause, refs } => found(*id, cause, refs, by),
        Event::ViolationsAdopted { ids, reason } => {
            format!(
                "{}: {}",
                listed(&ids.iter().map(|id| format!("V{id}")).collect::<Vec<_>>(), ", "),
                sanitize::line(reason)
            )
        }
        Event::RefsBaselined { refs, why } => format!("{refs} refs ({})", sanitize::line(why)),
        Event::SelfTested { held, what } => {
            format!("the hooks {}: {}", if *held { "hold" } else { "DO NOT HOLD" }, sanitize::line(what))
        }
        Event::JournalLost { byte, why } => format!("at byte {byte}: {}", sanitize::line(why)),
        Event::MessageQuarantined { mailbox, file, why, .. } => {
            format!(
                "{} in the mailbox of {}: {}",
                sanitize::line(file),
                sanitize::line(mailbox),
                sanitize::line(why)
            )
        }
        Event::MessagesUndelivered { mailbox, count, why, .. } => {
            format!("{count} for {}: {}", sanitize::line(mailbox), sanitize::line(why))
        }
        Event::StateRebuilt { records, .. } => format!("the state was made again from {records} records"),
        Event::SystemFrozen { reason, pins: None, .. } => sanitize::line(reason),
        Event::SystemFrozen { reason, pins: Some(wish), .. }
        | Event::FreezeHardened { reason, pins: wish } => {
            format!("hard ({}): {}", sanitize::branches(wish.refs.len()), sanitize::line(reason))
        }
        Event::PinsSet { pins, .. } => listed(&pins.keys().map(branch).collect::<Vec<_>>(), ", "),
        Event::PinsRemoved { references, .. } => {
            listed(&references.iter().map(branch).collect::<Vec<_>>(), ", ")
        }
        Event::PinVanished { reference, .. } => {
            format!("somebody took away the pin of {}", branch(reference))
        }
        Event::BreakGlass { reason, until_at, .. } => {
            format!("moves branches without the lock until {}: {}", until_at.clock(), sanitize::line(reason))
        }
        Event::BreakGlassEnded { why: GlassEnd::Ended } => String::new(),
        Event::BreakGlassEnded { why: GlassEnd::TimeOver } => "its time is over".to_owned(),
        Event::SystemUnfrozen { reason, still } => {
            format!("after {}: {}", human(still.to.ms_since(&still.from)), sanitize::line(reason))
        }
    }
}

/// A violation, its refs and where they were found.
fn found(id: u64, cause: &Cause, refs: &[Stray], by: &Actor) -> String {
    let told: Vec<String> = refs.iter().map(|r| violation::moved(&r.name, &r.was, &r.is)).collect();
    let what = format!("{}{}", listed(&told, "; "), bracketed(&violation::told(cause)));
    format!("V{id}: {}, noticed by {by}, who did it is not known", what.trim_start())
}

/// The events that say more than fits into one line of code.
fn at_length(event: &Event, by: &Actor) -> String {
    if let Event::PolicySet { policy, weakens, .. } = event {
        let roles = policy.roster.members().len();
        let weaker =
            if weakens.is_empty() { String::new() } else { format!("; WEAKENED: {}", listed(weakens, "; ")) };
        return format!("{}, {}, {roles} roles{weaker}", policy.mode, policy.preset);
    }
    if let Event::WorkRescued { lock_id, former, reference, files, skipped, unstaged, .. } = event {
        let what = match reference {
            Some(reference) => {
                let count = sanitize::files(usize::try_from(*files).unwrap_or(usize::MAX));
                format!("{count} of {former}: cmw-rescue show {}", rescue_name(reference))
            }
            None => format!("{former} left nothing uncommitted"),
        };
        let more = |title: &str, names: &[String]| {
            if names.is_empty() { String::new() } else { format!("; {title}: {}", listed(names, ", ")) }
        };
        let (skipped, unstaged) = (more("not saved", skipped), more("unstaged", unstaged));
        return format!("{} {what}{skipped}{unstaged}", sanitize::line(lock_id));
    }
    let Event::CommitVerified { lock_id, holder, branch, commit, files, outside, lease_was_over, .. } = event
    else {
        return String::new();
    };
    let branch = path_encoding::shown(branch.strip_prefix("refs/heads/").unwrap_or(branch));
    let what = short(commit).map_or_else(|| format!("{branch} removed"), |oid| format!("{oid} on {branch}"));
    let count = if files.is_empty() { String::new() } else { format!(", {}", sanitize::files(files.len())) };
    let outside =
        if outside.is_empty() { String::new() } else { format!(", NOT CLAIMED: {}", listed(outside, ", ")) };
    let late = if *lease_was_over { ", AFTER THE LEASE WAS OVER" } else { "" };
    format!("{} {}{what}{count}{outside}{late}", sanitize::line(lock_id), other("", holder, by))
}

fn granted(lease: &Held, by: &Actor) -> String {
    let (id, to) = (lease.lock_id(), other("to ", &lease.holder, by));
    format!("{id} {to}for {}{}", claim(&lease.request.files), bracketed(&lease.request.purpose))
}

/// Why a lease ended.
#[must_use]
pub fn ended(reason: &Release) -> String {
    match reason {
        Release::Done => "done".to_owned(),
        Release::Handover => "handed over".to_owned(),
        Release::Expired => "its lease ran out".to_owned(),
        Release::HolderDied => "its process is gone".to_owned(),
        Release::CommandEnded => "its git is done".to_owned(),
        Release::NotTakenUp => "nobody saw the grant".to_owned(),
        Release::Shutdown => "it was shut down".to_owned(),
        Release::Forced(reason) => format!("taken away: {}", sanitize::line(reason)),
        Release::Freeze => "the system was frozen".to_owned(),
        Release::Parked => "a usage limit stops its holder".to_owned(),
    }
}

/// Why somebody left the queue.
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

/// The kind of a refusal: what it says without names of work, times and counts, so that the same one
/// again is found to be the same.
#[must_use]
pub fn reason(why: &str) -> String {
    let ends = [" for \"", " since ", " (", ": ", ", for "].iter().filter_map(|mark| why.find(mark));
    sanitize::line(&why[..ends.min().unwrap_or(why.len())])
}

/// What was refused, for people: hooks record their own names.
#[must_use]
pub fn deed(action: &str) -> String {
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

/// The name by which `cmw-rescue` knows a rescue.
#[must_use]
pub fn rescue_name(reference: &str) -> String {
    path_encoding::shown(reference.strip_prefix(crate::domain::rescue::note::PREFIX).unwrap_or(reference))
}

/// The beginning of a commit's id; `None` when the branch was removed.
#[must_use]
pub fn short(commit: &str) -> Option<String> {
    let is_none = commit.bytes().all(|b| b == b'0');
    (!is_none).then(|| sanitize::line(commit.get(..10).unwrap_or(commit)))
}

/// A branch's short name.
#[must_use]
pub fn branch(name: &RefName) -> String {
    path_encoding::shown(name.as_str().strip_prefix("refs/heads/").unwrap_or(name.as_str()))
}

/// Somebody, when it is somebody else than whoever brought it about.
fn other(before: &str, actor: &Actor, by: &Actor) -> String {
    if actor == by { String::new() } else { format!("{before}{actor} ") }
}

fn claim(files: &Claim) -> String {
    sanitize::line(&files.to_string())
}

pub(crate) fn bracketed(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({})", sanitize::line(words)) }
}

/// The first few, and how many more there are.
pub(crate) fn listed<T: ToString>(names: &[T], between: &str) -> String {
    let shown: Vec<String> =
        names.iter().take(NAMES_MAX).map(|n| path_encoding::shown(&n.to_string())).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(between))
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
