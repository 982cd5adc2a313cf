//! Checks of the running system: the session, the instances, the holder of the write lock.

use std::ffi::OsStr;
use std::path::Path;

use crate::adapters::tmux::server::{Server, Tmux};
use crate::app::freeze::pins;
use crate::app::health::evidence::InstanceEvidence;
use crate::app::identity::{agent_indicators, contradiction, identify};
use crate::app::rescue::save;
use crate::domain::facts::Facts;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::guard::git_ref::RefName;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::health::condition;
use crate::domain::health::liveness::Liveness;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::lease::expiry_reason;
use crate::domain::lock::queue;
use crate::domain::lock::release::Release;
use crate::domain::session::instance::Session;
use crate::domain::state::State;
use crate::domain::util::time::human;
use crate::store::freeze::pins as disk_pins;

use crate::cli::doctor::{CheckContext, Report};

pub(crate) fn check(check_context: &CheckContext<'_>, report: &mut Report) {
    let Some((state, facts)) = &check_context.state else { return };
    identity(check_context, state, facts, report);
    session(check_context, state, facts, report);
    instances(check_context, state, facts, report);
    lock(state, facts, report);
    git_locks(check_context, report);
    if !state.paused.is_empty() {
        let names: Vec<&str> = state.paused.keys().map(Role::as_str).collect();
        report.note("paused", names.join(" "), "cmw resume");
    }
    if let FreezeState::Frozen { by, reason, since, .. } = &state.system {
        let what = format!("the system is frozen by {by} since {}: {reason}", since.clock());
        report.note("freeze", what, "cmw-freeze status");
    }
    pins(check_context, state, report);
    if let Some(line) = crate::cli::bypass::line(state, facts) {
        report.finding("bypass", line, "cmw-bypass break-glass end");
    }
}

/// Reports the caller's identity. A person who is not recognised is told why; that is no fault of the setup.
fn identity(check_context: &CheckContext<'_>, state: &State, facts: &Facts, report: &mut Report) {
    let env = check_context.context.env;
    let caller = match identify(env, state, facts) {
        Ok(caller) => caller,
        Err(refusal) => return report.note("identity", refusal.why(), ""),
    };
    if let Some(refusal) = contradiction(env, state, &caller) {
        return report.note("identity", refusal.why(), "");
    }
    let signs = agent_indicators(env).join(" and ");
    match caller.actor {
        Actor::Unproven if env.has_terminal && state.session_is_up(facts) => {
            let what = "while a session is up you cannot be identified as a person: actions reserved for the User need the session to be down";
            report.note("identity", what, "");
        }
        Actor::Unproven if env.has_terminal && !signs.is_empty() => {
            let what = format!(
                "you cannot be identified as a person: {signs} is set, as in an agent's pane; actions reserved for the User need a terminal of your own, outside tmux"
            );
            report.note("identity", what, "");
        }
        Actor::Role(_) | Actor::User | Actor::System | Actor::Unproven => {
            report.fine("identity", format!("you are {}", caller.actor.in_sentence()));
        }
    }
}

fn session(check_context: &CheckContext<'_>, state: &State, facts: &Facts, report: &mut Report) {
    let Session::Up { name, socket, .. } = &state.session else {
        return report.fine("session", "not running");
    };
    if !state.session_is_up(facts) {
        let what = format!("{name} is recorded as up, but its tmux server is gone");
        return report.finding("session", what, "cmw-session up");
    }
    let server = match socket {
        None => Server::Default,
        Some(path) if path.contains('/') => Server::At(Path::new(path).to_owned()),
        Some(name) => Server::Named(name.clone()),
    };
    let tmux = Tmux::find(check_context.context.env.get("PATH").map(OsStr::new), &server);
    match tmux.and_then(|tmux| tmux.has_session(name)) {
        Ok(false) => {
            let what = format!("{name} is recorded as up, but tmux has no session of that name");
            report.finding("session", what, "cmw-session down && cmw-session up");
        }
        Ok(true) | Err(_) => report.fine("session", format!("{name} is up")),
    }
}

