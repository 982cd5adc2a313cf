//! Starts the session with its panes, then the instances in their order (docs/rules.md R2.2).
//!
//! Invariants, each with a test of the same name in `tests/live/session/mod.rs`:
//! * `a_session_that_exists_is_left_as_it_is`.
//! * `all_started_is_said_only_when_all_registered`: readiness is awaited, never slept for.
//! * `the_panes_process_is_the_agents_process`.

use serde_json::{Value, json};

use crate::adapters::os::process;
use crate::adapters::tmux::pane::PaneInfo;
use crate::adapters::tmux::server::Tmux;
use crate::adapters::tmux::session::{PaneSpec, SessionSpec};
use crate::domain::command::Command;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::identity::roster::Member;
use crate::domain::session::instance::{Instance, InstancePhase, Session};
use crate::domain::util::sanitize;
use crate::domain::util::time::human;

use crate::adapters::tmux::layout::grid::Size;
use crate::app::agents::launcher::Launcher;
use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::supervisor;
use crate::app::programs;
use crate::app::session::context::SessionContext;
use crate::app::session::launch::{is_waiting, workspace};
use crate::app::session::ready::{StartOutcome, StartingPane, await_ready, panes_after_the_end_of, why};
use crate::app::session::tmux::tmux_failure;

/// The tmux note under which the session keeps the agent given to `up`.
const AGENT_NOTE: &str = "agent";

/// Options of `up`.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The agents' program and arguments, if not as configured.
    pub agent: Option<String>,
    /// Which roles to start, comma-separated, or `all`; the panes of the others wait.
    pub roles: String,
    /// Only creates the session.
    pub no_start: bool,
    /// Starts without the roles' earlier conversations.
    pub fresh: bool,
    /// Starts no monitor.
    pub no_monitor: bool,
    /// The session's size while no client shows it, in characters and lines.
    pub size: Size,
    /// How long registration is awaited, in milliseconds; half of it for each of the first two roles.
    pub wait_ms: u64,
}

/// Options for starting one role.
#[derive(Clone, Copy, Debug)]
pub struct StartOptions<'a> {
    /// The program, if not as configured.
    pub agent: Option<&'a str>,
    /// Starts without the role's earlier conversation.
    pub fresh: bool,
}

/// Creates the session and starts the instances.
///
/// # Errors
/// [`Failure`]: refused (1) when the session exists, 69 without tmux or the agents' program, 75 when not all
/// roles registered.
pub fn up(session_context: &SessionContext<'_>, wish: &UpOptions) -> Result<Answer, Failure> {
    let tmux = session_context.tmux()?;
    refuse_if_up(session_context, &tmux)?;
    session_context.may_start("a session", None)?;
    let roster = session_context.state.policy.roster.members();
    let chosen = chosen(session_context, &wish.roles)?;
    for member in roster {
        Launcher::of(&session_context.context, &session_context.state, member, wish.agent.as_deref())?;
    }
    let agent = wish.agent.as_deref();
    let how = StartOptions { agent, fresh: wish.fresh };
    let panes =
        roster.iter().map(|member| spec(session_context, member, how)).collect::<Result<Vec<_>, _>>()?;
    let repo = session_context.context.repo.common_dir.clone();
    let session = SessionSpec { name: session_context.name.clone(), repo, panes, size: wish.size };
    let panes = tmux.create(&session).map_err(tmux_failure)?;
    // Until it is published no state refers to the session: on a failure it is removed.
    publish(session_context, &tmux, agent).inspect_err(|_| drop(tmux.kill_session(&session_context.name)))?;
    supervisor::start_monitoring(&session_context.context, &tmux, &session_context.name, !wish.no_monitor);
    if wish.no_start {
        let data = json!({"session": session_context.name, "panes": panes.len(), "started": []});
        let text = format!("session {} has {} panes; no role is started", session_context.name, panes.len());
        return Ok(Answer::done(data, text).noting("next: cmw-session start ROLE"));
    }
    start_in_order(session_context, &tmux, &panes, &chosen, wish.wait_ms)
}

