//! `cmw-freeze`: its arguments, and how a freeze is printed.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use serde_json::json;

use crate::adapters::os::clock;
use crate::domain::command::Command;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::checks;
use crate::domain::lock::request::PURPOSE_CHARS_MAX;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::freeze::pins;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::output::Style;

/// Block all branch updates, and lift the freeze
///
/// While frozen, the write lock is not held and no protected branch can be updated; files and the queue stay
/// as they are. The Librarian and the User can freeze, only the User can thaw.
#[derive(Parser, Debug)]
#[command(name = "cmw-freeze", version, after_help = HARD)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// What a hard freeze is, for the help and the man page.
const HARD: &str = "\
A soft freeze is enforced by the hooks. A hard freeze also pins every existing branch: in the place
of git's own lock file, .git/refs/heads/BRANCH.lock, there is a directory with a README. Every git
command that needs the lock is refused, with or without hooks. Git reports for a pinned branch:
    Unable to create '…/.git/refs/heads/main.lock': File exists.
No git has crashed; leave the directory there until the thaw. Tags are not pinned, and neither are
branches created later. On a pinned branch git stash saves your work and exits with 1, and so do
git reset --hard, git merge --abort and the like; git gc may fail. Reftables cannot be pinned.";

#[derive(Subcommand, Debug)]
enum Verb {
    /// Freeze: the lock is released, its queue is kept
    Now {
        /// Why; sent to all roles
        #[arg(long, value_parser = parse_reason)]
        reason: String,
        /// Also pin all branches, so that git cannot update them even without hooks
        #[arg(long)]
        hard: bool,
    },
    /// Show whether the system is frozen (exit 0: running, 1: frozen)
    Status,
    /// Lift the freeze: the queue is served in order
    Thaw {
        /// How it was resolved; sent to all roles
        #[arg(long, value_parser = parse_reason)]
        reason: String,
    },
}

/// Parses a reason: not empty, and not too long.
///
/// # Errors
/// A message that says what is wrong with it.
pub fn parse_reason(value: &str) -> Result<String, String> {
    let reason = sanitize::line(value.trim());
    match reason.chars().count() {
        0 => Err("a reason is required".to_owned()),
        _ if reason.chars().all(|c| matches!(c, '…' | '.')) => {
            Err("replace the dots with the reason".to_owned())
        }
        1..=PURPOSE_CHARS_MAX => Ok(reason),
        _ => Err(format!("at most {PURPOSE_CHARS_MAX} characters")),
    }
}

/// Runs `cmw-freeze`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    match &cli.verb {
        Verb::Status => Ok(status(&context, &state)),
        Verb::Now { reason, hard } => freeze(&context, &state, reason, *hard),
        Verb::Thaw { reason } => {
            let caller = context.caller(&state)?;
            // Removed pins are detected before the thaw removes all of them.
            let (_, mut said) = pins::apply_pins(&context, &state, false)?;
            let command = Command::Thaw { reason: reason.clone() };
            let done = context.transact(&caller, &command)?;
            if let (Err(Refusal::NotFrozen), Some(left)) = (&done.outcome, &state.pins) {
                // An earlier thaw was killed after this point.
                said.push(format!("removed the remaining pins of {}", sanitize::branches(left.refs.len())));
                return Ok(Answer::done(data(&context, &done.state), "running").noting(said.join("\n")));
            }
            done.outcome?;
            let lasted = match &state.system {
                FreezeState::Frozen { since, .. } => {
                    format!(", after {}", human(clock::now().wall.ms_since(*since)))
                }
                FreezeState::Running => String::new(),
            };
            let next = done.state.held().map(|held| held.holder.in_sentence());
            let next = next.map(|holder| format!("; {holder} now holds the write lock"));
            let text = format!("running again{lasted}: {reason}{}", next.unwrap_or_default());
            let left = pins::status(context.store.disk(), &done.state).map(|look| look.line());
            Ok(Answer::done(data(&context, &done.state), text).noting(left.unwrap_or_default()))
        }
    }
}

fn freeze(context: &Context<'_>, state: &State, reason: &str, hard: bool) -> Result<Answer, Failure> {
    let caller = context.caller(state)?;
    let (wish, soft) = match hard.then(|| pins::pin_request(context)).transpose()? {
        Some(Ok(wish)) => (Some(wish), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    if let (Some(why), FreezeState::Frozen { .. }) = (&soft, &state.system) {
        crate::adapters::os::stdio::write_err(&format!("warning: {why}"));
    }
    let command = |pins| Command::Freeze { reason: reason.to_owned(), pins };
    let mut done = context.transact(&caller, &command(wish.clone()))?;
    done.outcome?;
    // A branch that was created between the look and the freeze.
    if let (Some(first), Ok(Ok(now))) = (&wish, pins::pin_request(context))
        && now.refs.iter().any(|name| !first.refs.contains(name))
    {
        done = context.transact(&caller, &command(Some(now)))?;
    }
    let freed = state.held().map(|held| format!("; {} lost {}", held.holder.in_sentence(), held.lock_id()));
    let look = pins::status(context.store.disk(), &done.state).filter(|look| look.wanted);
    let how = look.map_or_else(|| "frozen".to_owned(), |look| format!("frozen {}", look.line()));
    let text = format!("{how}: {reason}{}", freed.unwrap_or_default());
    // Not every role that may freeze may also thaw.
    let next = match caller.actor {
        Actor::User => "cmw-freeze thaw --reason '…'",
        Actor::Role(_) | Actor::System | Actor::Unproven => "cmw-freeze status",
    };
    let soft = soft.map_or_else(String::new, |why| format!("{why}\n"));
    Ok(Answer::done(data(context, &done.state), text)
        .noting(format!("{soft}files were not changed; the queue is kept\nnext: {next}")))
}

fn status(context: &Context<'_>, state: &State) -> Answer {
    let look = pins::status(context.store.disk(), state).map(|look| format!("\n{}", look.line()));
    match &state.system {
        FreezeState::Running => {
            let note = if look.is_some() { "next: cmw-doctor --fix" } else { "" };
            let text = format!("running{}", look.unwrap_or_default());
            Answer::done(data(context, state), text).noting(note)
        }
        FreezeState::Frozen { .. } => {
            let why = checks::running(state).err().map_or_else(String::new, |refusal| refusal.why());
            let how = look.unwrap_or_else(|| "\nsoft: enforced by the hooks".to_owned());
            let waiting = match state.queue.len() {
                0 => String::new(),
                n => format!("\nwaiting for the write lock: {n}"),
            };
            Answer::done(data(context, state), format!("{why}{how}{waiting}"))
                .exiting(Exit::Refused)
                .noting("next: cmw-freeze thaw --reason '…'   # the User")
        }
    }
}

fn data(context: &Context<'_>, state: &State) -> serde_json::Value {
    let system = match &state.system {
        FreezeState::Running => json!({"status": "RUNNING"}),
        FreezeState::Frozen { by, reason, since, .. } => {
            let hard = state.pinned() > 0;
            json!({"status": "FROZEN", "by": by, "reason": reason, "since": since, "hard": hard})
        }
    };
    let pins = pins::status(context.store.disk(), state).map(|look| look.data());
    json!({"system": system, "queue": state.queue.len(), "pins": pins})
}
