//! Gathers the data for the screens of `cmw` and `cmw-health`, and selects the suggested next command.

use crate::domain::facts::Facts;
use crate::domain::freeze::break_glass;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::health::liveness::Liveness;
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::lock::lease::expiry_reason;
use crate::domain::lock::queue;
use crate::domain::lock::release::Release;
use crate::domain::session::instance::Session;
use crate::domain::state::State;
use crate::store::mail::mailbox;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::freeze::pins;
use crate::app::guard::hook_check;
use crate::app::health::monitor;
use crate::app::health::role_status::{self, RoleStatus};
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::cmw::{screen, status_json};
use crate::cli::style::{Colors, ScreenSize};

/// Everything that the screen shows.
#[derive(Clone, Debug)]
pub struct Status {
    /// The path of the repository.
    pub place: String,
    /// The state, read once.
    pub state: State,
    /// The facts of that moment.
    pub facts: Facts,
    /// Every role, problems first.
    pub rows: Vec<RoleStatus>,
    /// The pins of a hard freeze, if there are any.
    pub pins: Option<pins::PinStatus>,
    /// Why the hooks are not run, if they are not.
    pub unguarded: Option<String>,
    /// Why no monitor is running, if none is; the first line of every screen.
    pub monitor: Option<String>,
    /// The number of the User's unread messages.
    pub user_mail: usize,
    /// The suggested next command.
    pub next: String,
}

/// Runs `cmw` without arguments.
///
/// # Errors
/// [`Failure`]: no repository, not set up (78), damage (65).
pub fn run(env: &Env, common: &Common) -> Result<Answer, Failure> {
    let context = common.open(env)?;
    let status = gather(&context)?;
    let size = ScreenSize::of(env);
    let mut answer = Answer::done(status_json::data(&status), screen::render(&status, size, Colors::of(env)));
    answer.hint = Some(status.next.clone());
    Ok(answer)
}

/// Gathers everything once; writes nothing, takes no lock.
///
/// # Errors
/// [`Failure`]: not set up (78), damage (65).
pub fn gather(context: &Context<'_>) -> Result<Status, Failure> {
    gather_with_hook_check(context, hook_check::problem(context))
}

/// Does the same with a known result of the hook check, which is most of the cost.
///
/// # Errors
/// As [`gather`].
pub fn gather_with_hook_check(context: &Context<'_>, unguarded: Option<String>) -> Result<Status, Failure> {
    let state = context.state()?;
    let facts = context.facts(&state);
    let disk = context.store.disk();
    let rows = role_status::all(disk, &state, &facts);
    let repo = &context.repo;
    let mut status = Status {
        place: repo.work_tree.as_ref().unwrap_or(&repo.common_dir).display().to_string(),
        pins: pins::status(disk, &state),
        unguarded,
        monitor: monitor::monitor_problem(context, &state),
        user_mail: mailbox::waiting(disk, &Mailbox::User).map_or(0, |waiting| waiting.new),
        rows,
        state,
        facts,
        next: String::new(),
    };
    status.next = next(context, &status);
    Ok(status)
}

/// Returns the suggested next command: system-wide problems first, then those of one role, then the caller's
/// own work.
fn next(context: &Context<'_>, status: &Status) -> String {
    let (state, facts) = (&status.state, &status.facts);
    let me = context.caller(state).ok().map(|caller| caller.actor);
    let is_role = matches!(me, Some(Actor::Role(_)));
    let crashed = status.rows.iter().find(|row| row.liveness() == Liveness::Crashed);
    let holds = me.as_ref().is_some_and(|me| state.held().is_some_and(|held| held.holder == *me));
    let unread = match &me {
        Some(Actor::Role(role)) => status
            .rows
            .iter()
            .find(|row| row.role == *role)
            .and_then(|row| row.mail)
            .map_or(0, |mail| mail.new),
        Some(Actor::User) => status.user_mail,
        Some(Actor::System | Actor::Unproven) | None => 0,
    };
    let session_is_up = state.session_is_up(facts);
    if matches!(state.system, FreezeState::Frozen { .. }) {
        let thaw = me == Some(Actor::User);
        return if thaw { "cmw-freeze thaw --reason '…'" } else { "cmw-freeze status" }.to_owned();
    }
    if status.pins.is_some() {
        return "cmw-doctor --fix".to_owned();
    }
    if status.unguarded.is_some() {
        return "cmw-doctor".to_owned();
    }
    if !state.violations.is_empty() && !is_role {
        return "cmw-audit violations".to_owned();
    }
    if break_glass::active_for(state, me.as_ref().unwrap_or(&Actor::Unproven), facts).is_some() {
        return "cmw-bypass break-glass end".to_owned();
    }
    if matches!(state.session, Session::Up { .. }) && !session_is_up {
        return "cmw-session up".to_owned();
    }
    if let (Some(row), true, false) = (crashed, session_is_up, is_role) {
        return format!("cmw-session start {}", shell_quote(row.role.as_str()));
    }
    let over = expiry_reason(state, facts).filter(|reason| *reason != Release::CommandEnded);
    if over.is_some() && queue::next(state, facts).is_none() && !holds {
        return "cmw-lock status".to_owned();
    }
    match (unread, holds, session_is_up, is_role) {
        (1.., _, _, _) => "cmw-inbox".to_owned(),
        (0, true, _, _) => "commit, then cmw-lock release".to_owned(),
        (0, false, _, true) => "cmw-lock acquire".to_owned(),
        (0, false, true, false) => "cmw-session attach".to_owned(),
        (0, false, false, false) => "cmw-session up".to_owned(),
    }
}
