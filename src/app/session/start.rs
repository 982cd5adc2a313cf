//! Starts the session with its panes, then the instances in their order (docs/rules.md R2.2).
//!
//! Invariants, each with a test of the same name in `tests/session.rs`:
//! * `a_session_that_exists_is_left_as_it_is`.
//! * `all_started_is_said_only_when_all_registered`: readiness is awaited, never slept for.
//! * `the_panes_process_is_the_agents_process`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::adapters::os::process;
use crate::adapters::tmux::pane::{PaneId, PaneInfo};
use crate::adapters::tmux::server::Tmux;
use crate::adapters::tmux::session::{PaneSpec, SessionSpec};
use crate::domain::command::Command;
use crate::domain::identity::role::{Kind, Role};
use crate::domain::identity::roster::Member;
use crate::domain::session::instance::{Instance, Phase, Session};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;
use crate::store::watch::Watch;

use crate::adapters::tmux::layout::grid::Size;
use crate::app::agents::launcher::Launcher;
use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::health::supervisor;
use crate::app::programs;
use crate::app::session::context::Stage;
use crate::app::session::launch::{is_waiting, workspace};
use crate::app::session::tmux::tmux_failure;

/// The tmux note under which the session keeps the agent given to `up`.
const AGENT_NOTE: &str = "agent";

/// How long a process's death may go unnoticed while registrations are awaited.
const LOOK_AGAIN_MS: u64 = 500;

/// More lines than a pane has: tmux writes "Pane is dead" in the last one; the program's output is above it.
const PANE_LINES: usize = 1_000;

/// How often, and with which pause, tmux is asked whether it has noticed that a process ended.
const NOTICE_TRIES: u32 = 40;
const NOTICE_PAUSE: Duration = Duration::from_millis(25);

/// A pane whose process is to become a role's instance.
#[derive(Clone, Debug)]
struct Pane {
    role: Role,
    id: PaneId,
    process: Process,
}

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
pub struct Wish<'a> {
    /// The program, if not as configured.
    pub agent: Option<&'a str>,
    /// Starts without the role's earlier conversation.
    pub fresh: bool,
}

/// The outcome of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It registered.
    Ready,
    /// Its process ended.
    Ended,
    /// It was stopped while being awaited.
    Stopped,
    /// It runs, but did not register in time.
    Silent,
}

/// Creates the session and starts the instances.
///
/// # Errors
/// [`Failure`]: refused (1) when the session exists, 69 without tmux or the agents' program, 75 when not all
/// roles registered.
pub fn up(stage: &Stage<'_>, wish: &UpOptions) -> Result<Answer, Failure> {
    let tmux = stage.tmux()?;
    refuse_if_up(stage, &tmux)?;
    stage.may_start("a session", None)?;
    let roster = stage.state.policy.roster.members();
    let chosen = chosen(stage, &wish.roles)?;
    for member in roster {
        Launcher::of(&stage.context, &stage.state, member, wish.agent.as_deref())?;
    }
    let agent = wish.agent.as_deref();
    let how = Wish { agent, fresh: wish.fresh };
    let panes = roster.iter().map(|member| spec(stage, member, how)).collect::<Result<Vec<_>, _>>()?;
    let repo = stage.context.repo.common_dir.clone();
    let session = SessionSpec { name: stage.name.clone(), repo, panes, size: wish.size };
    let panes = tmux.create(&session).map_err(tmux_failure)?;
    // Until it is published no state refers to the session: on a failure it is removed.
    publish(stage, &tmux, agent).inspect_err(|_| drop(tmux.kill_session(&stage.name)))?;
    supervisor::watch_over(&stage.context, &tmux, &stage.name, !wish.no_monitor);
    if wish.no_start {
        let data = json!({"session": stage.name, "panes": panes.len(), "started": []});
        let text = format!("session {} has {} panes; no role is started", stage.name, panes.len());
        return Ok(Answer::done(data, text).noting("next: cmw-session start ROLE"));
    }
    start_in_order(stage, &tmux, &panes, &chosen, wish.wait_ms)
}

fn publish(stage: &Stage<'_>, tmux: &Tmux, agent: Option<&str>) -> Result<(), Failure> {
    if let Some(agent) = agent {
        tmux.keep_note(&stage.name, AGENT_NOTE, agent).map_err(tmux_failure)?;
    }
    let server = process::identify(tmux.server_pid().map_err(tmux_failure)?);
    let server = server
        .ok_or_else(|| Failure::told(Exit::Unavailable, "the tmux server ended again", "cmw-session up"))?;
    let (name, socket, agent) = (stage.name.clone(), stage.socket.clone(), agent.map(str::to_owned));
    let command = Command::SessionUp { name, socket, server, agent };
    stage.context.transact(&stage.asker, &command)?.outcome?;
    Ok(())
}

