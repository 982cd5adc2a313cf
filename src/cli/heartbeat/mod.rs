//! `cmw-heartbeat`: its arguments.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use crate::domain::command::{Caller, Command};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::request::PURPOSE_CHARS_MAX;
use crate::domain::refusal::Refusal;
use crate::domain::session::instance::InstancePhase;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::parse_duration_ms;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::health::{beat, heartbeat};
use crate::app::mail::doorbell::RoleDoorbell;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::output::Style;

/// Register an instance, and send its heartbeats
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
        /// How long to retry while another process is writing
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "30s")]
        wait: u64,
    },
    /// Send one heartbeat
    Beat {
        /// The current task
        #[arg(long, value_parser = parse_task)]
        task: Option<String>,
    },
    /// Send heartbeats for as long as the instance's process is alive
    Run {
        /// Interval
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "60s")]
        every: u64,
        /// Notify the instance of messages in its pane: it is this agent, which has no hooks of its own
        #[arg(long, value_name = "AGENT", hide = true)]
        bell: Option<String>,
    },
    /// Mark the role as stopped: its lock and its place in the queue are released
    Deregister,
}

fn parse_task(value: &str) -> Result<String, String> {
    Ok(sanitize::shorten(&sanitize::line(value), PURPOSE_CHARS_MAX))
}

/// Runs `cmw-heartbeat`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    let caller = context.caller(&state)?;
    let Actor::Role(role) = caller.actor.clone() else {
        let actor = caller.actor.in_sentence();
        let found = format!("this is {actor}, and only roles have a heartbeat (set CLAUDE_ROLE)");
        return Err(Refusal::UnknownIdentity { found }.into());
    };
    match &cli.verb {
        Verb::Register { wait } => register(&context, &caller, &role, *wait),
        Verb::Beat { task } => {
            beat::beat(&context, &caller, &role, Some(task.clone()))?;
            context.refresh_views();
            Ok(Answer::done(json!({"role": role}), ""))
        }
        Verb::Run { every, bell } => {
            let bell = bell.as_deref().map(|agent| RoleDoorbell::new(&role, agent));
            let why = heartbeat::run(&context, &caller, &role, *every, bell)?;
            Ok(Answer::done(json!({"role": role, "ended": why}), format!("{role}: {why}")))
        }
        Verb::Deregister => {
            context.transact(&caller, &Command::Shutdown(role.clone()))?.outcome?;
            Ok(Answer::done(json!({"role": role}), format!("{role} is shut down")))
        }
    }
}

/// Registers the role; the answer contains the registry.
fn register(context: &Context<'_>, caller: &Caller, role: &Role, wait_ms: u64) -> Result<Answer, Failure> {
    let state = heartbeat::register(context, caller, role, wait_ms)?;
    let count = state.instances.values().filter(|i| i.phase == InstancePhase::Ready).count();
    let all = state.policy.roster.members().len();
    Ok(Answer::done(
        json!({"role": role, "registry": registry(&state)}),
        format!("{role} is registered ({count} of {all})"),
    ))
}

fn registry(state: &State) -> Vec<Value> {
    let one = |(role, i): (&Role, &crate::domain::session::instance::Instance)| json!({"role": role, "pane": i.pane, "status": i.phase, "registered_at": i.since});
    state.instances.iter().map(one).collect()
}
