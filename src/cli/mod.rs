//! One module per tool, the shared `main`, and how arguments, answers and refusals are handled.

pub mod audit;
pub mod bypass;
pub mod cmw;
pub mod commit;
pub mod demo_agent;
pub mod doctor;
pub mod freeze;
pub mod health;
pub mod heartbeat;
pub mod inbox;
pub mod init;
pub mod lock;
pub mod output;
pub mod rescue;
pub mod send;
pub mod session;
pub mod style;
pub mod work;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::workspace::Context;

/// The heading under which each tool's help lists the options that all tools take.
const COMMON: &str = "Common options";

/// The options that every tool takes.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Common {
    /// The repository (default: the one that contains the working directory)
    #[arg(long, global = true, value_name = "PATH", help_heading = COMMON)]
    pub repo: Option<std::path::PathBuf>,
    /// Act as this role (User only)
    #[arg(long = "as", global = true, value_name = "ROLE", help_heading = COMMON)]
    pub as_role: Option<String>,
    /// Print one JSON object {v, ok, code, data, hint} instead of text
    #[arg(long, global = true, help_heading = COMMON)]
    pub json: bool,
    /// Print only data
    #[arg(long, short, global = true, help_heading = COMMON)]
    pub quiet: bool,
}

impl Common {
    /// Opens the repository that the command line names.
    ///
    /// # Errors
    /// [`Failure`] when there is none, or it is bare.
    pub fn open<'a>(&self, env: &'a Env) -> Result<Context<'a>, Failure> {
        Context::open(env, self.repo.as_ref(), self.as_role.as_deref())
    }
}

/// A tool's entry point: runs it on the arguments, and returns how to print the result.
pub type Tool = fn(&Env, Vec<OsString>) -> (output::Style, Result<Answer, Failure>);

/// Runs a tool: reads the environment once, prints once, returns the exit code.
#[must_use]
pub fn main(tool: Tool) -> ExitCode {
    let env = Env::read(crate::adapters::os::stdio::write_err);
    let (style, result) = tool(&env, std::env::args_os().collect());
    output::print(style, &result).into()
}

/// Parses a tool's arguments and runs it; an invalid command line never reaches it.
pub fn parse_and_run<P: clap::Parser>(
    env: &Env,
    args: Vec<OsString>,
    common_of: fn(&P) -> &Common,
    run: fn(&Env, &P) -> Result<Answer, Failure>,
) -> (output::Style, Result<Answer, Failure>) {
    let wants_json = args.iter().any(|a| a == "--json");
    match P::try_parse_from(args) {
        Ok(parsed) => {
            let common = common_of(&parsed);
            let style = output::Style { json: common.json, quiet: common.quiet };
            (style, run(env, &parsed))
        }
        Err(error) => (output::Style { json: wants_json, quiet: false }, Err(command_line(&error))),
    }
}

/// clap's message about a command line, or the help that was requested.
pub(crate) fn command_line(error: &clap::Error) -> Failure {
    Failure::CommandLine { text: error.to_string(), is_help: !error.use_stderr() }
}
