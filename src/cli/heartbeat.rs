//! Owns the words of `cmw-heartbeat`.

use std::ffi::OsString;
use std::os::fd::AsFd;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use crate::adapters::{clock, process};
use crate::domain::decide::{Asker, Command, is_overdue};
use crate::domain::permit;
use crate::domain::refusal::Refusal;
use crate::domain::role::{Actor, Role};
use crate::domain::state::{PURPOSE_CHARS_MAX, Phase, State};
use crate::domain::text;
use crate::domain::time::parse_duration_ms;
use crate::store::beats::{self, Beat};
use crate::store::error::StoreError;
use crate::store::watch::Watch;

use super::context::Context;
use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::lock_wait::until_something;
use super::output::{Answer, Style};
use super::ringer::Ringer;
use super::{Common, patrol, session_watch, undelivered};

/// A beating process looks at the state no oftener and no more seldom than this, in milliseconds.
const LOOK_MS: (u64, u64) = (250, 5_000);

/// Say that an instance is there, and that it lives
#[derive(Parser, Debug)]
#[command(name = "cmw-heartbeat", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Register this role as ready; prints the registry (the acknowledgement)
    Register {
        /// How long to try while somebody else is writing
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "30s")]
        wait: u64,
    },
    /// One heartbeat: a sign of life and of work
    Beat {
        /// What is being worked on
        #[arg(long, value_parser = parse_task)]
        task: Option<String>,
    },
    /// Beat for as long as the instance's process lives
    Run {
        /// How often
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "60s")]
        every: u64,
        /// Tell it of messages in its pane: it is this agent, and has no hooks of its own
        #[arg(long, value_name = "AGENT", hide = true)]
        bell: Option<String>,
    },
    /// Say that the role stops: its lock and its place in the queue go with it
    Deregister,
}

fn parse_task(value: &str) -> Result<String, String> {
    Ok(text::shorten(&text::line(value), PURPOSE_CHARS_MAX))
}

/// Runs `cmw-heartbeat`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    super::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = Context::open(env, &cli.common)?;
    let state = context.state()?;
    let asker = context.asker(&state)?;
    let Actor::Role(role) = asker.actor.clone() else {
        let found = format!("this is {}, and only roles have a heartbeat (set CLAUDE_ROLE)", asker.actor);
        return Err(Refusal::UnknownIdentity { found }.into());
    };
    match &cli.verb {
        Verb::Register { wait } => register(&context, &asker, &role, *wait),
        Verb::Beat { task } => {
            beat(&context, &asker, &role, Some(task.clone()))?;
            context.refresh_views();
            Ok(Answer::done(json!({"role": role}), ""))
        }
        Verb::Run { every, bell } => {
            let bell = bell.as_deref().map(|agent| Ringer::new(&role, agent));
            run_beats(&context, &asker, &role, *every, bell)
        }
        Verb::Deregister => {
            context.transact(&asker, &Command::Shutdown(role.clone()))?.outcome?;
            Ok(Answer::done(json!({"role": role}), format!("{role} is shut down")))
        }
    }
}

/// Registers; while somebody else has the gate it tries again, until the time is over.
fn register(context: &Context<'_>, asker: &Asker, role: &Role, wait_ms: u64) -> Result<Answer, Failure> {
    let deadline = clock::now().boot.plus(wait_ms);
    let done = loop {
        match context.transact(asker, &Command::Register) {
            Err(Failure::Store(StoreError::Busy { .. })) if !deadline.has_passed(&clock::now().boot) => {}
            Err(Failure::Store(StoreError::Busy { .. })) => {
                let what = format!("no acknowledgement within {}", crate::domain::time::human(wait_ms));
                return Err(Failure::told(Exit::Busy, what, "cmw-doctor"));
            }
            other => break other?,
        }
    };
    done.outcome?;
    beat(context, asker, role, Some(None))?;
    context.refresh_views();
    let registry = registry(&done.state);
    let count = done.state.instances.values().filter(|i| i.phase == Phase::Ready).count();
    let all = done.state.policy.roster.members().len();
    Ok(Answer::done(
        json!({"role": role, "registry": registry}),
        format!("{role} is registered ({count} of {all})"),
    ))
}

