//! Owns the words of `cmw-bypass`: the way past the write lock for an emergency, which is the person's,
//! loud, and short.

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

/// Go past the write lock in an emergency; the User's alone, and everybody is told
///
/// Nobody but a person at a terminal, while no session is up. A hard freeze still holds:
/// cmw-freeze thaw ends that.
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
    /// For a while you move branches without the lock, also while frozen; `break-glass end` ends it
    ///
    /// It ends by itself when its time is over, and when the machine is started anew.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    BreakGlass {
        /// Why; everybody is told
        #[arg(long, required = true, value_parser = parse_reason)]
        reason: Option<String>,
        /// For how long, at most 1h
        #[arg(long = "for", value_name = "TIME", value_parser = parse_time, default_value = "10m")]
        time: u64,
        #[command(subcommand)]
        verb: Option<End>,
    },
    /// Whether the glass is broken (exit 0 it is not, 1 it is)
    Status,
}

#[derive(Subcommand, Debug)]
enum End {
    /// From now on you need the lock again
    End,
}

fn parse_time(value: &str) -> Result<u64, String> {
    match parse_duration_ms(value)? {
        0 => Err("it must last for a while".to_owned()),
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
    let asker = context.asker(&state)?;
    let was_broken = break_glass::broken(&state, &context.facts(&state)).is_some();
    let done = context.transact(&asker, &command)?;
    done.outcome?;
    let facts = context.facts(&done.state);
    let Some(broken) = break_glass::broken(&done.state, &facts) else {
        let text = if was_broken { "the glass is whole again" } else { "the glass was not broken" };
        return Ok(Answer::done(data(&done.state, &facts), text));
    };
    let until = broken.until_at.clock();
    let text = format!("the glass is broken until {until}: you move branches without the write lock");
    let hard = match done.state.pinned() {
        0 => "",
        _ => "it is frozen hard, and that still holds: cmw-freeze thaw --reason '…'\n",
    };
    let note = format!("everybody is told\n{hard}next: cmw-bypass break-glass end   # when you are done");
    Ok(Answer::done(data(&done.state, &facts), text).noting(note))
}

fn status(state: &State, facts: &Facts) -> Answer {
    match line(state, facts) {
        None => Answer::done(data(state, facts), "the glass is not broken"),
        Some(line) => Answer::done(data(state, facts), line)
            .exiting(Exit::Refused)
            .noting("next: cmw-bypass break-glass end   # the User"),
    }
}

/// That the glass is broken, in one line; `None` when it is not.
#[must_use]
pub fn line(state: &State, facts: &Facts) -> Option<String> {
    let broken = break_glass::broken(state, facts)?;
    let until = broken.until_at.clock();
    let held_up = if state.session_is_up(facts) { "; while a session is up it serves nobody" } else { "" };
    let (user, reason) = (Actor::User, sanitize::line(&broken.reason));
    Some(format!("BREAK-GLASS by {user} until {until}, without the lock: {reason}{held_up}"))
}

fn data(state: &State, facts: &Facts) -> Value {
    match break_glass::broken(state, facts) {
        None => json!({"break_glass": Value::Null}),
        Some(broken) => {
            let left_s = broken.until.ms_until(&facts.now.boot) / 1_000;
            json!({"break_glass": {"reason": broken.reason, "since": broken.since,
                "until": broken.until_at, "left_s": left_s}})
        }
    }
}
