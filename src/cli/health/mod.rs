//! `cmw-health`: its arguments, the table, and the check of one instance.

pub mod instance_table;
pub mod watch;
use std::ffi::OsString;

use clap::{Parser, Subcommand};
use serde_json::json;

use crate::adapters::os::clock;
use crate::domain::health::condition::{Concern, PaneStatus};
use crate::domain::health::incident::ProcessEnd;
use crate::domain::util::time::{human, parse_duration_ms};
use crate::store::health::monitor as health;
use crate::store::health::monitor::PaneEnd;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::evidence::InstanceEvidence;
use crate::app::health::{monitor, monitor_pass, notify, restart};
use crate::app::session::context::SessionContext;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::cmw::{status, status_json};
use crate::cli::output::Style;
use crate::cli::style::{Colors, ScreenSize};

/// Show the instances: state, mail, work, the lock and its queue; problems first
///
/// The table is printed once; --json prints the same for programs (docs/health.md documents the fields);
/// --watch shows a live screen with actions on keys.
#[derive(Parser, Debug)]
#[command(name = "cmw-health", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// Show a live screen (? lists its keys)
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Monitor the instances: report and restart crashed ones, reassign work, alert the User
    ///
    /// `cmw-session up` starts one in a window of its own. It needs no tmux: a systemd unit or, with --once,
    /// cron works as well. Only one is active; a second one waits to take over.
    Monitor {
        /// Check once, then exit (for cron)
        #[arg(long)]
        once: bool,
        /// Interval between checks; a death is noticed at once
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "30s")]
        every: u64,
    },
    /// Show the evidence about one instance, and the resulting state (exit 0: no problem)
    Check {
        /// The role
        role: String,
    },
    /// Stop an instance if it is running, and start it in the same pane; its conversation is resumed
    Restart {
        /// The role
        role: String,
        /// How long to wait for it to end by itself
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "10s")]
        grace: u64,
        /// Do not resume the earlier conversation
        #[arg(long)]
        fresh: bool,
    },
    /// Run cmw.notify.command with a test event
    NotifyTest,
    /// What the monitor starts: restarts an instance, or the session, when that is due
    #[command(hide = true)]
    BringBack {
        /// The role; none: the session
        role: Option<String>,
    },
    /// What tmux runs when a pane's process has ended
    #[command(hide = true)]
    PaneEnded {
        /// tmux's id of the pane
        pane: String,
        /// Its process
        pid: String,
        /// Its exit status; may be empty
        #[arg(allow_hyphen_values = true)]
        status: String,
        /// The signal that ended it; may be empty
        #[arg(allow_hyphen_values = true)]
        signal: String,
        /// Its role
        role: Option<String>,
    },
}

/// Runs `cmw-health`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let Some(verb) = &cli.verb else {
        return if cli.watch { watch::run(env, &cli.common) } else { table(env, &cli.common) };
    };
    let context = cli.common.open(env)?;
    match verb {
        Verb::Monitor { once, every } => monitor::run(context, *once, *every),
        Verb::Check { role } => check(&context, role),
        Verb::Restart { role, grace, fresh } => {
            let mut stage = SessionContext::set(context, None, cli.common.quiet)?;
            restart::restart(&mut stage, role, *grace, *fresh)
        }
        Verb::NotifyTest => notify::send_test_alert(&context),
        Verb::BringBack { role } => restart::restart_program(context, role.as_deref()),
        Verb::PaneEnded { pane, pid, status, signal, .. } => pane_ended(context, pane, pid, status, signal),
    }
}

/// Prints the table.
fn table(env: &Env, common: &Common) -> Result<Answer, Failure> {
    let context = common.open(env)?;
    let status = status::gather(&context)?;
    let text = instance_table::render(&status, ScreenSize::of(env), Colors::of(env));
    let mut answer = Answer::done(status_json::data(&status), text);
    answer.hint = Some(status.next.clone());
    Ok(answer)
}

/// Returns the evidence about one instance, and the resulting condition.
fn check(context: &Context<'_>, role: &str) -> Result<Answer, Failure> {
    let state = context.state()?;
    let role = &state.policy.roster.resolve(role)?.role;
    let facts = context.facts(&state);
    let panes = monitor_pass::panes(context, &state);
    let gathered = InstanceEvidence::of(context.store.disk(), role, &state, &facts, panes.as_deref());
    let (condition, evidence) = (gathered.condition(), gathered.evidence());
    let age = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), |ms| format!("{} ago", human(ms)));
    let process = gathered.instance.map_or_else(|| "-".to_owned(), |i| i.process.pid.to_string());
    let pane = gathered.instance.and_then(|i| i.pane_id.clone()).unwrap_or_else(|| "-".to_owned());
    let activity = gathered.activity.as_ref().map_or_else(|| "-".to_owned(), |(a, _)| a.words());
    let phase = evidence
        .phase
        .map_or_else(|| "never registered".to_owned(), |phase| format!("{phase:?}").to_lowercase());
    let life = format!("{:?}", gathered.life).to_lowercase();
    let mut lines = vec![
        format!("{role} is {}", condition.words()),
        format!("  registry  {phase}"),
        format!("  process   {process} {life}"),
        format!("  pane      {pane} {}", pane_words(gathered.pane)),
        format!("  beat      {}", age(evidence.beat_age_ms)),
        format!("  active    {}", age(evidence.active_age_ms)),
        format!("  client    {activity}"),
    ];
    let fine = condition.concern() != Concern::Problem;
    let next = if fine { "cmw-session attach".to_owned() } else { format!("cmw-health restart {role}") };
    lines.push(format!("next: {next}"));
    let data = json!({"role": role, "condition": condition, "registry": evidence.phase,
        "process": gathered.instance.map(|i| i.process.pid), "life": format!("{:?}", gathered.life).to_uppercase(),
        "pane": format!("{:?}", gathered.pane).to_uppercase(), "pane_id": gathered.instance.and_then(|i| i.pane_id.clone()),
        "beat_age_ms": evidence.beat_age_ms, "active_age_ms": evidence.active_age_ms,
        "activity": evidence.activity, "restart": evidence.restart, "parked": evidence.parked});
    let exit = if fine { Exit::Done } else { Exit::Refused };
    let mut answer = Answer::done(data, lines.join("\n")).exiting(exit);
    answer.hint = Some(next);
    Ok(answer)
}

/// Returns the words for a pane's status.
fn pane_words(pane: PaneStatus) -> &'static str {
    match pane {
        PaneStatus::Unknown => "unknown",
        PaneStatus::Its => "alive",
        PaneStatus::Anothers => "has another process",
        PaneStatus::Dead => "dead",
        PaneStatus::Gone => "gone",
    }
}

/// Records how a pane ended, which wakes the monitor; without a monitor this program does its pass.
fn pane_ended(
    context: Context<'_>,
    pane: &str,
    pid: &str,
    status: &str,
    signal: &str,
) -> Result<Answer, Failure> {
    let number = |text: &str| text.parse::<i32>().ok();
    let how = match (number(signal).filter(|signal| *signal > 0), number(status)) {
        (Some(signal), _) => ProcessEnd::Signal(signal),
        (None, Some(status)) => ProcessEnd::Status(status),
        (None, None) => ProcessEnd::PaneClosed,
    };
    if let Ok(pid) = pid.parse() {
        health::write_pane_end(context.store.disk(), pane, &PaneEnd { pid, at: clock::now().boot, how })?;
    }
    monitor::run(context, true, monitor::EVERY_MS)
}
