//! `cmw since`: what happened since a time, collected once, and the suggested next command.
//!
//! It claims no message and writes nothing.

pub mod health;
pub mod screen;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::adapters::os::clock;
use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::audit::record::Record;
use crate::domain::audit::severity::Severity;
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::freeze::event::FreezeEvent;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::guard::git_ref::Oid;
use crate::domain::guard::git_ref::short;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::lock::describe::{action_name, reason};
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::mail::message::Envelope;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::rescue::note::rescue_name;
use crate::domain::state::State;
use crate::domain::util::time::WallTime;
use crate::store::audit::ingest;
use crate::store::audit::reader::AuditReader;
use crate::store::disk::{Disk, RealDisk};
use crate::store::mail::mailbox;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::guard::hook_check;
use crate::app::mail::session::{self, Sender};
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::audit::{self, problem_lines};
use crate::cli::cmw::since::health::HealthSummary;
use crate::cli::lock::show::lock_data;
use crate::cli::style::{Colors, ScreenSize};

/// The default period.
pub const USUAL: &str = "12h";
/// The most messages whose subjects are read.
const MAIL_MAX: usize = 200;
/// The most commits that git is asked about.
const COMMITS_MAX: usize = 500;

/// Everything that the screen shows.
#[derive(Debug)]
pub struct SinceReport {
    /// The start of the period.
    pub from: WallTime,
    /// The same as an argument of a command line.
    pub word: String,
    /// The number of records in the period.
    pub count: usize,
    /// Damage of the audit itself; safe to print.
    pub damage: Vec<String>,
    /// Why the hooks are not run, if they are not.
    pub unguarded: Option<String>,
    /// Events of high severity, newest first.
    pub problems: Vec<Record>,
    /// Rescued work, newest first.
    pub rescued: Vec<Record>,
    /// Refusals and warnings, the most frequent first.
    pub refused: Vec<RefusalCount>,
    /// Leases and places in the queue that expired or were taken away; newest first.
    pub lost: Vec<Record>,
    /// The caller's mailbox, if it is known, and the number of new messages.
    pub mailbox: Option<(Mailbox, usize)>,
    /// The new messages, the most urgent first.
    pub mail: Vec<Envelope>,
    /// Crashes, limits, undelivered messages, tasks.
    pub health: HealthSummary,
    /// The commits of each role, the newest first.
    pub landed: Vec<LandedCommit>,
    /// The state, read once.
    pub state: State,
    /// The facts of that moment.
    pub facts: Facts,
    /// The caller, if it can be identified.
    pub me: Option<Actor>,
}

/// A refusal, with how often it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCount {
    /// The actor that was refused.
    pub who: Actor,
    /// Why, without the variable parts; safe to print.
    pub reason: String,
    /// Whether it was only a warning.
    pub warned: bool,
    /// What was tried last; safe to print.
    pub action: String,
    /// How often.
    pub count: usize,
    /// When it happened last.
    pub last: WallTime,
}

/// The commits of one actor under the lock.
#[derive(Clone, Debug)]
pub struct LandedCommit {
    /// The actor.
    pub who: Actor,
    /// How many commits.
    pub commits: usize,
    /// How many files they change, if known.
    pub files: Option<usize>,
    /// The newest one's id.
    pub newest: String,
    /// Its time.
    pub at: WallTime,
    /// Its subject, if git provides it; not safe to print as it is.
    pub subject: Option<String>,
}

/// Runs `cmw since`.
///
/// # Errors
/// [`Failure`]: no repository, no state (65, 78), an invalid time (2).
pub fn run(env: &Env, common: &Common, time: Option<&str>) -> Result<Answer, Failure> {
    let context = common.open(env)?;
    let word = time.unwrap_or(USUAL);
    let from = audit::since(word, "cmw since 8h")?;
    let since = gather(&context, from, word)?;
    let next = next(&since);
    let text = screen::render(&since, &next, ScreenSize::of(env), Colors::of(env));
    let exit = if since.damage.is_empty() { Exit::Done } else { Exit::Damaged };
    let mut answer = Answer::done(data(&since), text).exiting(exit);
    answer.hint = Some(next);
    Ok(answer)
}

