//! `cmw-audit`: prints the audit log, one line per record, and follows it.

pub mod verify;
use std::ffi::OsString;
use std::os::fd::AsFd;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::adapters::os::clock;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::audit::record::Record;
use crate::domain::audit::severity::Severity;
use crate::domain::describe;
use crate::domain::event;
use crate::domain::identity::actor::Actor;
use crate::domain::state::State;
use crate::domain::util::sanitize::{ascii_safe_json, line};
use crate::domain::util::time::WallTime;
use crate::domain::util::time_arg;
use crate::store::audit::reader::{AuditFollower, AuditReader};
use crate::store::disk::RealDisk;
use crate::store::error::StoreError;
use crate::store::layout;
use crate::store::watch::{WakeReason, Watch};

use crate::adapters::os::stdio::{write_err, write_followed_line};
use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::{Failure, store_next, with_causes};
use crate::app::exit::Exit;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::cmw::why;
use crate::cli::output::Style;
use crate::cli::style::Colors;

/// How many records are shown by default.
const LAST: usize = 50;
/// How long a follower sleeps when nothing wakes it, in milliseconds.
const SLEEP_MS: u64 = 3_600_000;

/// Read and verify the audit log
///
/// Every event has a number and is in the audit exactly once. Times are UTC.
#[derive(Parser, Debug)]
#[command(name = "cmw-audit", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print the events, one line each; ! marks warnings, !! violations and the like
    Log(LogArgs),
    /// Compare refs, reflogs, journal and anchors, and report every update that was not allowed
    Verify,
    /// List the ref updates that were not allowed and have not been adopted
    Violations,
    /// Accept a violation: its branch can be pushed and merged again (User only)
    Adopt {
        /// The violations, such as V3
        #[arg(required_unless_present = "all", value_parser = verify::parse_id)]
        ids: Vec<u64>,
        /// All open violations
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Why it is acceptable
        #[arg(long, value_parser = crate::cli::freeze::parse_reason)]
        reason: String,
    },
    /// Explain what would block a commit now; the same as cmw why
    Why {
        /// Another role than yours
        role: Option<String>,
    },
}

/// Which records to print, and whether to follow.
#[derive(Args, Debug)]
struct LogArgs {
    /// At most this many, the most recent ones (default: 50; with --since all)
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count)]
    last: Option<usize>,
    /// Print all records
    #[arg(long, conflicts_with = "last")]
    all: bool,
    /// Only since this time: 8h ago, the last 16:05, 2026-11-24 or 2026-11-24T16:05Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events by or about this role; also User, System and unproven
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Only events with this name or prefix, such as LOCK_ (repeatable)
    #[arg(long, value_name = "NAME", value_parser = parse_event)]
    event: Vec<String>,
    /// Only events of at least this severity
    #[arg(long, value_name = "warning|high", value_parser = parse_severity)]
    severity: Option<Severity>,
    /// Print each new record as it is published; with --json one object per line
    #[arg(short, long)]
    follow: bool,
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a number, such as 20".to_owned())
}

fn parse_severity(text: &str) -> Result<Severity, String> {
    match text.to_ascii_lowercase().as_str() {
        "warning" => Ok(Severity::Warning),
        "high" => Ok(Severity::High),
        _ => Err("expected warning or high".to_owned()),
    }
}

/// Returns the prefix of an event name, in any case, with `-` for `_`.
fn parse_event(text: &str) -> Result<String, String> {
    let wanted = text.to_ascii_uppercase().replace('-', "_");
    if !wanted.is_empty() && event::tags().iter().any(|name| name.starts_with(&wanted)) {
        return Ok(wanted);
    }
    let scored = event::tags().iter().map(|name| (strsim::jaro_winkler(&wanted, name), name));
    let near = scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0));
    let mean = near.map_or_else(
        || format!("expected one of {}", event::tags().join(", ")),
        |(_, name)| format!("did you mean {name}?"),
    );
    Err(format!("unknown event; {mean}"))
}

/// Returns the severity as a number, to compare.
#[must_use]
pub fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::High => 2,
    }
}

/// Which records are wanted.
#[derive(Debug, Default)]
struct Filter {
    since: Option<WallTime>,
    who: Option<Actor>,
    events: Vec<String>,
    rank: u8,
}

