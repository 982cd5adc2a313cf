//! One module per tool, the shared `main`, exit codes, how refusals are printed.

pub mod adoption;
pub mod agents;
pub mod audit;
pub mod audit_verify;
pub mod beside;
pub mod bring_back;
pub mod bypass;
pub mod client;
pub mod commit;
pub mod context;
pub mod demo_agent;
pub mod demo_mail;
pub mod demo_tools;
pub mod doctor;
pub mod enforcement;
pub mod env;
pub mod evidence;
pub mod exit;
pub mod failure;
pub mod freeze;
pub mod guards;
pub mod health;
pub mod health_table;
pub mod heartbeat;
pub mod identity;
pub mod inbox;
pub mod inbox_end;
pub mod inbox_list;
pub mod inbox_sent;
pub mod inbox_show;
pub mod init;
pub mod lock;
pub mod lock_run;
pub mod lock_show;
pub mod lock_wait;
pub mod mail;
pub mod monitor;
pub mod monitor_look;
pub mod notify;
pub mod output;
pub mod ownership;
pub mod patrol;
pub mod pause;
pub mod pins;
pub mod policy_config;
pub mod rescue;
pub mod rescue_apply;
pub mod rescue_show;
pub mod ringer;
pub mod row;
pub mod saving;
pub mod screen;
pub mod self_test;
pub mod send;
pub mod send_body;
pub mod send_wait;
pub mod session;
pub mod session_launch;
pub mod session_start;
pub mod session_status;
pub mod session_stop;
pub mod session_watch;
pub mod shown;
pub mod since;
pub mod since_health;
pub mod since_screen;
pub mod status;
pub mod status_data;
pub mod strays;
pub mod tools;
pub mod umbrella;
pub mod undelivered;
pub mod uninstall;
pub mod watch;
pub mod why;
pub mod work;
pub mod work_show;

use std::ffi::OsString;
use std::process::ExitCode;

use env::Env;
use failure::Failure;
use output::Answer;

/// Where the help of each tool lists what all tools take: apart from its own.
const COMMON: &str = "Common options";

/// What every tool takes, besides its own arguments.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Common {
    /// The repository (default: the one around the working directory)
    #[arg(long, global = true, value_name = "PATH", help_heading = COMMON)]
    pub repo: Option<std::path::PathBuf>,
    /// Act as this role; only the User may
    #[arg(long = "as", global = true, value_name = "ROLE", help_heading = COMMON)]
    pub as_role: Option<String>,
    /// Print one JSON object {v, ok, code, data, hint} instead of text
    #[arg(long, global = true, help_heading = COMMON)]
    pub json: bool,
    /// Print nothing that is not data
    #[arg(long, short, global = true, help_heading = COMMON)]
    pub quiet: bool,
}

/// A tool: its name, what it does, and whether its output is JSON.
pub type Tool = fn(&Env, Vec<OsString>) -> (output::Style, Result<Answer, Failure>);

/// Runs a tool: reads the environment once, prints once, returns the exit code.
#[must_use]
pub fn main(tool: Tool) -> ExitCode {
    let env = Env::read();
    let (style, result) = tool(&env, std::env::args_os().collect());
    output::print(style, &result).into()
}

/// Parses a tool's arguments and runs it; a wrong command line never reaches it.
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
        Err(error) => (output::Style { json: wants_json, quiet: false }, Err(error.into())),
    }
}

/// 128 random bits, for ids.
///
/// # Panics
/// When the kernel has no random numbers.
#[must_use]
pub fn random() -> u128 {
    let mut bytes = [0_u8; 16];
    let got = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    assert_eq!(got, Ok(bytes.len()), "the kernel gives random numbers");
    u128::from_ne_bytes(bytes)
}
