//! `cmw pause` and `cmw resume`: roles that must not acquire the lock or commit for a while.

use serde_json::{Map, Value, json};

use crate::domain::command::Command;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::request::PURPOSE_CHARS_MAX;
use crate::domain::state::State;
use crate::domain::util::sanitize;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::cli::Common;

/// Reads a reason: one line, not too long; it may be empty.
///
/// # Errors
/// A text that says what was expected.
pub fn parse_reason(value: &str) -> Result<String, String> {
    let reason = sanitize::line(value.trim());
    if reason.chars().count() > PURPOSE_CHARS_MAX {
        return Err(format!("at most {PURPOSE_CHARS_MAX} characters"));
    }
    Ok(reason)
}

/// Runs `cmw pause`; without names for all roles.
///
/// # Errors
/// [`Failure`]: refusals too.
pub fn pause(env: &Env, common: &Common, names: &[String], reason: &str) -> Result<Answer, Failure> {
    let context = common.open(env)?;
    let state = context.state()?;
    let roles = roles(&state, names)?;
    let caller = context.caller(&state)?;
    let done =
        context.transact(&caller, &Command::Pause { roles: roles.clone(), reason: reason.to_owned() })?;
    done.outcome?;
    let mut answer = Answer::done(data(&done.state), paused(&done.state));
    let again = roles.iter().filter(|role| state.paused.contains_key(role)).count();
    let mut notes = Vec::new();
    if again > 0 {
        notes.push("roles that were already paused keep their earlier reason".to_owned());
    }
    notes.extend(holder(&done.state));
    notes.push("next: cmw resume".to_owned());
    answer.hint = Some("cmw resume".to_owned());
    Ok(answer.noting(notes.join("\n")))
}

/// Runs `cmw resume`; without names for all roles.
///
/// # Errors
/// [`Failure`]: refusals too.
pub fn resume(env: &Env, common: &Common, names: &[String]) -> Result<Answer, Failure> {
    let context = common.open(env)?;
    let state = context.state()?;
    let roles = roles(&state, names)?;
    let caller = context.caller(&state)?;
    let done = context.transact(&caller, &Command::Resume { roles })?;
    done.outcome?;
    let freed: Vec<&Role> = state.paused.keys().filter(|r| !done.state.paused.contains_key(r)).collect();
    let freed = match freed.as_slice() {
        [] => String::new(),
        freed => format!("resumed: {}\n", named(freed, &state)),
    };
    let mut answer = Answer::done(data(&done.state), format!("{freed}{}", paused(&done.state)));
    if !done.state.paused.is_empty() {
        answer.hint = Some("cmw resume".to_owned());
        answer.note = "next: cmw resume".to_owned();
    }
    Ok(answer)
}

/// Returns the named roles, each once.
fn roles(state: &State, names: &[String]) -> Result<Vec<Role>, Failure> {
    let mut roles: Vec<Role> = Vec::new();
    for name in names {
        // A role that has left the roster may still be paused.
        let paused = state.paused.keys().find(|role| role.as_str() == name);
        let role = match paused {
            Some(role) => role,
            None => &state.policy.roster.resolve(name)?.role,
        };
        if !roles.contains(role) {
            roles.push(role.clone());
        }
    }
    Ok(roles)
}

/// Returns the paused roles, one line for each reason.
fn paused(state: &State) -> String {
    let mut groups: Vec<(String, Vec<&Role>)> = Vec::new();
    for (role, pause) in &state.paused {
        let reason = sanitize::line(&pause.reason);
        let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
        let why = format!("by {} since {}{reason}", pause.by.in_sentence(), pause.since.clock());
        match groups.iter_mut().find(|(other, _)| *other == why) {
            Some((_, roles)) => roles.push(role),
            None => groups.push((why, vec![role])),
        }
    }
    let lines: Vec<String> =
        groups.iter().map(|(why, roles)| format!("paused: {} ({why})", named(roles, state))).collect();
    if lines.is_empty() { "no role is paused".to_owned() } else { lines.join("\n") }
}

fn named(roles: &[&Role], state: &State) -> String {
    let all = state.policy.roster.members().len();
    if all > 1 && roles.len() >= all {
        return format!("all {all} roles");
    }
    roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns a note when a paused role holds the lock: the others have to wait.
fn holder(state: &State) -> Option<String> {
    let held = state.held()?;
    let Actor::Role(role) = &held.holder else { return None };
    state.paused.contains_key(role).then(|| {
        format!(
            "{role} holds {} until {} and cannot commit while paused",
            held.lock_id(),
            held.expires_at.clock()
        )
    })
}

fn data(state: &State) -> Value {
    let one = |(role, pause): (&Role, &crate::domain::session::instance::RolePause)| {
        (role.to_string(), json!({"by": pause.by, "reason": pause.reason, "since": pause.since}))
    };
    json!({"paused": state.paused.iter().map(one).collect::<Map<String, Value>>()})
}
