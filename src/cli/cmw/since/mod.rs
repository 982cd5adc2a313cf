//! Owns `cmw since`, the morning screen: what happened, gathered once, and the one command to type next.
//!
//! Looking claims no message and writes nothing.

pub mod health;
pub mod screen;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::adapters::os::clock;
use crate::domain::audit::journal_entry::Entry;
use crate::domain::audit::record::Record;
use crate::domain::audit::severity::Severity;
use crate::domain::describe;
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::freeze::freeze_state::System;
use crate::domain::guard::git_ref::Oid;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::lock::release::{Release, Removal};
use crate::domain::mail::message::Envelope;
use crate::domain::state::State;
use crate::domain::util::time::Wall;
use crate::store::audit::journal;
use crate::store::audit::reader::Trail;
use crate::store::disk::{Disk, RealDisk};
use crate::store::mail::mailbox;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::guard::hook_check;
use crate::app::mail::session;
use crate::app::mail::session::Party;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::audit;
use crate::cli::audit::told;
use crate::cli::cmw::since::health::Health;
use crate::cli::lock::show::lock_data;
use crate::cli::style::{Ink, Size};

/// How far back one looks when nothing is said.
pub const USUAL: &str = "12h";
/// Of how many messages the subjects are read.
const MAIL_MAX: usize = 200;
/// Of how many commits git is asked.
const COMMITS_MAX: usize = 500;

/// Everything that the screen shows.
#[derive(Debug)]
pub struct Since {
    /// From when on.
    pub from: Wall,
    /// As a word of a command line.
    pub word: String,
    /// How many records there are since then.
    pub count: usize,
    /// What is wrong with the audit itself; safe to print.
    pub damage: Vec<String>,
    /// Why git does not ask us, if it does not.
    pub unguarded: Option<String>,
    /// What must not happen, newest first.
    pub problems: Vec<Record>,
    /// Rescued work, newest first.
    pub rescued: Vec<Record>,
    /// Refusals and warnings, the most frequent first.
    pub refused: Vec<Refused>,
    /// Leases and places in the queue that ended by themselves, or were taken away; newest first.
    pub lost: Vec<Record>,
    /// Whose mailbox, if it is known, and how much is new.
    pub mailbox: Option<(Mailbox, usize)>,
    /// The new messages, the most urgent first.
    pub mail: Vec<Envelope>,
    /// What happened to instances and work.
    pub health: Health,
    /// What landed, by whom, the newest first.
    pub landed: Vec<Landed>,
    /// The state, read once.
    pub state: State,
    /// The world, looked at once.
    pub facts: Facts,
    /// Who asks, when that can be told.
    pub me: Option<Actor>,
}

/// The same refusal, so many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who was refused.
    pub who: Actor,
    /// Why, without what differs from time to time; safe to print.
    pub reason: String,
    /// Whether it was only a warning.
    pub warned: bool,
    /// What was tried last; safe to print.
    pub action: String,
    /// How often.
    pub count: usize,
    /// When it was last.
    pub last: Wall,
}

/// What somebody committed under the lock.
#[derive(Clone, Debug)]
pub struct Landed {
    /// Who.
    pub who: Actor,
    /// How many commits.
    pub commits: usize,
    /// How many files they change, when that is known.
    pub files: Option<usize>,
    /// The newest one's id.
    pub newest: String,
    /// When that was.
    pub at: Wall,
    /// Its subject, when git could tell it; not safe to print as it is.
    pub subject: Option<String>,
}

/// Runs `cmw since`.
///
/// # Errors
/// [`Failure`]: no repository, no state (65, 78), a time that is none (2).
pub fn run(env: &Env, common: &Common, time: Option<&str>) -> Result<Answer, Failure> {
    let context = common.open(env)?;
    let word = time.unwrap_or(USUAL);
    let from = audit::since(word, "cmw since 8h")?;
    let since = gather(&context, from, word)?;
    let next = next(&since);
    let text = screen::render(&since, &next, Size::of(env), Ink::of(env));
    let exit = if since.damage.is_empty() { Exit::Done } else { Exit::Damaged };
    let mut answer = Answer::done(data(&since), text).exiting(exit);
    answer.hint = Some(next);
    Ok(answer)
}

