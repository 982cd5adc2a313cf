//! The identity of the caller (docs/decisions.md D3), by the first evidence that applies:
//!
//! 1. a registered process among the ancestors: that role, regardless of the environment; a contradiction is
//!    refused and recorded;
//! 2. while a session is up, every other process: an **unidentified process**;
//! 3. the value of `CLAUDE_ROLE`, where the policy accepts it;
//! 4. a terminal without any sign of an agent: the person;
//! 5. otherwise: an **unidentified process**.
//!
//! `System` cannot be claimed from outside: only the programs themselves act as it.

use crate::adapters::os::process;
use crate::domain::command::Caller;
use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::mode::IdentityMode;
use crate::domain::refusal::Refusal;
use crate::domain::session::instance::InstancePhase;
use crate::domain::state::State;
use crate::domain::util::sanitize;

use crate::app::env::Env;

/// Identifies this process.
///
/// # Errors
/// [`Refusal::UnknownIdentity`] when `CLAUDE_ROLE` counts and is not a role.
pub fn identify(env: &Env, state: &State, facts: &Facts) -> Result<Caller, Refusal> {
    let claimed = env.get("CLAUDE_ROLE");
    // Each ancestor costs a read of procfs: none without instances, none after the first match.
    let instances = || state.instances.iter().filter(|(_, i)| i.phase != InstancePhase::Shutdown);
    let registered = instances()
        .next()
        .and_then(|_| process::lineage().find_map(|p| instances().find(|(_, i)| i.process == p)));
    if let Some((role, instance)) = registered {
        return Ok(Caller { actor: Actor::Role(role.clone()), process: instance.process.clone() });
    }
    if state.session_is_up(facts) {
        return Ok(unproven(state));
    }
    if let Some(claimed) = claimed.filter(|_| state.policy.identity == IdentityMode::Environment) {
        let member = state.policy.roster.resolve(claimed);
        let member = member.map_err(|e| Refusal::UnknownIdentity { found: format!("CLAUDE_ROLE: {e}") })?;
        return Ok(Caller { actor: Actor::Role(member.role.clone()), process: process::owner() });
    }
    if !is_likely_person(env) {
        return Ok(unproven(state));
    }
    Ok(Caller { actor: Actor::User, process: process::owner() })
}

/// Returns the refusal when `CLAUDE_ROLE` contradicts the process tree: it has another role, or an invalid
/// one such as `User`.
#[must_use]
pub fn contradiction(env: &Env, state: &State, caller: &Caller) -> Option<Refusal> {
    let (claimed, role) = (env.get_os("CLAUDE_ROLE")?.to_string_lossy(), caller.actor.role()?);
    let named = match state.policy.roster.resolve(&claimed) {
        Ok(member) => member.role.to_string(),
        Err(_) => sanitize::shorten(&sanitize::line(&claimed), 40),
    };
    // A role that has left the roster still has its own name.
    if named == role.as_str() {
        return None;
    }
    let found = format!("CLAUDE_ROLE says {named}, but this process runs in the pane of {role}");
    Some(Refusal::UnknownIdentity { found })
}

/// Returns an unidentified caller. Unidentified callers are told apart by their process; a descendant of the
/// holder's process, such as a command of `cmw-lock run`, counts as the holder.
fn unproven(state: &State) -> Caller {
    let held = state.held().filter(|held| held.holder == Actor::Unproven);
    let above = held.and_then(|held| process::lineage().find(|p| *p == held.process));
    Caller { actor: Actor::Unproven, process: above.unwrap_or_else(process::owner) }
}

/// Returns whether there is a terminal and no sign of an agent: all that can be decided without a state.
#[must_use]
pub fn is_likely_person(env: &Env) -> bool {
    env.has_terminal && agent_indicators(env).is_empty()
}

/// Returns the variables that an agent's shell has and a person's shell does not.
#[must_use]
pub fn agent_indicators(env: &Env) -> Vec<&'static str> {
    let is_set = |name: &&str| env.get_os(name).is_some();
    ["CLAUDECODE", "CLAUDE_ROLE", "TMUX_PANE"].into_iter().filter(is_set).collect()
}