fn publish(session_context: &SessionContext<'_>, tmux: &Tmux, agent: Option<&str>) -> Result<(), Failure> {
    if let Some(agent) = agent {
        tmux.set_note(&session_context.name, AGENT_NOTE, agent).map_err(tmux_failure)?;
    }
    let server = process::identify(tmux.server_pid().map_err(tmux_failure)?);
    let server = server.ok_or_else(|| {
        Failure::with_next_step(Exit::Unavailable, "the tmux server ended again", "cmw-session up")
    })?;
    let (name, socket, agent) =
        (session_context.name.clone(), session_context.socket.clone(), agent.map(str::to_owned));
    let command = Command::SessionUp { name, socket, server, agent };
    session_context.context.transact(&session_context.caller, &command)?.outcome?;
    Ok(())
}

/// Refuses when the session runs; drops the record of one whose tmux session is gone while its server lives.
fn refuse_if_up(session_context: &SessionContext<'_>, tmux: &Tmux) -> Result<(), Failure> {
    let there = |what: String| Err(Failure::with_next_step(Exit::Refused, what, "cmw-session attach"));
    if let Session::Up { name, socket, .. } = &session_context.state.session
        && session_context.state.session_is_up(&session_context.context.facts(&session_context.state))
    {
        if session_context.tmux_on(socket.as_deref())?.has_session(name).map_err(tmux_failure)? {
            return there(format!("session {name} of this repository is already running"));
        }
        session_context.context.transact(&session_context.caller, &Command::SessionDown)?.outcome?;
    }
    if !tmux.has_session(&session_context.name).map_err(tmux_failure)? {
        return Ok(());
    }
    if session_context.is_ours(tmux)? {
        return there(format!("a tmux session {} already exists", session_context.name));
    }
    let what =
        format!("a tmux session {} already exists and belongs to another repository", session_context.name);
    Err(Failure::with_next_step(Exit::Refused, what, "cmw-init --session ANOTHER-NAME"))
}

/// Returns the roles to start, in roster order.
fn chosen(session_context: &SessionContext<'_>, roles: &str) -> Result<Vec<Member>, Failure> {
    let roster = &session_context.state.policy.roster;
    if roles.eq_ignore_ascii_case("all") {
        return Ok(roster.members().to_vec());
    }
    let mut chosen = Vec::new();
    for name in roles.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let member = roster.resolve(name)?;
        if !chosen.contains(member) {
            chosen.push(member.clone());
        }
    }
    if chosen.is_empty() { Err(Failure::usage("--roles names no role")) } else { Ok(chosen) }
}

/// Returns the command that a role's pane runs.
fn spec(
    session_context: &SessionContext<'_>,
    member: &Member,
    wish: StartOptions<'_>,
) -> Result<PaneSpec, Failure> {
    let tool = programs::directory()?.join("cmw-session");
    let not_text =
        |what: &str| Failure::with_next_step(Exit::Config, format!("{what} is not readable text"), "");
    let tool = tool.to_str().ok_or_else(|| not_text("the name of our programs' directory"))?;
    // The pane starts in the work tree: `.` names it, even if its path is not UTF-8.
    let mut command: Vec<String> =
        [tool, "launch", member.role.as_str(), "--repo", "."].map(Into::into).into();
    command.extend(wish.agent.into_iter().flat_map(|agent| ["--agent".to_owned(), agent.to_owned()]));
    command.extend(wish.fresh.then(|| "--fresh".to_owned()));
    let rank = session_context.state.policy.roster.members().iter().position(|m| m.role == member.role);
    let path = programs::search_path(session_context.context.env)?;
    let path = path.into_string().map_err(|_| not_text("PATH"))?;
    Ok(PaneSpec {
        role: member.role.clone(),
        place: rank.and_then(|rank| u32::try_from(rank).ok()).unwrap_or(member.pane),
        title: member.role.to_string(),
        command,
        env: vec![("PATH".to_owned(), path)],
        cwd: workspace(&session_context.context)?,
    })
}