fn registry(state: &State) -> Vec<Value> {
    let one = |(role, i): (&Role, &crate::domain::state::Instance)| json!({"role": role, "pane": i.pane, "status": i.phase, "registered_at": i.since});
    state.instances.iter().map(one).collect()
}

/// Writes a beat. `task` present: the agent itself did something (and says what it works on);
/// absent: only its process lives.
fn beat(
    context: &Context<'_>,
    asker: &Asker,
    role: &Role,
    task: Option<Option<String>>,
) -> Result<(), Failure> {
    let now = clock::now();
    let before = beats::read(context.store.disk(), role)?;
    let kept = before.as_ref().and_then(|b| b.task.clone());
    let (active, task) = match (task, before) {
        (Some(task), _) => (now.boot.clone(), task.or(kept)),
        (None, Some(before)) => (before.active, kept),
        (None, None) => (now.boot.clone(), None),
    };
    let beat = Beat { at: now.wall, beat: now.boot, active, task, process: asker.process.clone() };
    Ok(beats::write(context.store.disk(), role, &beat)?)
}

/// Counts this as work of the asker's role: it did something itself. Soft: what cannot be written
/// costs only that.
pub fn sign_of_work(context: &Context<'_>, asker: &Asker) {
    if let Some(role) = asker.actor.role() {
        let _ = beat(context, asker, role, Some(None));
    }
}

/// Brings about what is overdue while nobody asks: a lease that is over, an offer that nobody took.
/// Whoever waits away from its command is told then.
fn bring_about(context: &Context<'_>, asker: &Asker, state: &State) -> Result<(), Failure> {
    if is_overdue(state, &context.facts(state)) && permit::running(state).is_ok() {
        context.transact(asker, &Command::Observe(Vec::new()))?;
    }
    Ok(())
}

fn run_beats(
    context: &Context<'_>,
    asker: &Asker,
    role: &Role,
    every_ms: u64,
    mut bell: Option<Ringer>,
) -> Result<Answer, Failure> {
    let unavailable =
        |e: std::io::Error| Failure::told(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor");
    let watch = match &bell {
        Some(bell) => bell.watch(context)?,
        None => Watch::none().map_err(unavailable)?,
    };
    let mut next_beat = clock::now().boot;
    let gone = |why: &str| Ok(Answer::done(json!({"role": role, "ended": why}), format!("{role}: {why}")));
    loop {
        let Some(life) = process::watch(&asker.process) else { return gone("the process is gone") };
        let state = context.state()?;
        if state.instances.get(role).is_some_and(|i| i.phase == Phase::Shutdown || i.process != asker.process)
        {
            return gone("the role is shut down");
        }
        let now = clock::now().boot;
        if next_beat.has_passed(&now) {
            beat(context, asker, role, None)?;
            context.refresh_views();
            next_beat = now.plus(every_ms.max(100));
        }
        bring_about(context, asker, &state)?;
        // What is found stands in the audit; a look that fails is made again by the next one.
        let _ = patrol::pass_by(context, &state, asker);
        let _ = undelivered::pass_by(context, &state, asker);
        let _ = session_watch::pass_by(context, &state);
        if let Some(bell) = &mut bell {
            // Whom it does not reach, the person is told of.
            let _ = bell.look(context, &state);
        }
        let change = until_something(&state, &context.facts(&state)).clamp(LOOK_MS.0, LOOK_MS.1);
        let sleep_ms = next_beat.ms_until(&clock::now().boot).min(change);
        watch.wait(Some(life.as_fd()), sleep_ms.max(1)).map_err(unavailable)?;
    }
}
