//! `cmw-bypass`: an emergency override of the write lock, for the User only; announced to all roles, and
//! limited in time.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use crate::domain::command::Command;
use crate::domain::facts::Facts;
use crate::domain::freeze::break_glass;
use crate::domain::freeze::freeze_state::GLASS_MS_MAX;
use crate::domain::identity::actor::Actor;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::{human, parse_duration_ms};

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::cli::Common;
use crate::cli::freeze::parse_reason;
use crate::cli::output::Style;

/// Override the write lock in an emergency; User only, and all roles are notified
///
/// Only for a person at a terminal, while no session is up. A hard freeze still applies: end it with
/// cmw-freeze thaw.
#[derive(Parser, Debug)]
#[command(name = "cmw-bypass", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Update branches without the lock for a limited time, also while frozen; `break-glass end` ends it
    ///
    /// It ends when its time is over, and when the machine is rebooted.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    BreakGlass {
        /// Why; sent to all roles
        #[arg(long, required = true, value_parser = parse_reason)]
        reason: Option<String>,
        /// Duration, at most 1h
        #[arg(long = "for", value_name = "TIME", value_parser = parse_time, default_value = "10m")]
        time: u64,
        #[command(subcommand)]
        verb: Option<End>,
    },
    /// Show whether break-glass is active (exit 0: no, 1: yes)
    Status,
}

#[derive(Subcommand, Debug)]
enum End {
    /// End break-glass: you need the lock again
    End,
}

fn parse_time(value: &str) -> Result<u64, String> {
    match parse_duration_ms(value)? {
        0 => Err("must be longer than 0".to_owned()),
        ms if ms <= GLASS_MS_MAX => Ok(ms),
        _ => Err(format!("at most {}", human(GLASS_MS_MAX))),
    }
}

/// Runs `cmw-bypass`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    let command = match &cli.verb {
        Verb::Status => return Ok(status(&state, &context.facts(&state))),
        Verb::BreakGlass { verb: Some(End::End), .. } => Command::EndGlass,
        Verb::BreakGlass { reason, time, verb: None } => {
            let reason = reason.clone().unwrap_or_default();
            Command::BreakGlass { reason, for_ms: *time }
        }
    };
    let caller = context.caller(&state)?;
    let was_broken = break_glass::active(&state, &context.facts(&state)).is_some();
    let done = context.transact(&caller, &command)?;
    done.outcome?;
    let facts = context.facts(&done.state);
    let Some(broken) = break_glass::active(&done.state, &facts) else {
        let text = if was_broken { "break-glass has ended" } else { "break-glass was not active" };
        return Ok(Answer::done(data(&done.state, &facts), text));
    };
    let until = broken.until_at.clock();
    let text = format!("break-glass is active until {until}: you can update branches without the write lock");
    let hard = match done.state.pinned() {
        0 => "",
        _ => "the hard freeze still applies: cmw-freeze thaw --reason '…'\n",
    };
    let note =
        format!("all roles are notified\n{hard}next: cmw-bypass break-glass end   # when you are done");
    Ok(Answer::done(data(&done.state, &facts), text).noting(note))
}

fn status(state: &State, facts: &Facts) -> Answer {
    match line(state, facts) {
        None => Answer::done(data(state, facts), "break-glass is not active"),
        Some(line) => Answer::done(data(state, facts), line)
            .exiting(Exit::Refused)
            .noting("next: cmw-bypass break-glass end   # the User"),
    }
}

/// Returns one line about an active break-glass; `None` when it is not active.
#[must_use]
pub fn line(state: &State, facts: &Facts) -> Option<String> {
    let broken = break_glass::active(state, facts)?;
    let until = broken.until_at.clock();
    let held_up = if state.session_is_up(facts) { "; it has no effect while a session is up" } else { "" };
    let (user, reason) = (Actor::User, sanitize::line(&broken.reason));
    Some(format!("BREAK-GLASS by {user} until {until}, without the lock: {reason}{held_up}"))
}

fn data(state: &State, facts: &Facts) -> Value {
    match break_glass::active(state, facts) {
        None => json!({"break_glass": Value::Null}),
        Some(broken) => {
            let left_s = broken.until.ms_until(&facts.now.boot) / 1_000;
            json!({"break_glass": {"reason": broken.reason, "since": broken.since,
                "until": broken.until_at, "left_s": left_s}})
        }
    }
}