/// Looks at everything once.
fn gather(context: &Context<'_>, from: Wall, word: &str) -> Result<Since, Failure> {
    let disk = context.store.disk();
    let state = context.state()?;
    let facts = context.facts(&state);
    let party = Party::of(context, &state).ok();
    let mailbox = party.as_ref().and_then(|party| party.mailbox().ok());
    let mut trail = Trail::open(disk)?;
    let mut records = Vec::new();
    // Ends at the first record that is too old: a clock that was set back hides what stands before.
    while let Some(record) = trail.back().filter(|record| record.at >= from) {
        records.push(record);
    }
    let noted: Vec<Entry> = trail.noted();
    let mut commits = commits_noted(disk, &trail, &facts);
    commits.extend(records.iter().filter(|r| is_commit(&r.event)).map(|r| (r.at, r.event.clone())));
    let is_rescue = |event: &Event| matches!(event, Event::WorkRescued { reference, skipped, .. } if reference.is_some() || !skipped.is_empty());
    let only = |wanted: &dyn Fn(&Record) -> bool| records.iter().filter(|r| wanted(r)).cloned().collect();
    Ok(Since {
        from,
        word: shell_quote(word),
        count: records.len(),
        unguarded: hook_check::gap(context),
        problems: only(&|record| record.severity == Severity::High),
        rescued: only(&|record| is_rescue(&record.event)),
        refused: refused(&records, &noted),
        lost: only(&|record| is_lost(&record.event)),
        mail: mailbox.as_ref().map(|mailbox| new_mail(context, mailbox)).unwrap_or_default(),
        mailbox: mailbox.map(|mailbox| {
            let new = mailbox::waiting(disk, &mailbox).map_or(0, |waiting| waiting.new);
            (mailbox, new)
        }),
        health: Health::of(&records, &state),
        landed: landed(context, &commits),
        me: party.map(|party| party.actor),
        state,
        facts,
        damage: told(&trail.problems()),
    })
}

fn is_commit(event: &Event) -> bool {
    matches!(event, Event::CommitVerified { commit, .. } if describe::short(commit).is_some())
}

