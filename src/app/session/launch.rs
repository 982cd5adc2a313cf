//! Which program an instance runs, and how a pane becomes it: by `exec`, so that the pane's process is the
//! agent's process.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::adapters::os::{clock, process};
use crate::domain::identity::role::Role;
use crate::domain::identity::roster::Member;
use crate::domain::session::instance::InstancePhase;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::store::watch::Watch;

use crate::app::agents::launcher::Launcher;
use crate::app::agents::{Agent, MailDelivery};
use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::programs;
use crate::app::workspace::Context;

/// How often at least a waiting pane re-reads the state.
const LOOK_AGAIN_MS: u64 = 30_000;

/// How long it waits silently: normally its turn comes at once.
const SILENT_MS: u64 = 1_500;

/// The program that plays a role if none is configured.
const DEMO_AGENT: &str = "cmw-demo-agent";

impl Launcher {
    /// Returns the launcher of a member: its own command, else the one given, else the policy's, else the
    /// demo agent. A command given as text is split as a POSIX shell would, and never run by one.
    ///
    /// [`Failure`] when the text cannot be parsed (78), or the program does not exist (69).
    /// [`Failure`] when the text is no command (78), or there is no such program (69).
    pub fn of(
        context: &Context<'_>,
        state: &State,
        member: &Member,
        asked: Option<&str>,
    ) -> Result<Self, Failure> {
        let given = [member.command.as_deref(), asked, state.policy.agent.as_deref()];
        let Some(line) = given.into_iter().flatten().find(|line| !line.trim().is_empty()) else {
            return Ok(Self { program: programs::directory()?.join(DEMO_AGENT), args: Vec::new() });
        };
        let words = shlex::split(line).filter(|words| words.first().is_some_and(|w| !w.is_empty()));
        let Some(words) = words else {
            let what = format!("the command of {} cannot be parsed: {}", member.role, sanitize::line(line));
            return Err(Failure::with_next_step(Exit::Config, what, "git config --get-regexp '^cmw\\.'"));
        };
        let (name, args) = words.split_first().expect("there is a first word");
        let path = programs::search_path(context.env)?;
        let start = workspace(context)?;
        let program = found(name, &path, &start).ok_or_else(|| {
            let what = format!("program {} not found (for {})", sanitize::line(name), member.role);
            let next = if name == "claude" {
                "install Claude Code, or omit --agent to run the demo agents"
            } else {
                "cmw-session up --agent 'PROGRAM ARGUMENTS'"
            };
            Failure::with_next_step(Exit::Unavailable, what, next)
        })?;
        let launcher = Self { program, args: args.to_vec() };
        Agent::of(&launcher.program).check(context, member, &launcher)?;
        Ok(launcher)
    }
}

/// Resolves a program name: a path as it is, relative to the workspace; else the first match on the search
/// path.
fn found(name: &str, path: &OsString, workspace: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |p: &PathBuf| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        return Some(workspace.join(name)).filter(runs);
    }
    std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(runs)
}

/// Returns the work tree in which the instances work.
///
/// # Errors
/// [`Failure`] (78) in a bare repository and inside a git directory.
pub fn workspace(context: &Context<'_>) -> Result<PathBuf, Failure> {
    context.repo.work_tree.clone().ok_or_else(|| {
        Failure::with_next_step(
            Exit::Config,
            "a session needs a work tree, and there is none here",
            "cmw-session --repo PATH up",
        )
    })
}

/// Runs in a pane: waits until the state records this very process as the role's instance, then becomes the
/// launcher.
///
/// # Errors
/// [`Failure`] when it cannot; the pane stays open and shows it.
pub fn wait_and_exec(
    context: &Context<'_>,
    role: &str,
    agent: Option<&str>,
    fresh: bool,
) -> Result<Answer, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor")
    };
    let watch = Watch::on(&context.repo.common_dir.join("cmw")).map_err(cannot)?;
    let me = process::current();
    let speak_at = clock::now().boot.plus(SILENT_MS);
    let mut told = false;
    let (state, member) = loop {
        let state = context.state()?;
        let member = state.policy.roster.resolve(role)?.clone();
        let mine = |i: &crate::domain::session::instance::Instance| {
            i.process == me && i.phase != InstancePhase::Shutdown
        };
        if state.instances.get(&member.role).is_some_and(mine) {
            break (state, member);
        }
        let silent_ms = speak_at.ms_until(&clock::now().boot);
        if !told && silent_ms == 0 {
            told = true;
            context.env.report(&format!("{} is waiting for: cmw-session start {}", member.role, member.role));
        }
        watch.wait(None, if told { LOOK_AGAIN_MS } else { silent_ms }).map_err(cannot)?;
    };
    drop(watch);
    let launcher = Launcher::of(context, &state, &member, agent)?;
    let session = match &state.session {
        crate::domain::session::instance::Session::Up { name, .. } => name.clone(),
        crate::domain::session::instance::Session::Down => state.policy.session.clone(),
    };
    let environment = [
        ("CLAUDE_ROLE", OsString::from(member.role.as_str())),
        ("CLAUDE_PANE", member.pane.to_string().into()),
        ("CLAUDE_SESSION", session.into()),
        ("CLAUDE_WORKSPACE", workspace(context)?.into()),
        ("PATH", programs::search_path(context.env)?),
    ];
    let agent = Agent::of(&launcher.program);
    let added = agent.prepare(context, &state, &member, &launcher, fresh)?;
    register_on_behalf(agent, &environment)?;
    let mut command = std::process::Command::new(&launcher.program);
    let error = command.args(&launcher.args).args(added.args).envs(environment).exec();
    let what = format!("cannot start {}: {error}", sanitize::line(&launcher.program.to_string_lossy()));
    Err(Failure::with_next_step(Exit::Unavailable, what, &format!("cmw-session start {}", member.role)))
}

/// Registers this process, which is about to become a program that cannot register itself, and starts its
/// heartbeats.
fn register_on_behalf(agent: Agent, environment: &[(&str, OsString)]) -> Result<(), Failure> {
    let heartbeat = || {
        let mut command = std::process::Command::new(programs::directory()?.join("cmw-heartbeat"));
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        Ok::<_, Failure>(command)
    };
    let cannot = |e: std::io::Error| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot run cmw-heartbeat: {e}"), "cmw-doctor")
    };
    if !agent.registers_itself() && !heartbeat()?.arg("register").status().map_err(cannot)?.success() {
        return Err(Failure::with_next_step(
            Exit::Unavailable,
            "the instance could not be registered",
            "cmw-doctor",
        ));
    }
    if agent.sends_own_heartbeats() {
        return Ok(());
    }
    // The heartbeat process ends with the process that this one becomes, so it is not waited for.
    let mut beats = heartbeat()?;
    beats.arg("run");
    if matches!(agent.mail_delivery(), MailDelivery::ByBell(_) | MailDelivery::ByBadge) {
        beats.args(["--bell", agent.name().unwrap_or("other")]);
    }
    beats.stderr(std::process::Stdio::null()).process_group(0).spawn().map(drop).map_err(cannot)
}

/// Returns whether this process is a pane of ours that is still waiting to be started.
#[must_use]
pub fn is_waiting(pid: u32, role: &Role) -> bool {
    let words = process::command_line(pid);
    words.iter().any(|w| w == b"launch")
        && words.iter().any(|w| w == role.as_str().as_bytes())
        && words.first().is_some_and(|w| w.ends_with(b"cmw-session"))
}