impl Filter {
    fn wants(&self, record: &Record) -> bool {
        let name = record.event.tag();
        rank(record.severity) >= self.rank
            && (self.events.is_empty() || self.events.iter().any(|event| name.starts_with(event.as_str())))
            && self.who.as_ref().is_none_or(|who| record.concerns(who))
    }
}

/// Runs `cmw-audit`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let log = match &cli.verb {
        Verb::Log(log) => log,
        Verb::Why { role } => return why::run(env, &cli.common, role.as_deref()),
        Verb::Verify => return verify::verify(&cli.common.open(env)?),
        Verb::Violations => return verify::violations(&cli.common.open(env)?),
        Verb::Adopt { ids, reason, .. } => {
            return verify::adopt(&cli.common.open(env)?, ids, reason);
        }
    };
    let context = cli.common.open(env)?;
    let filter = filter(&context, log)?;
    let unlimited = log.all || (log.since.is_some() && log.last.is_none());
    let limit = if unlimited { usize::MAX } else { log.last.unwrap_or(LAST) };
    let page = RecordLayout { ink: Colors::of(env), json: cli.common.json };
    if log.follow {
        return follow(&context, &filter, limit, &page);
    }
    let mut trail = AuditReader::open(context.store.disk())?;
    let records = last(&mut trail, &filter, limit);
    let was_cut = log.last.is_none() && records.len() == limit;
    Ok(shown(&page, &records, trail, was_cut))
}

fn filter(context: &Context<'_>, log: &LogArgs) -> Result<Filter, Failure> {
    let since = log.since.as_ref().map(|text| since(text, "cmw-audit log --since 8h")).transpose()?;
    let who = log.role.as_ref().map(|name| who(context, name)).transpose()?;
    Ok(Filter { since, who, events: log.event.clone(), rank: log.severity.map_or(0, rank) })
}

/// Parses the time that was given; `next` is an example of the syntax.
///
/// # Errors
/// A usage failure when it cannot be parsed.
pub fn since(text: &str, next: &str) -> Result<WallTime, Failure> {
    time_arg::parse(text, clock::now().wall).map_err(|e| Failure::with_next_step(Exit::Usage, line(&e), next))
}

/// Returns the actor of a name. Without a readable state any valid role name is accepted.
fn who(context: &Context<'_>, name: &str) -> Result<Actor, Failure> {
    for actor in [Actor::User, Actor::System, Actor::Unproven] {
        if actor.to_string().eq_ignore_ascii_case(name) {
            return Ok(actor);
        }
    }
    let was_there = |state: &State| state.instances.keys().find(|role| role.as_str() == name).cloned();
    match context.state() {
        Ok(state) => match was_there(&state) {
            Some(role) => Ok(Actor::Role(role)),
            None => Ok(Actor::Role(state.policy.roster.resolve(name)?.role.clone())),
        },
        Err(_) => Ok(Actor::try_from(name.to_owned())?),
    }
}

/// Returns the last matching records, oldest first. The search ends at the first record that is too old: if
/// the clock was set back, older records after that are not found.
fn last(trail: &mut AuditReader<'_, RealDisk>, filter: &Filter, limit: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < limit {
        let Some(record) = trail.previous() else { break };
        if filter.since.is_some_and(|since| record.at < since) {
            break;
        }
        if filter.wants(&record) {
            records.push(record);
        }
    }
    records.reverse();
    records
}

/// How records are printed.
struct RecordLayout {
    ink: Colors,
    json: bool,
}

impl RecordLayout {
    fn line(&self, record: &Record) -> String {
        if self.json {
            let json = serde_json::to_string(record).expect("a record has only texts and numbers");
            return ascii_safe_json(&json);
        }
        painted(self.ink, record.severity, describe::line(record))
    }
}

/// Colours a line by its severity.
#[must_use]
pub fn painted(ink: Colors, severity: Severity, line: String) -> String {
    match severity {
        Severity::Info => line,
        Severity::Warning => ink.yellow(line),
        Severity::High => ink.red(line),
    }
}