/// Starts the chosen roles: Orchestrator, then Librarian, then all others at once.
fn start_in_order(
    session_context: &SessionContext<'_>,
    tmux: &Tmux,
    panes: &[PaneInfo],
    chosen: &[Member],
    wait_ms: u64,
) -> Result<Answer, Failure> {
    let first: fn(&RoleKind) -> bool = RoleKind::is_orchestrator;
    let second: fn(&RoleKind) -> bool = RoleKind::is_librarian;
    let others: fn(&RoleKind) -> bool = |kind| !kind.is_orchestrator() && !kind.is_librarian();
    let mut fates = Vec::new();
    for (belongs, wait_ms) in [(first, wait_ms / 2), (second, wait_ms / 2), (others, wait_ms)] {
        let group: Vec<&Member> = chosen.iter().filter(|m| belongs(&m.kind)).collect();
        fates.extend(launch(session_context, panes, &group, wait_ms)?);
    }
    let ready = fates.iter().filter(|(_, fate)| *fate == StartOutcome::Ready).count();
    let names = |wanted: bool| -> Vec<&Role> {
        fates
            .iter()
            .filter(|(_, fate)| (*fate == StartOutcome::Ready) == wanted)
            .map(|(role, _)| role)
            .collect()
    };
    let data = json!({"session": session_context.name, "panes": panes.len(), "started": names(true), "missing": names(false)});
    let see = "see them:  cmw-session attach\nlook:      cmw\nstop:      cmw-session down";
    if ready == chosen.len() {
        let text = format!("all {ready} started in session {}", session_context.name);
        return Ok(Answer::done(data, text).noting(see));
    }
    let ended = |p: &PaneInfo| {
        fates.iter().any(|(role, fate)| *fate == StartOutcome::Ended && p.role.as_ref() == Some(role))
    };
    let panes = panes_after_the_end_of(session_context, tmux, &ended)?;
    let mut lines = vec![format!("{ready} of {} started; missing:", chosen.len())];
    for (role, fate) in fates.iter().filter(|(_, fate)| *fate != StartOutcome::Ready) {
        let pane = panes.iter().find(|p| p.role.as_ref() == Some(role));
        lines.push(format!("  {role}: {}", why(tmux, pane, *fate)));
    }
    let missing = names(false).first().map_or_else(String::new, ToString::to_string);
    lines.push(format!("next: cmw-session start {missing}"));
    let mut answer = Answer::done(data, "").noting(lines.join("\n")).exiting(Exit::Busy);
    answer.hint = Some(format!("cmw-session start {missing}"));
    Ok(answer)
}

/// Records the panes' processes as the roles' instances in one publish, and awaits their registration.
fn launch(
    session_context: &SessionContext<'_>,
    panes: &[PaneInfo],
    group: &[&Member],
    wait_ms: u64,
) -> Result<Vec<(Role, StartOutcome)>, Failure> {
    let mut fates = Vec::new();
    let mut launched = Vec::new();
    for member in group {
        let pane = panes.iter().find(|p| p.role.as_ref() == Some(&member.role));
        let pane = pane.and_then(|pane| Some((pane.pane_id, process::identify(pane.pid)?)));
        match pane {
            Some((id, process)) => launched.push(StartingPane { role: member.role.clone(), id, process }),
            None => fates.push((member.role.clone(), StartOutcome::Ended)),
        }
    }
    if launched.is_empty() {
        return Ok(fates);
    }
    let named = launched.iter().map(|p| (p.role.clone(), p.process.clone(), p.id.to_string())).collect();
    session_context.context.transact(&session_context.caller, &Command::Launch(named))?.outcome?;
    fates.extend(await_ready(session_context, launched, wait_ms)?);
    Ok(fates)
}

/// Starts one role that is not running.
///
/// # Errors
/// [`Failure`]: refused (1) when it is running, 69 without a session, 75 when it did not register.
pub fn start(
    session_context: &SessionContext<'_>,
    role: &str,
    wish: StartOptions<'_>,
    wait_ms: u64,
) -> Result<Answer, Failure> {
    if role.eq_ignore_ascii_case("all") {
        return start_all(session_context, wish, wait_ms);
    }
    let member = session_context.state.policy.roster.resolve(role)?.clone();
    let role = &member.role;
    let tmux = session_context.running()?;
    if let Some(instance) = living(session_context, role) {
        let what = format!("{role} is already running (process {})", instance.process.pid);
        return Err(Failure::with_next_step(Exit::Refused, what, &format!("cmw-session stop {role}")));
    }
    let pane = prepare(session_context, &tmux, &member, wish)?;
    let fates = launch(session_context, std::slice::from_ref(&pane), &[&member], wait_ms)?;
    let fate = fates.first().map_or(StartOutcome::Ended, |(_, fate)| *fate);
    let data = |fate: StartOutcome| -> Value {
        json!({"role": role, "pane_id": pane.pane_id.to_string(), "pid": pane.pid, "ready": fate == StartOutcome::Ready})
    };
    if fate == StartOutcome::Ready {
        return Ok(Answer::done(data(fate), format!("{role} is started (process {})", pane.pid)));
    }
    let ended = |p: &PaneInfo| fate == StartOutcome::Ended && p.pane_id == pane.pane_id;
    let panes = panes_after_the_end_of(session_context, &tmux, &ended)?;
    let now = panes.iter().find(|p| p.pane_id == pane.pane_id);
    let within =
        if fate == StartOutcome::Silent { format!(" within {}", human(wait_ms)) } else { String::new() };
    let note =
        format!("error: {role} is not started: {}{within}\nnext: cmw-session status", why(&tmux, now, fate));
    let mut answer = Answer::done(data(fate), "").noting(note).exiting(Exit::Busy);
    answer.hint = Some("cmw-session status".to_owned());
    Ok(answer)
}

