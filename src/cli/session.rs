//! Owns the words of `cmw-session`, and what its verbs share: the stage they play on.
//!
//! Whoever asks may do most of it, also a person at a terminal whom a running session makes
//! unproven (DECISIONS 3); only a role may neither stop nor start other roles, unless it is the
//! Orchestrator, and what runs as a role is not chosen while a session is up.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::adapters::tmux::grid::Size;
use crate::adapters::tmux::{PaneInfo, Server, Tmux, TmuxError};
use crate::domain::decide::Asker;
use crate::domain::refusal::{Refusal, shell_quote};
use crate::domain::role::{Actor, Kind, Role};
use crate::domain::state::{Session, State};
use crate::domain::time::parse_duration_ms;

use super::context::Context;
use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::output::{Answer, Style};
use super::session_start::Wish;
use super::{Common, session_launch, session_start, session_status, session_stop};

/// The tmux session in which the instances run
#[derive(Parser, Debug)]
#[command(name = "cmw-session", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// The tmux server's socket name (default: that of the running session, or tmux's own)
    #[arg(long, global = true, value_name = "NAME", value_parser = parse_socket)]
    socket: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Create the session, one pane for each role, and start the instances
    Up(Up),
    /// Start one role (stopped, crashed or never started), or all that do not run
    ///
    /// A client that remembers its conversation goes on with it.
    Start {
        /// Which, or `all`
        role: String,
        /// Its program and arguments (default: as at `up`)
        #[arg(long, value_name = "CMD")]
        agent: Option<String>,
        /// Without the conversation that it had
        #[arg(long)]
        fresh: bool,
        /// How long its registration is waited for
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "60s")]
        wait: u64,
    },
    /// Stop one role: it is told, then its lock, its place in the queue and its pane go
    Stop {
        /// Which
        role: String,
        /// How long it may take to end by itself
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "10s")]
        grace: u64,
    },
    /// Stop all roles, the Orchestrator last, and end the session
    Down {
        /// How long they may take to end by themselves
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "10s")]
        grace: u64,
    },
    /// Show the session in this terminal
    Attach,
    /// Each role: where it runs and how it is, problems first
    Status,
    /// Put the panes back into order
    Layout,
    /// What a pane runs: waits for its turn, then becomes the agent
    #[command(hide = true)]
    Launch {
        /// Whose pane it is
        role: String,
        /// Its program and arguments
        #[arg(long, value_name = "CMD")]
        agent: Option<String>,
        /// Without the conversation that it had
        #[arg(long)]
        fresh: bool,
    },
}

/// What `up` takes.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// The agents' program and arguments (`claude` is the real client; default: the demo agent)
    #[arg(long, value_name = "CMD")]
    pub agent: Option<String>,
    /// Which roles to start, with commas between; the panes of the others wait
    #[arg(long, default_value = "all", value_name = "ROLES")]
    pub roles: String,
    /// Only create the session; each pane waits for `cmw-session start ROLE`
    #[arg(long)]
    pub no_start: bool,
    /// Without the conversations that the roles had
    #[arg(long)]
    pub fresh: bool,
    /// Without a monitor of its own: a systemd unit or cron runs one
    #[arg(long)]
    pub no_monitor: bool,
    /// How large the session is while nobody looks at it
    #[arg(long, value_name = "WxH", value_parser = parse_size, default_value = "240x66")]
    pub size: Size,
    /// How long the registration of the roles is waited for; half of it for the first two
    #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "60s")]
    pub wait: u64,
}

fn parse_socket(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let good = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.len() <= 64
        && text.bytes().all(plain);
    if good { Ok(text.to_owned()) } else { Err("letters, digits, '-', '_' and '.', at most 64".to_owned()) }
}

fn parse_size(text: &str) -> Result<Size, String> {
    let number = |part: &str| part.parse::<u32>().ok().filter(|n| (10..=9_999).contains(n));
    let size = text
        .split_once('x')
        .and_then(|(width, height)| Some(Size { width: number(width)?, height: number(height)? }));
    size.ok_or_else(|| "write WIDTHxHEIGHT in characters and lines, such as 240x66".to_owned())
}

/// Runs `cmw-session`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    super::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = Context::open(env, &cli.common)?;
    if let Verb::Launch { role, agent, fresh } = &cli.verb {
        return session_launch::wait_and_become(&context, role, agent.as_deref(), *fresh);
    }
    let stage = Stage::set(context, cli.socket.as_deref(), cli.common.quiet)?;
    match &cli.verb {
        Verb::Up(up) => session_start::up(&stage, up),
        Verb::Start { role, agent, fresh, wait } => {
            stage.may_start(role, agent.as_deref())?;
            let wish = Wish { agent: agent.as_deref(), fresh: *fresh };
            session_start::start(&stage, role, wish, *wait)
        }
        Verb::Stop { role, grace } => session_stop::stop(&stage, role, *grace),
        Verb::Down { grace } => session_stop::down(&stage, *grace),
        Verb::Attach => attach(&stage),
        Verb::Status => session_status::status(&stage),
        Verb::Layout => {
            let panes = stage.running()?.arrange(&stage.name).map_err(tmux_failure)?;
            let data = json!({"session": stage.name, "panes": panes.len()});
            Ok(Answer::done(data, format!("{} panes are in order", panes.len())))
        }
        Verb::Launch { .. } => Err(Failure::told(Exit::Bug, "launch was handled above", "")),
    }
}