/// Collects everything once.
fn gather(context: &Context<'_>, from: WallTime, word: &str) -> Result<SinceReport, Failure> {
    let disk = context.store.disk();
    let state = context.state()?;
    let facts = context.facts(&state);
    let sender = Sender::of(context, &state).ok();
    let mailbox = sender.as_ref().and_then(|sender| sender.mailbox().ok());
    let mut trail = AuditReader::open(disk)?;
    let mut records = Vec::new();
    // Ends at the first record that is too old: if the clock was set back, older ones are not found.
    while let Some(record) = trail.previous().filter(|record| record.at >= from) {
        records.push(record);
    }
    let noted: Vec<JournalEntry> = trail.pending_entries();
    let mut commits = commits_noted(disk, &trail, &facts);
    commits.extend(records.iter().filter(|r| is_commit(&r.event)).map(|r| (r.at, r.event.clone())));
    let is_rescue = |event: &Event| matches!(event, Event::Rescue(RescueEvent::WorkRescued { reference, skipped, .. }) if reference.is_some() || !skipped.is_empty());
    let only = |wanted: &dyn Fn(&Record) -> bool| records.iter().filter(|r| wanted(r)).cloned().collect();
    Ok(SinceReport {
        from,
        word: shell_quote(word),
        count: records.len(),
        unguarded: hook_check::problem(context),
        problems: only(&|record| record.severity == Severity::High),
        rescued: only(&|record| is_rescue(&record.event)),
        refused: refused(&records, &noted),
        lost: only(&|record| is_lost(&record.event)),
        mail: mailbox.as_ref().map(|mailbox| new_mail(context, mailbox)).unwrap_or_default(),
        mailbox: mailbox.map(|mailbox| {
            let new = mailbox::waiting(disk, &mailbox).map_or(0, |waiting| waiting.new);
            (mailbox, new)
        }),
        health: HealthSummary::of(&records, &state),
        landed: landed(context, &commits),
        me: sender.map(|sender| sender.actor),
        state,
        facts,
        damage: problem_lines(&trail.problems()),
    })
}

fn is_commit(event: &Event) -> bool {
    matches!(event, Event::Lock(LockEvent::CommitVerified { commit, .. }) if short(commit).is_some())
}

/// Returns whether an actor lost a lease or a place in the queue without giving it up.
fn is_lost(event: &Event) -> bool {
    if let Event::Lock(LockEvent::LockReleased { reason, .. }) = event {
        return match reason {
            Release::Expired
            | Release::HolderDied
            | Release::NotTakenUp
            | Release::Parked
            | Release::Forced(_) => true,
            Release::Done
            | Release::Handover
            | Release::CommandEnded
            | Release::Shutdown
            | Release::Freeze => false,
        };
    }
    if let Event::Lock(LockEvent::WaiterRemoved { reason, .. }) = event {
        return match reason {
            Removal::Died | Removal::Silent | Removal::Missed => true,
            Removal::Cancelled | Removal::Shutdown => false,
        };
    }
    matches!(event, Event::Lock(LockEvent::OfferMissed { .. }))
}

/// Returns whether a record is about a freeze, break-glass or violation that is over.
#[must_use]
pub fn is_over(record: &Record, state: &State) -> bool {
    let is_freeze = matches!(
        record.event,
        Event::Freeze(FreezeEvent::SystemFrozen { .. }) | Event::Freeze(FreezeEvent::FreezeHardened { .. })
    );
    let is_glass = matches!(record.event, Event::Freeze(FreezeEvent::BreakGlass { .. }));
    let is_open = |id: u64| state.violations.iter().any(|open| open.id == id);
    let is_adopted =
        matches!(record.event, Event::Audit(AuditEvent::ViolationFound { id, .. }) if !is_open(id));
    is_freeze && state.system == FreezeState::Running || is_glass && state.glass.is_none() || is_adopted
}

/// Commits in the journal that no command has taken into the audit yet.
fn commits_noted(
    disk: &RealDisk,
    trail: &AuditReader<'_, RealDisk>,
    facts: &Facts,
) -> Vec<(WallTime, Event)> {
    let found = trail.journal_read().and_then(|from| ingest::ingest(disk, from, &facts.now).ok());
    let events = found.map(|found| found.events).unwrap_or_default();
    events.into_iter().rev().filter(is_commit).map(|event| (facts.now.wall, event)).collect()
}

/// Refusals and warnings grouped by actor and reason; `records` newest first, `noted` oldest first.
fn refused(records: &[Record], noted: &[JournalEntry]) -> Vec<RefusalCount> {
    let mut groups: BTreeMap<(Actor, String, bool), RefusalCount> = BTreeMap::new();
    let mut add = |who: &Actor, action: &str, why: &str, warned: bool, at: WallTime| {
        let reason = reason(why);
        let group = groups.entry((who.clone(), reason.clone(), warned)).or_insert_with(|| RefusalCount {
            who: who.clone(),
            reason,
            warned,
            action: action_name(action),
            count: 0,
            last: at,
        });
        group.count += 1;
    };
    for entry in noted.iter().rev() {
        match entry {
            JournalEntry::Refused { at, by, action, why } => add(by, action, why, false, *at),
            JournalEntry::Warned { at, by, action, why, .. } => add(by, action, why, true, *at),
            JournalEntry::Intent { .. } | JournalEntry::Observed { .. } | JournalEntry::Aborted { .. } => {}
            JournalEntry::Baseline { .. } | JournalEntry::Strayed { .. } => {}
        }
    }
    for record in records {
        if let Event::Lock(LockEvent::LockRefused { who, action, why }) = &record.event {
            add(who, action, why, false, record.at);
        }
        if let Event::Policy(PolicyEvent::CheckWarned { who, action, why, .. }) = &record.event {
            add(who, action, why, true, record.at);
        }
    }
    let mut groups: Vec<RefusalCount> = groups.into_values().collect();
    groups.sort_by_key(|group| (group.warned, std::cmp::Reverse((group.count, group.last))));
    groups
}

