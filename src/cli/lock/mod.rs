//! `cmw-lock`: its arguments, and how answers about the write lock are printed.

pub mod run;
pub mod show;
use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::domain::command::{Caller, Command, Reply};
use crate::domain::lock::checks;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::lease::{expiry_reason, held_refusal};
use crate::domain::lock::queue;
use crate::domain::lock::request::{LockRequest, PURPOSE_CHARS_MAX};
use crate::domain::lock::write_lock::{Lease, WriteLock};
use crate::domain::mail::priority::Priority;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::parse_duration_ms;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::lock::wait::wait_for;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::lock::show::{lock_data, lock_line, waiter_lines};
use crate::cli::output::Style;

/// Acquire, release and show the write lock
///
/// Only the holder can update protected branches: git's own hooks enforce it. The lock goes to the User
/// first, then by priority, then in order of arrival. A lease expires by itself (5 minutes, or twice the
/// estimate); every commit and every sign of work renews it.
#[derive(Parser, Debug)]
#[command(name = "cmw-lock", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Acquire the lock, or a place in the queue (exit 75)
    Acquire {
        #[command(flatten)]
        wish: LockOptions,
        /// Wait at most this long for it (90s, 5m, 1h)
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms)]
        wait: Option<u64>,
    },
    /// Release the lock
    Release {
        /// Only if this is still the current lease
        #[arg(long, value_name = "N")]
        token: Option<u64>,
    },
    /// Start a new lease
    Renew,
    /// Show the holder and the queue (exit 0: free or yours, 75: held by another)
    Status,
    /// Show the queue, in order
    Queue,
    /// Leave the queue
    Cancel,
    /// Pass the lock to a waiting role, out of order
    Handover {
        /// The role that gets it
        role: String,
    },
    /// Release another holder's lock (Orchestrator and User only)
    ForceRelease {
        /// Why; recorded, and sent to the former holder
        #[arg(long, value_parser = parse_purpose)]
        reason: String,
    },
    /// Acquire the lock, run a command, and release the lock however it ends
    Run {
        #[command(flatten)]
        wish: LockOptions,
        /// Wait at most this long for the lock
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "10m")]
        wait: u64,
        /// The command
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
}

/// What the lock is requested for.
#[derive(Args, Clone, Debug)]
pub struct LockOptions {
    /// Files that will change (glob; repeatable); default: any
    #[arg(long, value_name = "GLOB")]
    files: Vec<String>,
    /// The purpose, in a few words
    #[arg(long, default_value = "", value_parser = parse_purpose)]
    purpose: String,
    /// Expected duration; the lease is twice that, at most 30m
    #[arg(long, value_name = "TIME", value_parser = parse_duration_ms)]
    estimate: Option<u64>,
    /// Approximate number of lines that will change
    #[arg(long, value_name = "N")]
    loc: Option<u32>,
    /// critical, high, normal or low
    #[arg(long, default_value = "normal")]
    priority: Priority,
}

fn parse_purpose(text: &str) -> Result<String, String> {
    if text.chars().count() > PURPOSE_CHARS_MAX {
        return Err(format!("at most {PURPOSE_CHARS_MAX} characters"));
    }
    Ok(sanitize::line(text))
}

impl LockOptions {
    /// Returns the request as the domain takes it.
    ///
    /// # Errors
    /// [`Failure`] when too many files are claimed.
    pub fn request(&self, context: &Context<'_>) -> Result<LockRequest, Failure> {
        let files = Claim::parse(&self.files).map_err(|e| Failure::usage(sanitize::line(&e.to_string())))?;
        let (purpose, priority) = (self.purpose.clone(), self.priority);
        Ok(LockRequest {
            files,
            purpose,
            estimate_ms: self.estimate,
            loc: self.loc,
            priority,
            work_tree: context.work_tree_name(),
            guessed: false,
        })
    }
}