/// Starts every role that is not running, in roster order.
fn start_all(
    session_context: &SessionContext<'_>,
    wish: StartOptions<'_>,
    wait_ms: u64,
) -> Result<Answer, Failure> {
    let tmux = session_context.running()?;
    let members = session_context.state.policy.roster.members();
    let missing: Vec<Member> =
        members.iter().filter(|m| living(session_context, &m.role).is_none()).cloned().collect();
    if missing.is_empty() {
        return Ok(Answer::done(
            json!({"session": session_context.name, "started": []}),
            "all roles are already running",
        ));
    }
    let panes =
        missing.iter().map(|m| prepare(session_context, &tmux, m, wish)).collect::<Result<Vec<_>, _>>()?;
    start_in_order(session_context, &tmux, &panes, &missing, wait_ms)
}

/// Returns the role's instance, if it is alive.
fn living<'a>(session_context: &'a SessionContext<'_>, role: &Role) -> Option<&'a Instance> {
    let instance = session_context.state.instances.get(role);
    instance.filter(|i| i.phase != InstancePhase::Shutdown && process::is_alive(&i.process))
}

/// Prepares a pane in which the role's launcher waits, with the agent of `up` unless another one is given.
fn prepare(
    session_context: &SessionContext<'_>,
    tmux: &Tmux,
    member: &Member,
    wish: StartOptions<'_>,
) -> Result<PaneInfo, Failure> {
    let kept = tmux.note(&session_context.name, AGENT_NOTE).map_err(tmux_failure)?;
    let agent = wish.agent.map(str::to_owned).or(kept);
    Launcher::of(&session_context.context, &session_context.state, member, agent.as_deref())?;
    fresh_pane(
        session_context,
        tmux,
        &spec(session_context, member, StartOptions { agent: agent.as_deref(), ..wish })?,
    )
}

/// Returns a pane in which the role's launcher waits: the old one, respawned, or a new one.
fn fresh_pane(
    session_context: &SessionContext<'_>,
    tmux: &Tmux,
    spec: &PaneSpec,
) -> Result<PaneInfo, Failure> {
    let panes = session_context.panes(tmux)?;
    let Some(old) = panes.iter().find(|p| p.role.as_ref() == Some(&spec.role)) else {
        return tmux.add_pane(&session_context.name, spec).map_err(tmux_failure);
    };
    // The kernel knows sooner than tmux that a process has died.
    let lives = process::stat(old.pid).is_some_and(|stat| !stat.zombie);
    if !old.dead && lives && !is_waiting(old.pid, &spec.role) {
        let runs = sanitize::shorten(&sanitize::line(&old.current_command), 40);
        let what =
            format!("the pane of {} ({}) is in use by {runs} (process {})", spec.role, old.pane_id, old.pid);
        return Err(Failure::with_next_step(Exit::Refused, what, "cmw-session attach"));
    }
    tmux.respawn(old.pane_id, spec).map_err(tmux_failure)?;
    let panes = session_context.panes(tmux)?;
    let pane = panes.into_iter().find(|p| p.pane_id == old.pane_id && p.role.as_ref() == Some(&spec.role));
    pane.ok_or_else(|| {
        Failure::with_next_step(
            Exit::Unavailable,
            format!("the pane of {} has disappeared", spec.role),
            "cmw-session status",
        )
    })
}
