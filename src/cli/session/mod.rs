//! `cmw-session`: its arguments, and attaching to the session.
//!
//! Any caller may do most of it, also a person at a terminal that a running session makes unidentified
//! (docs/decisions.md D3). A role may neither stop nor start other roles, unless it is the Orchestrator, and
//! the agent's program cannot be chosen while a session is up.

pub mod status;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use crate::adapters::tmux::layout::grid::Size;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::util::time::parse_duration_ms;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::session::context::SessionContext;
use crate::app::session::start::{StartOptions, UpOptions};
use crate::app::session::tmux::tmux_failure;
use crate::app::session::{launch, start, stop};
use crate::cli::Common;
use crate::cli::output::Style;

/// Start, stop and show the tmux session in which the instances run
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
    /// Start one role (stopped, crashed or never started), or all that are not running
    ///
    /// A client that keeps its conversation resumes it.
    Start {
        /// The role, or `all`
        role: String,
        /// Its program and arguments (default: as given to `up`)
        #[arg(long, value_name = "CMD")]
        agent: Option<String>,
        /// Do not resume the earlier conversation
        #[arg(long)]
        fresh: bool,
        /// How long to wait for its registration
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "60s")]
        wait: u64,
    },
    /// Stop one role: it is asked to end, then its lock, its place in the queue and its pane are released
    Stop {
        /// The role
        role: String,
        /// How long to wait for it to end by itself
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "10s")]
        grace: u64,
    },
    /// Stop all roles, the Orchestrator last, and end the session
    Down {
        /// How long to wait for them to end by themselves
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "10s")]
        grace: u64,
    },
    /// Show the session in this terminal
    Attach,
    /// Show where each role runs and its state, problems first
    Status,
    /// Restore the layout of the panes
    Layout,
    /// What a pane runs: waits to be started, then becomes the agent
    #[command(hide = true)]
    Launch {
        /// The role of the pane
        role: String,
        /// Its program and arguments
        #[arg(long, value_name = "CMD")]
        agent: Option<String>,
        /// Do not resume the earlier conversation
        #[arg(long)]
        fresh: bool,
    },
}

/// The arguments of `up`.
#[derive(Args, Clone, Debug)]
pub struct Up {
    /// The agents' program and arguments (`claude` is the real client; default: the demo agent)
    #[arg(long, value_name = "CMD")]
    pub agent: Option<String>,
    /// Which roles to start, comma-separated; the panes of the others wait
    #[arg(long, default_value = "all", value_name = "ROLES")]
    pub roles: String,
    /// Only create the session; each pane waits for `cmw-session start ROLE`
    #[arg(long)]
    pub no_start: bool,
    /// Do not resume the roles' earlier conversations
    #[arg(long)]
    pub fresh: bool,
    /// Start no monitor: a systemd unit or cron runs one
    #[arg(long)]
    pub no_monitor: bool,
    /// The size of the session while no client shows it
    #[arg(long, value_name = "WxH", value_parser = parse_size, default_value = "240x66")]
    pub size: Size,
    /// How long to wait for the registration of the roles; half of it for each of the first two
    #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "60s")]
    pub wait: u64,
}

impl Up {
    fn options(&self) -> UpOptions {
        UpOptions {
            agent: self.agent.clone(),
            roles: self.roles.clone(),
            no_start: self.no_start,
            fresh: self.fresh,
            no_monitor: self.no_monitor,
            size: self.size,
            wait_ms: self.wait,
        }
    }
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
    size.ok_or_else(|| "expected WIDTHxHEIGHT in characters and lines, such as 240x66".to_owned())
}

/// Runs `cmw-session`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    if let Verb::Launch { role, agent, fresh } = &cli.verb {
        return launch::wait_and_exec(&context, role, agent.as_deref(), *fresh);
    }
    let session_context = SessionContext::set(context, cli.socket.as_deref(), cli.common.quiet)?;
    match &cli.verb {
        Verb::Up(up) => start::up(&session_context, &up.options()),
        Verb::Start { role, agent, fresh, wait } => {
            session_context.may_start(role, agent.as_deref())?;
            let wish = StartOptions { agent: agent.as_deref(), fresh: *fresh };
            start::start(&session_context, role, wish, *wait)
        }
        Verb::Stop { role, grace } => stop::stop(&session_context, role, *grace),
        Verb::Down { grace } => stop::down(&session_context, *grace),
        Verb::Attach => attach(&session_context),
        Verb::Status => Ok(status::status(&session_context)),
        Verb::Layout => {
            let panes = session_context.running()?.arrange(&session_context.name).map_err(tmux_failure)?;
            let data = json!({"session": session_context.name, "panes": panes.len()});
            Ok(Answer::done(data, format!("restored the layout of {} panes", panes.len())))
        }
        Verb::Launch { .. } => Err(Failure::with_next_step(Exit::Bug, "launch was handled above", "")),
    }
}

/// Becomes the tmux client that shows the session; needs a terminal.
fn attach(session_context: &SessionContext<'_>) -> Result<Answer, Failure> {
    let tmux = session_context.running()?;
    let variable = session_context.context.env.get("TMUX");
    let inside = match variable {
        Some(variable) => tmux.serves(variable).map_err(tmux_failure)?,
        None => false,
    };
    let words = tmux.attach_command(&session_context.name, inside).map_err(tmux_failure)?;
    let typed: Vec<String> = words.iter().map(|w| shell_quote(&w.to_string_lossy())).collect();
    if !session_context.context.env.has_terminal || !session_context.context.env.stdout_is_terminal {
        return Err(Failure::with_next_step(
            Exit::Unavailable,
            "attaching needs a terminal",
            &typed.join(" "),
        ));
    }
    let (program, args) = words.split_first().expect("the words begin with the program");
    let mut command = std::process::Command::new(program);
    command.args(args);
    if !inside {
        // Inside another server's pane tmux would refuse to attach.
        command.env_remove("TMUX");
    }
    let error = command.exec();
    Err(Failure::with_next_step(Exit::Unavailable, format!("cannot run tmux: {error}"), &typed.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::tmux::session::SessionSpec;

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