/// Whether somebody lost a lease or a place in the queue without giving it up.
fn is_lost(event: &Event) -> bool {
    if let Event::LockReleased { reason, .. } = event {
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
    if let Event::WaiterRemoved { reason, .. } = event {
        return match reason {
            Removal::Died | Removal::Silent | Removal::Missed => true,
            Removal::Cancelled | Removal::Shutdown => false,
        };
    }
    matches!(event, Event::OfferMissed { .. })
}

/// Whether a record tells of a freeze that is over.
#[must_use]
pub fn is_over(record: &Record, state: &State) -> bool {
    let is_freeze = matches!(record.event, Event::SystemFrozen { .. } | Event::FreezeHardened { .. });
    let is_glass = matches!(record.event, Event::BreakGlass { .. });
    let is_open = |id: u64| state.violations.iter().any(|open| open.id == id);
    let is_adopted = matches!(record.event, Event::ViolationFound { id, .. } if !is_open(id));
    is_freeze && state.system == System::Running || is_glass && state.glass.is_none() || is_adopted
}

/// What git has carried out and no command has taken into the audit yet.
fn commits_noted(disk: &RealDisk, trail: &Trail<'_, RealDisk>, facts: &Facts) -> Vec<(Wall, Event)> {
    let found = trail.journal_read().and_then(|from| journal::ingest(disk, from, &facts.now).ok());
    let events = found.map(|found| found.events).unwrap_or_default();
    events.into_iter().rev().filter(is_commit).map(|event| (facts.now.wall, event)).collect()
}

/// Refusals and warnings by whom and why; `records` newest first, `noted` oldest first.
fn refused(records: &[Record], noted: &[Entry]) -> Vec<Refused> {
    let mut groups: BTreeMap<(Actor, String, bool), Refused> = BTreeMap::new();
    let mut add = |who: &Actor, action: &str, why: &str, warned: bool, at: Wall| {
        let reason = describe::reason(why);
        let group = groups.entry((who.clone(), reason.clone(), warned)).or_insert_with(|| Refused {
            who: who.clone(),
            reason,
            warned,
            action: describe::deed(action),
            count: 0,
            last: at,
        });
        group.count += 1;
    };
    for entry in noted.iter().rev() {
        match entry {
            Entry::Refused { at, by, action, why } => add(by, action, why, false, *at),
            Entry::Warned { at, by, action, why, .. } => add(by, action, why, true, *at),
            Entry::Intent { .. } | Entry::Observed { .. } | Entry::Aborted { .. } => {}
            Entry::Baseline { .. } | Entry::Strayed { .. } => {}
        }
    }
    for record in records {
        if let Event::LockRefused { who, action, why } = &record.event {
            add(who, action, why, false, record.at);
        }
        if let Event::CheckWarned { who, action, why, .. } = &record.event {
            add(who, action, why, true, record.at);
        }
    }
    let mut groups: Vec<Refused> = groups.into_values().collect();
    groups.sort_by_key(|group| (group.warned, std::cmp::Reverse((group.count, group.last))));
    groups
}

/// What is new in a mailbox, the most urgent first; what has expired is left out.
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

/// What landed by whom; `commits` newest first.
fn landed(context: &Context<'_>, commits: &[(Wall, Event)]) -> Vec<Landed> {
    let oid = |event: &Event| {
        let Event::CommitVerified { commit, .. } = event else { return None };
        Oid::parse(commit.as_bytes()).ok()
    };
    let ids: Vec<Oid> = commits.iter().take(COMMITS_MAX).filter_map(|(_, event)| oid(event)).collect();
    let said = context.repo.said(&ids).unwrap_or_default();
    let mut all: Vec<(Landed, BTreeSet<String>)> = Vec::new();
    for (at, event) in commits {
        let Event::CommitVerified { holder, commit, files, .. } = event else { continue };
        let told = oid(event).and_then(|oid| said.get(&oid));
        let i = all.iter().position(|(landed, _)| landed.who == *holder).unwrap_or_else(|| {
            let (who, newest, at) = (holder.clone(), commit.clone(), *at);
            let subject = told.map(|told| told.subject.clone());
            all.push((Landed { who, commits: 0, files: None, newest, at, subject }, BTreeSet::new()));
            all.len() - 1
        });
        let (landed, names) = &mut all[i];
        landed.commits += 1;
        match told {
            Some(told) => names.extend(told.files.iter().cloned()),
            None => names.extend(files.iter().cloned()),
        }
    }
    let counted = |(landed, names): (Landed, BTreeSet<String>)| Landed {
        files: (!names.is_empty()).then_some(names.len()),
        ..landed
    };
    all.into_iter().map(counted).collect()
}

/// The one command that helps most: what stops everybody, what must be looked into, what waits.
fn next(since: &Since) -> String {
    let word = &since.word;
    if since.unguarded.is_some() || !since.damage.is_empty() {
        return "cmw-doctor".to_owned();
    }
    if matches!(since.state.system, System::Frozen { .. }) {
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
        let Event::WorkRescued { reference, .. } = &record.event else { return None };
        reference.as_ref()
    });
    if let Some(reference) = newest {
        return format!("cmw-rescue show {}", shell_quote(&describe::rescue_name(reference)));
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

fn data(since: &Since) -> Value {
    let refused = |r: &Refused| {
        json!({"who": r.who, "reason": r.reason, "warned": r.warned, "count": r.count, "last": r.last,
            "action": r.action})
    };
    let landed = |l: &Landed| {
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
        "mail": since.mail.iter().map(session::headers).collect::<Value>(),
        "landed": since.landed.iter().map(landed).collect::<Vec<_>>(),
        "lock": lock_data(&since.state, &since.facts, false),
        "health": since.health.data(),
        "damage": since.damage,
    })
}