/// What every verb needs: the state, who asks, which session on which tmux server.
pub struct Stage<'a> {
    /// The repository, its store, the environment.
    pub context: Context<'a>,
    /// The state when the verb began.
    pub state: State,
    /// Who asks.
    pub asker: Asker,
    /// The session's name: the running one's, else the policy's.
    pub name: String,
    /// The server's socket name.
    pub socket: Option<String>,
    /// Whether words on stderr are unwanted.
    pub quiet: bool,
}

impl<'a> Stage<'a> {
    /// The stage for whoever asks.
    ///
    /// # Errors
    /// [`Failure`] when the state cannot be read, or nobody can tell who asks.
    pub fn set(context: Context<'a>, socket: Option<&str>, quiet: bool) -> Result<Self, Failure> {
        let state = context.state()?;
        let asker = context.asker(&state)?;
        Ok(Self::of(context, state, asker, socket, quiet))
    }

    /// The stage for somebody who is known already: the monitor's programs act as the system.
    #[must_use]
    pub fn of(context: Context<'a>, state: State, asker: Asker, socket: Option<&str>, quiet: bool) -> Self {
        let is_up = state.session_is_up(&context.facts(&state));
        let (name, known) = match &state.session {
            Session::Up { name, socket, .. } if is_up => (name.clone(), socket.clone()),
            Session::Up { .. } | Session::Down => (state.policy.session.clone(), None),
        };
        let socket = socket.map(str::to_owned).or(known);
        Self { context, state, asker, name, socket, quiet }
    }

    /// tmux on the session's server.
    ///
    /// # Errors
    /// [`Failure`] (69) when it is not installed.
    pub fn tmux(&self) -> Result<Tmux, Failure> {
        self.tmux_on(self.socket.as_deref())
    }

    /// tmux on another server.
    ///
    /// # Errors
    /// [`Failure`] (69) when it is not installed.
    pub fn tmux_on(&self, socket: Option<&str>) -> Result<Tmux, Failure> {
        tmux(self.context.env, socket)
    }

    /// tmux, when the session runs there.
    ///
    /// # Errors
    /// [`Failure`] (69) when it does not run.
    pub fn running(&self) -> Result<Tmux, Failure> {
        let tmux = self.tmux()?;
        // Whoever chooses another server chooses what its panes are.
        if let Session::Up { name, socket, .. } = &self.state.session
            && self.state.session_is_up(&self.context.facts(&self.state))
            && *socket != self.socket
        {
            let what = format!("session {name} runs on another socket than the one named");
            return Err(Failure::told(Exit::Refused, what, "cmw-session status"));
        }
        let there = tmux.has_session(&self.name).map_err(tmux_failure)?;
        if there && self.is_ours(&tmux)? {
            return Ok(tmux);
        }
        let what = format!("there is no session {} of this repository", self.name);
        Err(Failure::told(Exit::Unavailable, what, "cmw-session up"))
    }

    /// Whether the session of that name is this repository's, and not another one's.
    ///
    /// # Errors
    /// [`Failure`] when tmux cannot tell.
    pub fn is_ours(&self, tmux: &Tmux) -> Result<bool, Failure> {
        let repo = tmux.session_repo(&self.name).map_err(tmux_failure)?;
        Ok(repo.as_deref() == Some(self.context.repo.common_dir.as_path()))
    }

    /// The panes of the session; none when it does not run.
    ///
    /// # Errors
    /// [`Failure`] when tmux cannot tell.
    pub fn panes(&self, tmux: &Tmux) -> Result<Vec<PaneInfo>, Failure> {
        match tmux.panes(&self.name) {
            Ok(panes) => Ok(panes),
            Err(TmuxError::NoServer | TmuxError::NoSession { .. }) => Ok(Vec::new()),
            Err(other) => Err(tmux_failure(other)),
        }
    }

    /// Refuses a role that would stop another one without being the Orchestrator.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`].
    pub fn may_stop(&self, target: Option<&Role>) -> Result<(), Failure> {
        let Some(me) = self.asker.actor.role() else { return Ok(()) };
        let orchestrates = self.state.policy.roster.kind(me).is_some_and(Kind::is_orchestrator);
        if orchestrates || target == Some(me) {
            return Ok(());
        }
        let action =
            target.map_or_else(|| "ending the session".to_owned(), |role| format!("stopping {role}"));
        let who_may = "the Orchestrator or the person".to_owned();
        let (actor, session_up) = (self.asker.actor.clone(), true);
        Err(Refusal::NotPermitted { actor, action, who_may, session_up }.into())
    }
}

