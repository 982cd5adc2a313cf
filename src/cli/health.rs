//! Owns the words of `cmw-health`.

use std::ffi::OsString;

use clap::Parser;

use super::context::Context;
use super::env::Env;
use super::failure::Failure;
use super::output::{Answer, Style};
use super::screen::{Ink, Size};
use super::{Common, health_table, status, status_data, watch};

/// How the instances are: state, mail, work, the lock and its queue; problems first
///
/// The table looks once and ends; --json gives the same to programs (docs/health.md says what each
/// field means); --watch follows, and acts by key.
#[derive(Parser, Debug)]
#[command(name = "cmw-health", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// Follow on a screen of its own (? shows its keys)
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

/// Runs `cmw-health`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    super::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    if cli.watch { watch::run(env, &cli.common) } else { table(env, &cli.common) }
}

/// The table.
fn table(env: &Env, common: &Common) -> Result<Answer, Failure> {
    let context = Context::open(env, common)?;
    let status = status::gather(&context)?;
    let text = health_table::render(&status, Size::of(env), Ink::of(env));
    let mut answer = Answer::done(status_data::data(&status), text);
    answer.hint = Some(status.next.clone());
    Ok(answer)
}