/// Refuses when the session runs; drops the record of one whose tmux session is gone while its server lives.
fn refuse_if_up(stage: &Stage<'_>, tmux: &Tmux) -> Result<(), Failure> {
    let there = |what: String| Err(Failure::told(Exit::Refused, what, "cmw-session attach"));
    if let Session::Up { name, socket, .. } = &stage.state.session
        && stage.state.session_is_up(&stage.context.facts(&stage.state))
    {
        if stage.tmux_on(socket.as_deref())?.has_session(name).map_err(tmux_failure)? {
            return there(format!("session {name} of this repository is already running"));
        }
        stage.context.transact(&stage.asker, &Command::SessionDown)?.outcome?;
    }
    if !tmux.has_session(&stage.name).map_err(tmux_failure)? {
        return Ok(());
    }
    if stage.is_ours(tmux)? {
        return there(format!("a tmux session {} already exists", stage.name));
    }
    let what = format!("a tmux session {} already exists and belongs to another repository", stage.name);
    Err(Failure::told(Exit::Refused, what, "cmw-init --session ANOTHER-NAME"))
}

/// The roles to start, in roster order.
fn chosen(stage: &Stage<'_>, roles: &str) -> Result<Vec<Member>, Failure> {
    let roster = &stage.state.policy.roster;
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

/// What a role's pane runs.
fn spec(stage: &Stage<'_>, member: &Member, wish: Wish<'_>) -> Result<PaneSpec, Failure> {
    let tool = programs::directory()?.join("cmw-session");
    let not_text = |what: &str| Failure::told(Exit::Config, format!("{what} is not readable text"), "");
    let tool = tool.to_str().ok_or_else(|| not_text("the name of our programs' directory"))?;
    // The pane starts in the work tree: `.` names it, whatever bytes its path has.
    let mut command: Vec<String> =
        [tool, "launch", member.role.as_str(), "--repo", "."].map(Into::into).into();
    command.extend(wish.agent.into_iter().flat_map(|agent| ["--agent".to_owned(), agent.to_owned()]));
    command.extend(wish.fresh.then(|| "--fresh".to_owned()));
    let rank = stage.state.policy.roster.members().iter().position(|m| m.role == member.role);
    let path = programs::search_path(stage.context.env)?;
    let path = path.into_string().map_err(|_| not_text("PATH"))?;
    Ok(PaneSpec {
        role: member.role.clone(),
        place: rank.and_then(|rank| u32::try_from(rank).ok()).unwrap_or(member.pane),
        title: member.role.to_string(),
        command,
        env: vec![("PATH".to_owned(), path)],
        cwd: workspace(&stage.context)?,
    })
}

/// Starts the chosen roles: Orchestrator, then Librarian, then all others at once.
fn start_in_order(
    stage: &Stage<'_>,
    tmux: &Tmux,
    panes: &[PaneInfo],
    chosen: &[Member],
    wait_ms: u64,
) -> Result<Answer, Failure> {
    let first: fn(&Kind) -> bool = Kind::is_orchestrator;
    let second: fn(&Kind) -> bool = Kind::is_librarian;
    let others: fn(&Kind) -> bool = |kind| !kind.is_orchestrator() && !kind.is_librarian();
    let mut fates = Vec::new();
    for (belongs, wait_ms) in [(first, wait_ms / 2), (second, wait_ms / 2), (others, wait_ms)] {
        let group: Vec<&Member> = chosen.iter().filter(|m| belongs(&m.kind)).collect();
        fates.extend(launch(stage, panes, &group, wait_ms)?);
    }
    let ready = fates.iter().filter(|(_, fate)| *fate == Fate::Ready).count();
    let names = |wanted: bool| -> Vec<&Role> {
        fates.iter().filter(|(_, fate)| (*fate == Fate::Ready) == wanted).map(|(role, _)| role).collect()
    };
    let data =
        json!({"session": stage.name, "panes": panes.len(), "started": names(true), "missing": names(false)});
    let see = "see them:  cmw-session attach\nlook:      cmw\nstop:      cmw-session down";
    if ready == chosen.len() {
        let text = format!("all {ready} started in session {}", stage.name);
        return Ok(Answer::done(data, text).noting(see));
    }
    let ended =
        |p: &PaneInfo| fates.iter().any(|(role, fate)| *fate == Fate::Ended && p.role.as_ref() == Some(role));
    let panes = panes_after_the_end_of(stage, tmux, &ended)?;
    let mut lines = vec![format!("{ready} of {} started; missing:", chosen.len())];
    for (role, fate) in fates.iter().filter(|(_, fate)| *fate != Fate::Ready) {
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
    stage: &Stage<'_>,
    panes: &[PaneInfo],
    group: &[&Member],
    wait_ms: u64,
) -> Result<Vec<(Role, Fate)>, Failure> {
    let mut fates = Vec::new();
    let mut launched = Vec::new();
    for member in group {
        let pane = panes.iter().find(|p| p.role.as_ref() == Some(&member.role));
        let pane = pane.and_then(|pane| Some((pane.pane_id, process::identify(pane.pid)?)));
        match pane {
            Some((id, process)) => launched.push(Pane { role: member.role.clone(), id, process }),
            None => fates.push((member.role.clone(), Fate::Ended)),
        }
    }
    if launched.is_empty() {
        return Ok(fates);
    }
    let named = launched.iter().map(|p| (p.role.clone(), p.process.clone(), p.id.to_string())).collect();
    stage.context.transact(&stage.asker, &Command::Launch(named))?.outcome?;
    fates.extend(await_ready(stage, launched, wait_ms)?);
    Ok(fates)
}

/// Waits until each has registered or ended, or the time is over.
fn await_ready(
    stage: &Stage<'_>,
    mut waiting: Vec<Pane>,
    wait_ms: u64,
) -> Result<Vec<(Role, Fate)>, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::told(Exit::Unavailable, format!("cannot watch the state: {e}"), "cmw-doctor")
    };
    let watch = Watch::on(&stage.context.repo.common_dir.join("cmw")).map_err(cannot)?;
    let deadline = crate::adapters::os::clock::now().boot.plus(wait_ms);
    let mut fates = Vec::new();
    loop {
        let state = stage.context.state()?;
        waiting.retain(|pane| match fate(&state, pane) {
            Fate::Silent => true,
            known @ (Fate::Ready | Fate::Ended | Fate::Stopped) => {
                if !stage.quiet && known == Fate::Ready {
                    stage.context.env.report(&format!("{} is ready", pane.role));
                }
                fates.push((pane.role.clone(), known));
                false
            }
        });
        let left_ms = deadline.ms_until(&crate::adapters::os::clock::now().boot);
        if waiting.is_empty() || left_ms == 0 {
            fates.extend(waiting.into_iter().map(|pane| (pane.role, Fate::Silent)));
            return Ok(fates);
        }
        watch.wait(None, left_ms.min(LOOK_AGAIN_MS)).map_err(cannot)?;
    }
}

