//! Owns the words of `cmw-freeze`.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use serde_json::json;

use crate::adapters::clock;
use crate::domain::decide::Command;
use crate::domain::permit;
use crate::domain::role::Actor;
use crate::domain::state::{PURPOSE_CHARS_MAX, State, System};
use crate::domain::text;
use crate::domain::time::human;

use super::Common;
use super::context::Context;
use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::output::{Answer, Style};

/// Stop everything that moves branches, and let it go on
///
/// Frozen, nobody holds the write lock and nothing protected moves; files and the queue stay as
/// they are. The Librarian and the User freeze, the User thaws.
#[derive(Parser, Debug)]
#[command(name = "cmw-freeze", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Freeze: the lock is released, its queue stays
    Now {
        /// Why; everybody is told
        #[arg(long, value_parser = parse_reason)]
        reason: String,
    },
    /// Whether it is frozen (exit 0 running, 1 frozen)
    Status,
    /// Let work go on: the queue is served in its order
    Thaw {
        /// What was done about it; everybody is told
        #[arg(long, value_parser = parse_reason)]
        reason: String,
    },
}

/// A reason: some text, and not too much of it.
///
/// # Errors
/// What is wrong with it.
pub fn parse_reason(value: &str) -> Result<String, String> {
    let reason = text::line(value.trim());
    match reason.chars().count() {
        0 => Err("a reason is needed".to_owned()),
        1..=PURPOSE_CHARS_MAX => Ok(reason),
        _ => Err(format!("at most {PURPOSE_CHARS_MAX} characters")),
    }
}

/// Runs `cmw-freeze`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    super::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = Context::open(env, &cli.common)?;
    let state = context.state()?;
    match &cli.verb {
        Verb::Status => Ok(status(&state)),
        Verb::Now { reason } => {
            let asker = context.asker(&state)?;
            let done = context.transact(&asker, &Command::Freeze { reason: reason.clone() })?;
            done.outcome?;
            let freed = state.held().map(|held| format!("; {} lost {}", held.holder, held.lock_id()));
            let text = format!("frozen: {reason}{}", freed.unwrap_or_default());
            // Who may freeze may not always thaw.
            let next = match asker.actor {
                Actor::User => "cmw-freeze thaw --reason '…'",
                Actor::Role(_) | Actor::System | Actor::Unproven => "cmw-freeze status",
            };
            Ok(Answer::done(data(&done.state), text)
                .noting(format!("files were not touched; the queue stays\nnext: {next}")))
        }
        Verb::Thaw { reason } => {
            let asker = context.asker(&state)?;
            let done = context.transact(&asker, &Command::Thaw { reason: reason.clone() })?;
            done.outcome?;
            let lasted = match &state.system {
                System::Frozen { since, .. } => {
                    format!(", after {}", human(clock::now().wall.ms_since(*since)))
                }
                System::Running => String::new(),
            };
            let next = done.state.held().map(|held| format!("; {} has the write lock now", held.holder));
            let text = format!("running again{lasted}: {reason}{}", next.unwrap_or_default());
            Ok(Answer::done(data(&done.state), text))
        }
    }
}

fn status(state: &State) -> Answer {
    match &state.system {
        System::Running => Answer::done(data(state), "running"),
        System::Frozen { .. } => {
            let why = permit::running(state).err().map_or_else(String::new, |refusal| refusal.why());
            let waiting = match state.queue.len() {
                0 => String::new(),
                n => format!("\nwaiting for the write lock: {n}"),
            };
            Answer::done(data(state), format!("{why}{waiting}"))
                .exiting(Exit::Refused)
                .noting("next: cmw-freeze thaw --reason '…'   (the User)")
        }
    }
}

fn data(state: &State) -> serde_json::Value {
    let system = match &state.system {
        System::Running => json!({"status": "RUNNING"}),
        System::Frozen { by, reason, since, .. } => {
            json!({"status": "FROZEN", "by": by, "reason": reason, "since": since})
        }
    };
    json!({"system": system, "queue": state.queue.len()})
}