/// Returns the new messages of a mailbox, the most urgent first, without expired ones.
fn new_mail(context: &Context<'_>, mailbox: &Mailbox) -> Vec<Envelope> {
    let (registry, now) = (session::registry(context), clock::now().wall);
    let names = context.store.disk().list(&format!("messages/{mailbox}/new")).unwrap_or_default();
    let ids = names.iter().rev().filter_map(|name| mailbox::parse_name(name)).take(MAIL_MAX);
    let mut found: Vec<Envelope> =
        ids.filter_map(|(_, id)| registry.find(id).ok().flatten()).map(|record| record.envelope).collect();
    found.retain(|envelope| envelope.expires_at.is_none_or(|at| at > now));
    found.sort_by_key(|envelope| (envelope.priority, envelope.seq));
    found
}

/// Returns the commits of each actor; `commits` newest first.
fn landed(context: &Context<'_>, commits: &[(WallTime, Event)]) -> Vec<LandedCommit> {
    let oid = |event: &Event| {
        let Event::Lock(LockEvent::CommitVerified { commit, .. }) = event else { return None };
        Oid::parse(commit.as_bytes()).ok()
    };
    let ids: Vec<Oid> = commits.iter().take(COMMITS_MAX).filter_map(|(_, event)| oid(event)).collect();
    let said = context.repo.commit_infos(&ids).unwrap_or_default();
    let mut all: Vec<(LandedCommit, BTreeSet<String>)> = Vec::new();
    for (at, event) in commits {
        let Event::Lock(LockEvent::CommitVerified { holder, commit, files, .. }) = event else { continue };
        let told = oid(event).and_then(|oid| said.get(&oid));
        let i = all.iter().position(|(landed, _)| landed.who == *holder).unwrap_or_else(|| {
            let (who, newest, at) = (holder.clone(), commit.clone(), *at);
            let subject = told.map(|told| told.subject.clone());
            all.push((LandedCommit { who, commits: 0, files: None, newest, at, subject }, BTreeSet::new()));
            all.len() - 1
        });
        let (landed, names) = &mut all[i];
        landed.commits += 1;
        match told {
            Some(told) => names.extend(told.files.iter().cloned()),
            None => names.extend(files.iter().cloned()),
        }
    }
    let counted = |(landed, names): (LandedCommit, BTreeSet<String>)| LandedCommit {
        files: (!names.is_empty()).then_some(names.len()),
        ..landed
    };
    all.into_iter().map(counted).collect()
}

/// Returns the suggested next command: problems of the whole system, then what needs attention, then what is
/// waiting.
fn next(since: &SinceReport) -> String {
    let word = &since.word;
    if since.unguarded.is_some() || !since.damage.is_empty() {
        return "cmw-doctor".to_owned();
    }
    if matches!(since.state.system, FreezeState::Frozen { .. }) {
        let thaw = since.me == Some(Actor::User);
        return if thaw { "cmw-freeze thaw --reason '…'" } else { "cmw-freeze status" }.to_owned();
    }
    if since.problems.iter().any(|record| !is_over(record, &since.state)) {
        return format!("cmw-audit log --severity high --since {word}");
    }
    if let Some(role) = since.health.down() {
        return format!("cmw-health restart {}", shell_quote(role.as_str()));
    }
    let newest = since.rescued.iter().find_map(|record| {
        let Event::Rescue(RescueEvent::WorkRescued { reference, .. }) = &record.event else { return None };
        reference.as_ref()
    });
    if let Some(reference) = newest {
        return format!("cmw-rescue show {}", shell_quote(&rescue_name(reference)));
    }
    if since.mailbox.as_ref().is_some_and(|(_, new)| *new > 0) {
        return "cmw-inbox".to_owned();
    }
    if !since.refused.is_empty() {
        return format!("cmw-audit log --event LOCK_REFUSED --since {word}");
    }
    if since.lost.is_empty() {
        "cmw".to_owned()
    } else {
        format!("cmw-audit log --severity warning --since {word}")
    }
}

fn data(since: &SinceReport) -> Value {
    let refused = |r: &RefusalCount| {
        json!({"who": r.who, "reason": r.reason, "warned": r.warned, "count": r.count, "last": r.last,
            "action": r.action})
    };
    let landed = |l: &LandedCommit| {
        json!({"who": l.who, "commits": l.commits, "files": l.files,
            "newest": {"commit": l.newest, "at": l.at, "subject": l.subject}})
    };
    let mailbox = since.mailbox.as_ref();
    json!({
        "since": since.from,
        "records": since.count,
        "unguarded": since.unguarded,
        "problems": since.problems,
        "rescued": since.rescued,
        "refused": since.refused.iter().map(refused).collect::<Vec<_>>(),
        "lost": since.lost,
        "mailbox": mailbox.map(|(mailbox, _)| mailbox),
        "unread": mailbox.map(|(_, new)| new),
        "mail": since.mail.iter().map(session::headers_json).collect::<Value>(),
        "landed": since.landed.iter().map(landed).collect::<Vec<_>>(),
        "lock": lock_data(&since.state, &since.facts, false),
        "health": since.health.data(),
        "damage": since.damage,
    })
}