fn fate(state: &State, pane: &Pane) -> Fate {
    let instance = state.instances.get(&pane.role).filter(|i| i.process == pane.process);
    match instance.map(|i| i.phase) {
        None | Some(Phase::Shutdown) => Fate::Stopped,
        Some(_) if !process::is_alive(&pane.process) => Fate::Ended,
        Some(Phase::Ready) => Fate::Ready,
        // A crash also notifies others.
        Some(Phase::Starting | Phase::Stopping | Phase::Crashed) => Fate::Silent,
    }
}

/// The panes, once tmux has noticed that these have ended: only then does it report their exit status.
fn panes_after_the_end_of(
    stage: &Stage<'_>,
    tmux: &Tmux,
    ended: &dyn Fn(&PaneInfo) -> bool,
) -> Result<Vec<PaneInfo>, Failure> {
    for _ in 0..NOTICE_TRIES {
        let panes = stage.panes(tmux)?;
        // A pane is dead once its terminal is closed; its exit status follows a moment later.
        let told = |pane: &PaneInfo| pane.dead && pane.dead_status.or(pane.dead_signal).is_some();
        if panes.iter().all(|pane| told(pane) || !ended(pane)) {
            return Ok(panes);
        }
        std::thread::sleep(NOTICE_PAUSE);
    }
    stage.panes(tmux)
}

/// Why a role is missing, with the last line its pane shows.
fn why(tmux: &Tmux, pane: Option<&PaneInfo>, fate: Fate) -> String {
    let last = pane.and_then(|pane| tmux.capture(pane.pane_id, PANE_LINES).ok());
    // The last line is tmux's own "Pane is dead"; the program's output is above it.
    let said = last.as_deref().and_then(|text| {
        text.lines().rev().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("Pane is dead"))
    });
    let said =
        said.map_or_else(String::new, |line| format!(": {}", sanitize::shorten(&sanitize::line(line), 120)));
    match fate {
        Fate::Ready => "it is ready".to_owned(),
        Fate::Stopped => "it was stopped in the meantime".to_owned(),
        Fate::Silent => format!("it is running, but has not registered{said}"),
        Fate::Ended => {
            let status = pane.and_then(|pane| pane.dead_status);
            let status = status.map_or_else(String::new, |status| format!(" with {status}"));
            format!("it ended{status}{said}")
        }
    }
}