impl Stage<'_> {
    /// Refuses who would get another one's rights by starting it: a plain role that starts others, and,
    /// while a session is up, whoever is not known to be the person and says what shall run.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`].
    pub fn may_start(&self, target: &str, agent: Option<&str>) -> Result<(), Failure> {
        let actor = self.asker.actor.clone();
        let session_up = self.state.session_is_up(&self.context.facts(&self.state));
        let plain = actor.role().is_some_and(|me| {
            !self.state.policy.roster.kind(me).is_some_and(Kind::is_orchestrator)
                && !target.eq_ignore_ascii_case(me.as_str())
        });
        if plain {
            let (action, who_may) = (format!("starting {target}"), "the Orchestrator or a person".to_owned());
            return Err(Refusal::NotPermitted { actor, action, who_may, session_up }.into());
        }
        if agent.is_some() && session_up && actor != Actor::User {
            let (action, who_may) = (format!("choosing what runs as {target}"), "the User".to_owned());
            return Err(Refusal::NotPermitted { actor, action, who_may, session_up }.into());
        }
        Ok(())
    }
}

/// tmux on a server.
///
/// # Errors
/// [`Failure`] (69) when it is not installed.
pub fn tmux(env: &Env, socket: Option<&str>) -> Result<Tmux, Failure> {
    let server = socket.map_or(Server::Default, |name| Server::Named(name.to_owned()));
    let path = env.get("PATH").map(OsString::from);
    Tmux::find(path.as_deref(), &server).map_err(tmux_failure)
}

/// What tmux could not do, as a failure of ours.
#[must_use]
pub fn tmux_failure(error: TmuxError) -> Failure {
    let text = error.to_string();
    let what = text.split_once("; ").map_or(text.as_str(), |(what, _)| what).to_owned();
    match error {
        TmuxError::Missing | TmuxError::TooOld { .. } => {
            Failure::told(Exit::Unavailable, what, "apt-get install tmux")
        }
        TmuxError::NoServer | TmuxError::NoSession { .. } => {
            Failure::told(Exit::Unavailable, what, "cmw-session up")
        }
        TmuxError::SessionExists { .. } => Failure::told(Exit::Refused, what, "cmw-session attach"),
        TmuxError::NoPane { .. } | TmuxError::NotTheirPane { .. } => {
            Failure::told(Exit::Refused, text, "cmw-session status")
        }
        TmuxError::NoSpace => Failure::told(Exit::Unavailable, text, "cmw-session up --size 300x90"),
        TmuxError::BadSpec(_) => Failure::told(Exit::Config, text, "cmw-doctor"),
        TmuxError::TimedOut { .. } => Failure::told(Exit::Busy, text, "cmw-session status"),
        TmuxError::Failed { .. } => Failure::told(Exit::Unavailable, text, "cmw-doctor"),
    }
}

/// Becomes the tmux client that shows the session; needs a terminal.
fn attach(stage: &Stage<'_>) -> Result<Answer, Failure> {
    let tmux = stage.running()?;
    let variable = stage.context.env.get("TMUX");
    let inside = match variable {
        Some(variable) => tmux.serves(variable).map_err(tmux_failure)?,
        None => false,
    };
    let words = tmux.attach_command(&stage.name, inside).map_err(tmux_failure)?;
    let typed: Vec<String> = words.iter().map(|w| shell_quote(&w.to_string_lossy())).collect();
    if !stage.context.env.has_terminal || !stage.context.env.stdout_is_terminal {
        return Err(Failure::told(Exit::Unavailable, "attaching needs a terminal", &typed.join(" ")));
    }
    let (program, args) = words.split_first().expect("the words begin with the program");
    let mut command = std::process::Command::new(program);
    command.args(args);
    if !inside {
        // Within another server tmux would refuse to show this one.
        command.env_remove("TMUX");
    }
    let error = command.exec();
    Err(Failure::told(Exit::Unavailable, format!("cannot run tmux: {error}"), &typed.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::tmux::SessionSpec;

    #[test]
    fn a_socket_name_leads_nowhere_else() {
        for good in ["cmw-test-1", "a.b_c"] {
            assert_eq!(parse_socket(good).as_deref(), Ok(good));
        }
        for bad in ["", "../x", "a/b", "-L", ".x", "a b", "#(x)", "a\n"] {
            assert!(parse_socket(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_size_is_two_numbers() {
        assert_eq!(parse_size("240x66"), Ok(SessionSpec::SIZE));
        for bad in ["", "240", "x", "0x0", "240x", "-1x5", "99999x66", "240X66"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
    }
}