fn instances(check_context: &CheckContext<'_>, state: &State, facts: &Facts, report: &mut Report) {
    let disk = check_context.context.store.disk();
    let is_up = state.session_is_up(facts);
    let mut silent = Vec::new();
    let mut alive = 0;
    for member in state.policy.roster.members() {
        let role = &member.role;
        let evidence = InstanceEvidence::of(disk, role, state, facts, None);
        match Liveness::from(evidence.condition()) {
            Liveness::Crashed => {
                let next = format!("cmw-session start {}", shell_quote(role.as_str()));
                report.finding("instances", format!("{role} has crashed: its process is gone"), &next);
            }
            Liveness::Stale => {
                let why = condition::stale(&evidence.evidence()).unwrap_or_default();
                report.finding("instances", format!("{role}: {why}"), "cmw-session attach");
            }
            Liveness::NeverSeen => silent.push(role.as_str()),
            Liveness::Alive => alive += 1,
            Liveness::Starting | Liveness::Restarting | Liveness::Shutdown => {}
        }
    }
    if is_up && !silent.is_empty() {
        report.finding("instances", format!("never registered: {}", silent.join(" ")), "cmw-session status");
    }
    report.fine("instances", format!("{alive} alive"));
}

/// Checks whether the pins of a hard freeze are complete, and no others exist.
fn pins(check_context: &CheckContext<'_>, state: &State, report: &mut Report) {
    let disk = check_context.context.store.disk();
    let quoted = |name: &RefName| shell_quote(&disk_pins::path(disk, name).display().to_string());
    if let Some(look) = pins::status(disk, state) {
        match look.wanted && look.missing.is_empty() {
            true => report.note("pins", look.line(), "cmw-freeze status"),
            false => report.finding("pins", look.line(), "cmw-doctor --fix"),
        }
        for name in &look.foreign {
            let what =
                format!("{} is not one of our pins, and it blocks updates of its branch", quoted(name));
            report.finding("pins", what, &format!("ls -la {}", quoted(name)));
        }
    }
    for (name, _) in pins::unregistered(check_context.context, Some(state)) {
        let what = format!("{} is a pin of ours that is no longer needed", quoted(&name));
        report.finding("pins", what, &format!("rm -r {}", quoted(&name)));
    }
}

/// Lock files left by a killed git, which block every other one.
fn git_locks(check_context: &CheckContext<'_>, report: &mut Report) {
    let stale = check_context.context.repo.stale_locks(save::STALE_LOCK_MS);
    if stale.is_empty() {
        return report.fine("locks", "no stale git lock files");
    }
    let names: Vec<String> = stale.iter().map(|lock| lock.path.display().to_string()).collect();
    let what = format!("a dead git process left {}, which blocks every other one", names.join(", "));
    report.finding("locks", what, "cmw-doctor --fix");
}

fn lock(state: &State, facts: &Facts, report: &mut Report) {
    let next = queue::next(state, facts);
    if let Some(recovery) = state.recovery() {
        let why = recovery.failure.as_deref().unwrap_or("saving is in progress");
        let former = recovery.unsaved.former.in_sentence();
        let what = format!("the uncommitted work of {former} is not saved yet: {why}");
        return report.finding("lock", what, "cmw-doctor --fix");
    }
    let Some((held, why)) = state.held().zip(expiry_reason(state, facts)) else {
        return report.fine("lock", crate::cli::lock::show::lock_line(state, facts));
    };
    // A waiter will acquire it in a moment; a lease of a finished git command is simply over.
    if next.is_some() || why == Release::CommandEnded {
        return report.fine("lock", crate::cli::lock::show::lock_line(state, facts));
    }
    let (holder, lock_id) = (held.holder.in_sentence(), held.lock_id());
    let what = match why {
        Release::HolderDied => format!("{holder} held {lock_id}, and its process is gone"),
        Release::NotTakenUp => format!("{holder} was granted {lock_id} and did not take it up"),
        Release::CommandEnded
        | Release::Done
        | Release::Handover
        | Release::Expired
        | Release::Shutdown
        | Release::Forced(_)
        | Release::Parked
        | Release::Freeze => {
            let since = human(facts.now.wall.ms_since(held.expires_at));
            format!("the lease of {holder} ({lock_id}) expired {since} ago, and no command has noticed")
        }
    };
    report.finding("lock", what, "cmw-doctor --fix");
}