/// Runs `cmw-lock`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    if let Verb::Status | Verb::Queue = cli.verb {
        return Ok(show(&context, &state, matches!(cli.verb, Verb::Queue)));
    }
    let caller = context.caller(&state)?;
    match &cli.verb {
        Verb::Acquire { wish, wait: None } => {
            let command = Command::Acquire { request: wish.request(&context)?, caller: None, stand_in: None };
            let done = context.transact(&caller, &command)?;
            answer_acquire(&context, &caller, &done.state, done.outcome?)
        }
        Verb::Acquire { wish, wait: Some(wait_ms) } => {
            let (reply, state) =
                wait_for(&context, &caller, &wish.request(&context)?, *wait_ms, None, cli.common.quiet)?;
            answer_acquire(&context, &caller, &state, reply)
        }
        Verb::Release { token } => released(&context, &caller, &Command::Release { token: *token }),
        Verb::Renew => {
            let done = context.transact(&caller, &Command::Renew)?;
            answer_acquire(&context, &caller, &done.state, done.outcome?)
        }
        Verb::Cancel => {
            context.transact(&caller, &Command::Cancel)?.outcome?;
            Ok(Answer::done(json!({}), "you have left the queue"))
        }
        Verb::Handover { role } => {
            let role = state.policy.roster.resolve(role)?.role.clone();
            released(&context, &caller, &Command::Handover(role))
        }
        Verb::ForceRelease { reason } => {
            released(&context, &caller, &Command::ForceRelease { reason: reason.clone() })
        }
        Verb::Run { .. } if cli.common.json => {
            Err(Failure::usage("--json cannot be used with run: the output is the command's own"))
        }
        Verb::Run { wish, wait, command } => {
            run::run(&context, &caller, &wish.request(&context)?, *wait, command, cli.common.quiet)
        }
        Verb::Status | Verb::Queue => Ok(show(&context, &state, false)),
    }
}

fn answer_acquire(
    context: &Context<'_>,
    caller: &Caller,
    state: &State,
    reply: Reply,
) -> Result<Answer, Failure> {
    match reply {
        Reply::Granted(held) => Ok(granted(&held, "granted")),
        Reply::Renewed(held) => Ok(granted(&held, "renewed")),
        Reply::Queued { ticket, place } => {
            let facts = context.facts(state);
            let refusal = held_refusal(state, &facts, Some(place));
            let wait = queue::estimate_ms(state, &facts, place);
            let data = json!({"state": "queued", "ticket": ticket, "position": place,
                "holder": state.held().map(|h| &h.holder), "estimate_s": wait / 1_000});
            let mut answer = Answer::done(data, "").exiting(Exit::Busy);
            answer.note = refusal.as_ref().map_or_else(|| queued_while_frozen(state, place), Refusal::lines);
            answer.hint = Some("cmw-lock acquire --wait 10m".to_owned());
            Ok(answer)
        }
        Reply::Done | Reply::Released { .. } => Err(Failure::with_next_step(
            Exit::Bug,
            format!("an unexpected answer to {}", caller.actor),
            "cmw-doctor",
        )),
    }
}

/// Returns the refusal of a frozen system, if it is frozen.
fn frozen(state: &State) -> Option<Refusal> {
    checks::running(state).err()
}

fn queued_while_frozen(state: &State, place: usize) -> String {
    frozen(state).map_or_else(
        || format!("you are number {place} in the queue\nnext: cmw-lock acquire --wait 10m"),
        |refusal| refusal.lines(),
    )
}

fn granted(held: &Lease, word: &str) -> Answer {
    let data = json!({
        "state": "held", "lock_id": held.lock_id(), "token": held.token, "holder": held.holder,
        "files": held.request.files, "granted_at": held.granted_at, "expires_at": held.expires_at,
    });
    let files = sanitize::line(&held.request.files.to_string());
    let (holder, until) = (held.holder.in_sentence(), held.expires_at.clock());
    let line = format!("{word} {} to {holder} until {until} for {files}", held.lock_id());
    Answer::done(data, line).noting("next: commit, then cmw-lock release")
}

fn released(context: &Context<'_>, caller: &Caller, command: &Command) -> Result<Answer, Failure> {
    let done = context.transact(caller, command)?;
    let Reply::Released { lock_id, next } = done.outcome? else {
        return Err(Failure::with_next_step(Exit::Bug, "an unexpected answer", "cmw-doctor"));
    };
    let kept = done.state.offer().map(|offer| format!("it is reserved for {}", offer.to));
    let to = next.as_ref().map(|next| format!("{next} has it now")).or(kept);
    let to = to.unwrap_or_else(|| "the lock is free".to_owned());
    Ok(Answer::done(json!({"released": lock_id, "next": next}), format!("released {lock_id}; {to}")))
}

fn show(context: &Context<'_>, state: &State, only_queue: bool) -> Answer {
    let facts = context.facts(state);
    let mut lines = Vec::new();
    if !only_queue {
        if let Some(frozen) = frozen(state) {
            lines.push(frozen.why());
        }
        lines.push(lock_line(state, &facts));
    }
    lines.extend(waiter_lines(state, &facts));
    if only_queue && lines.is_empty() {
        lines.push("the queue is empty".to_owned());
    }
    let me = context.caller(state).ok();
    let mine = me.is_some_and(|me| state.is_holder(&me.actor, &me.process));
    let free = state.lock == WriteLock::Free || expiry_reason(state, &facts).is_some();
    let exit = if mine || free || only_queue { Exit::Done } else { Exit::Busy };
    Answer::done(lock_data(state, &facts, mine), lines.join("\n")).exiting(exit)
}