/// Starts one role that is not running.
///
/// # Errors
/// [`Failure`]: refused (1) when it is running, 69 without a session, 75 when it did not register.
pub fn start(stage: &Stage<'_>, role: &str, wish: Wish<'_>, wait_ms: u64) -> Result<Answer, Failure> {
    if role.eq_ignore_ascii_case("all") {
        return start_all(stage, wish, wait_ms);
    }
    let member = stage.state.policy.roster.resolve(role)?.clone();
    let role = &member.role;
    let tmux = stage.running()?;
    if let Some(instance) = living(stage, role) {
        let what = format!("{role} is already running (process {})", instance.process.pid);
        return Err(Failure::told(Exit::Refused, what, &format!("cmw-session stop {role}")));
    }
    let pane = prepare(stage, &tmux, &member, wish)?;
    let fates = launch(stage, std::slice::from_ref(&pane), &[&member], wait_ms)?;
    let fate = fates.first().map_or(Fate::Ended, |(_, fate)| *fate);
    let data = |fate: Fate| -> Value {
        json!({"role": role, "pane_id": pane.pane_id.to_string(), "pid": pane.pid, "ready": fate == Fate::Ready})
    };
    if fate == Fate::Ready {
        return Ok(Answer::done(data(fate), format!("{role} is started (process {})", pane.pid)));
    }
    let ended = |p: &PaneInfo| fate == Fate::Ended && p.pane_id == pane.pane_id;
    let panes = panes_after_the_end_of(stage, &tmux, &ended)?;
    let now = panes.iter().find(|p| p.pane_id == pane.pane_id);
    let within = if fate == Fate::Silent { format!(" within {}", human(wait_ms)) } else { String::new() };
    let note =
        format!("error: {role} is not started: {}{within}\nnext: cmw-session status", why(&tmux, now, fate));
    let mut answer = Answer::done(data(fate), "").noting(note).exiting(Exit::Busy);
    answer.hint = Some("cmw-session status".to_owned());
    Ok(answer)
}

/// Starts every role that is not running, in roster order.
fn start_all(stage: &Stage<'_>, wish: Wish<'_>, wait_ms: u64) -> Result<Answer, Failure> {
    let tmux = stage.running()?;
    let members = stage.state.policy.roster.members();
    let missing: Vec<Member> = members.iter().filter(|m| living(stage, &m.role).is_none()).cloned().collect();
    if missing.is_empty() {
        return Ok(Answer::done(
            json!({"session": stage.name, "started": []}),
            "all roles are already running",
        ));
    }
    let panes = missing.iter().map(|m| prepare(stage, &tmux, m, wish)).collect::<Result<Vec<_>, _>>()?;
    start_in_order(stage, &tmux, &panes, &missing, wait_ms)
}

/// The role's instance, if it is alive.
fn living<'a>(stage: &'a Stage<'_>, role: &Role) -> Option<&'a Instance> {
    let instance = stage.state.instances.get(role);
    instance.filter(|i| i.phase != Phase::Shutdown && process::is_alive(&i.process))
}

/// Prepares a pane in which the role's launcher waits, with the agent of `up` unless another one is given.
fn prepare(stage: &Stage<'_>, tmux: &Tmux, member: &Member, wish: Wish<'_>) -> Result<PaneInfo, Failure> {
    let kept = tmux.note(&stage.name, AGENT_NOTE).map_err(tmux_failure)?;
    let agent = wish.agent.map(str::to_owned).or(kept);
    Launcher::of(&stage.context, &stage.state, member, agent.as_deref())?;
    fresh_pane(stage, tmux, &spec(stage, member, Wish { agent: agent.as_deref(), ..wish })?)
}

/// A pane in which the role's launcher waits: the old one, respawned, or a new one.
fn fresh_pane(stage: &Stage<'_>, tmux: &Tmux, spec: &PaneSpec) -> Result<PaneInfo, Failure> {
    let panes = stage.panes(tmux)?;
    let Some(old) = panes.iter().find(|p| p.role.as_ref() == Some(&spec.role)) else {
        return tmux.add_pane(&stage.name, spec).map_err(tmux_failure);
    };
    // The kernel knows sooner than tmux that a process has died.
    let lives = process::stat(old.pid).is_some_and(|stat| !stat.zombie);
    if !old.dead && lives && !is_waiting(old.pid, &spec.role) {
        let runs = sanitize::shorten(&sanitize::line(&old.current_command), 40);
        let what =
            format!("the pane of {} ({}) is in use by {runs} (process {})", spec.role, old.pane_id, old.pid);
        return Err(Failure::told(Exit::Refused, what, "cmw-session attach"));
    }
    tmux.respawn(old.pane_id, spec).map_err(tmux_failure)?;
    let panes = stage.panes(tmux)?;
    let pane = panes.into_iter().find(|p| p.pane_id == old.pane_id && p.role.as_ref() == Some(&spec.role));
    pane.ok_or_else(|| {
        Failure::told(
            Exit::Unavailable,
            format!("the pane of {} has disappeared", spec.role),
            "cmw-session status",
        )
    })
}
