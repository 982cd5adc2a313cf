//! `cmw-doctor`: runs every check, reports problems with their remedies, and applies the safe ones.

mod enforcement;
mod files;
mod fix;
mod git_guard;
mod machine;
mod mail;
mod report;
mod running;
mod setup;

use std::ffi::OsString;

use clap::Parser;

use crate::adapters::os::process;
use crate::domain::command::{Caller, Command};
use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::RoleKind;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::store::error::StoreError;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::output::Style;
use crate::cli::style::{Colors, ScreenSize};

pub use crate::cli::doctor::report::{CheckResult, Grade, Report};

/// How many findings of one run the audit keeps, and how long each.
const RECORDED_MAX: usize = 50;
const RECORDED_CHARS_MAX: usize = 300;

/// Check the whole installation, and give a remedy for each problem
///
/// Exit 0: no problem (notes are not findings). Exit 1: there are findings. Exit 65: data on disk is damaged.
/// When the Librarian runs it, the result is recorded in the audit.
#[derive(Parser, Debug)]
#[command(name = "cmw-doctor", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// Apply the safe remedies: rebuild lost state, reinstall hooks, correct modes, remove leftovers
    ///
    /// No user data is deleted; every change is reported.
    #[arg(long)]
    fix: bool,
    /// Also list in detail what is in order
    #[arg(long, short)]
    verbose: bool,
}

/// Runs `cmw-doctor`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

/// What the checks examine.
pub(crate) struct CheckContext<'a> {
    pub(crate) context: &'a Context<'a>,
    /// The state and the facts of the moment, if the state can be read.
    pub(crate) state: Option<(State, Facts)>,
}

impl<'a> CheckContext<'a> {
    fn of(context: &'a Context<'a>, report: &mut Report) -> Self {
        let state = match context.store.snapshot() {
            Ok(state) => {
                let facts = context.facts(&state);
                Some((state, facts))
            }
            Err(StoreError::NotInitialised) => {
                report.finding("set-up", "cmw is not set up in this repository", "cmw-init");
                None
            }
            Err(error) => {
                report.store_error("state", &error);
                None
            }
        };
        Self { context, state }
    }

    fn is_set_up(&self, report: &Report) -> bool {
        self.state.is_some() || report.items.iter().all(|item| item.check != "set-up")
    }
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let mut done = Vec::new();
    if cli.fix {
        done = fix::run(&context)?;
    }
    let mut report = examine(&context);
    report.done = done;
    if !cli.fix {
        record(&context, &mut report);
    }
    let show = report::ReportStyle {
        ink: Colors::of(env),
        width: env.stdout_is_terminal.then(|| ScreenSize::of(env).width),
        quiet: cli.common.quiet,
        verbose: cli.verbose,
    };
    Ok(report.answer(show))
}

/// Runs every check; changes nothing.
fn examine(context: &Context<'_>) -> Report {
    let mut report = Report::default();
    let check_context = CheckContext::of(context, &mut report);
    if check_context.is_set_up(&report) {
        // First: everything else depends on it.
        files::check_layout(&check_context, &mut report);
    }
    machine::check(&check_context, &mut report);
    setup::check(&check_context, &mut report);
    if let Some((state, _)) = &check_context.state {
        enforcement::check(&check_context, state, &mut report);
    }
    if check_context.is_set_up(&report) {
        files::check(&check_context, &mut report);
        running::check(&check_context, &mut report);
        mail::check(&check_context, &mut report);
    }
    report
}

/// Records the Librarian's check, which is part of the start-up (docs/rules.md R2.5).
fn record(context: &Context<'_>, report: &mut Report) {
    let Ok(state) = context.state() else { return };
    let Ok(caller) = context.caller(&state) else { return };
    let kind = caller.actor.role().and_then(|role| state.policy.roster.kind(role));
    if !kind.is_some_and(RoleKind::is_librarian) || report.is_locked_out() {
        return;
    }
    let shown =
        |item: &CheckResult| sanitize::shorten(&format!("{}: {}", item.check, item.what), RECORDED_CHARS_MAX);
    let findings: Vec<String> = report.problems().take(RECORDED_MAX).map(shown).collect();
    match context.transact(&caller, &Command::VerifyInitialization(findings)) {
        Ok(_) => report.done.push("recorded this check in audit/orchestrator-startup.log".to_owned()),
        Err(failure) => {
            let why = failure.text();
            report.finding("record", format!("this check could not be recorded: {why}"), "cmw-doctor");
        }
    }
}

/// Returns the caller who repairs, as far as it can be identified.
fn fix_caller(context: &Context<'_>, state: &State) -> Caller {
    let unidentified = || Caller { actor: Actor::Unproven, process: process::owner() };
    crate::app::identity::identify(context.env, state, &context.facts(state))
        .unwrap_or_else(|_| unidentified())
}