fn shown(page: &RecordLayout, records: &[Record], trail: AuditReader<'_, RealDisk>, was_cut: bool) -> Answer {
    let noted = trail.pending_entries().iter().filter(|entry| will_be_ingested(entry)).count();
    let problems = trail.problems();
    let data =
        if page.json { json!({"records": records, "problems": problem_lines(&problems)}) } else { json!({}) };
    let lines: Vec<String> =
        if page.json { Vec::new() } else { records.iter().map(|record| page.line(record)).collect() };
    let mut notes = Vec::new();
    if records.is_empty() && problems.is_empty() {
        notes.push("no matching records".to_owned());
    }
    if was_cut {
        notes.push(format!("only the last {} are shown; all: cmw-audit log --all", records.len()));
    }
    if noted > 0 {
        notes.push(format!("{noted} more in the hooks' journal, without a number until the next command"));
    }
    with_problems(Answer::done(data, lines.join("\n")).noting(notes.join("\n")), &problems)
}

/// Returns whether a journal entry becomes a record in any case.
fn will_be_ingested(entry: &JournalEntry) -> bool {
    match entry {
        JournalEntry::Refused { .. } | JournalEntry::Warned { .. } => true,
        JournalEntry::Strayed { .. } | JournalEntry::Baseline { .. } => true,
        JournalEntry::Observed { token, .. } => *token > 0,
        JournalEntry::Intent { .. } | JournalEntry::Aborted { .. } => false,
    }
}

/// Returns the problems, one sentence each.
#[must_use]
pub fn problem_lines(problems: &[StoreError]) -> Vec<String> {
    problems.iter().map(|problem| with_causes(problem)).collect()
}

/// Adds the problems to an answer, with the exit code for damage.
#[must_use]
pub fn with_problems(mut answer: Answer, problems: &[StoreError]) -> Answer {
    let Some(next) = problems.first().map(store_next) else { return answer };
    let errors: Vec<String> = problem_lines(problems).iter().map(|told| format!("error: {told}")).collect();
    answer.note = format!("{}\n{}\n{next}", answer.note, errors.join("\n")).trim_start().to_owned();
    answer.hint = next.lines().last().map(|last| last.trim_start_matches("next: ").to_owned());
    answer.exiting(Exit::Damaged)
}

/// Prints the existing records, then each one as it is published, until the reader is gone.
fn follow(
    context: &Context<'_>,
    filter: &Filter,
    limit: usize,
    page: &RecordLayout,
) -> Result<Answer, Failure> {
    let disk = context.store.disk();
    // Without a setup there is nothing to watch; a damaged document does not stop the follower.
    if let Err(error @ StoreError::NotInitialised) = context.store.document() {
        return Err(error.into());
    }
    let watch = Watch::on(&disk.path().join("cmw")).and_then(|mut watch| {
        // A publish changes the document; without a document, records arrive in the logs.
        watch.add(&disk.path().join(layout::AUDIT)).map(|()| watch)
    });
    let watch = watch.map_err(|e| failed("watch the audit", &e))?;
    let mut along = AuditFollower::start(disk)?;
    let mut trail = AuditReader::open(disk)?;
    let records = last(&mut trail, filter, limit);
    along.start_after(trail.last());
    let (mut records, mut problems) = (records, trail.problems());
    // The reader's end is only watched for at a pipe: a terminal would wake us for each key.
    let stdout = std::io::stdout();
    let pipe = is_pipe().then(|| stdout.as_fd());
    loop {
        let lines: Vec<String> = records.iter().map(|record| page.line(record)).collect();
        if !lines.is_empty() && !write_followed_line(&lines.join("\n")).map_err(|e| failed("write", &e))? {
            return Ok(Answer::done(json!({}), ""));
        }
        if !problems.is_empty() {
            write_err(&with_problems(Answer::done(json!({}), ""), &problems).note);
        }
        if watch.wait(pipe, SLEEP_MS).map_err(|e| failed("wait", &e))? == WakeReason::Other {
            return Ok(Answer::done(json!({}), ""));
        }
        (records, problems) = along.new_records(disk);
        records.retain(|record| filter.wants(record));
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failure {
    Failure::with_next_step(Exit::Unavailable, format!("cannot {what}: {error}"), "cmw-audit log")
}

fn is_pipe() -> bool {
    let stat = rustix::fs::fstat(std::io::stdout());
    stat.is_ok_and(|s| rustix::fs::FileType::from_raw_mode(s.st_mode) == rustix::fs::FileType::Fifo)
}
