//! The list of all tools, used by `cmw --help`, the man pages and the tests.

use clap::{Arg, Command, CommandFactory};

use crate::cli::{
    audit, bypass, cmw, commit, demo_agent, doctor, freeze, health, heartbeat, inbox, init, lock, rescue,
    send, session, work,
};

/// Every program of the suite, in the order of `cmw --help`.
const TOOLS: &[fn() -> Command] = &[
    cmw::Cli::command,
    init::Cli::command,
    doctor::Cli::command,
    session::Cli::command,
    health::Cli::command,
    send::Cli::command,
    inbox::Cli::command,
    commit::Cli::command,
    lock::Cli::command,
    freeze::Cli::command,
    bypass::Cli::command,
    rescue::Cli::command,
    audit::Cli::command,
    work::Cli::command,
    heartbeat::Cli::command,
    demo_agent::Cli::command,
    hook,
];

/// Returns every program's command line, with its full name (`cmw-lock`) and description.
#[must_use]
pub fn all() -> Vec<Command> {
    TOOLS.iter().map(|command| command()).collect()
}

/// Returns the names that `cmw NAME` accepts, each with a one-line description.
#[must_use]
pub fn listed() -> Vec<(String, String)> {
    let short = |command: &Command| Some(command.get_name().strip_prefix("cmw-")?.to_owned());
    // The part after a semicolon is only for the tool's own help.
    let about = |command: &Command| {
        let whole = command.get_about().map(ToString::to_string).unwrap_or_default();
        whole.split(';').next().unwrap_or_default().to_owned()
    };
    all().iter().filter_map(|command| Some((short(command)?, about(command)))).collect()
}

/// Documents the hook program, which parses its command line by hand, to start faster.
fn hook() -> Command {
    Command::new("cmw-hook")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The program that git and the agents' clients call")
        .long_about(
            "Git calls it before and after it updates a ref, under the hook's name.\n\n\
             As `claude EVENT` it is called by Claude Code at each event (with --repo DIR and --budget \
             BYTES, the event on stdin): it passes messages to the model, refuses tools, and as \
             `claude wait` sleeps until there is a message for an idle client. Exit code 2 is then a refusal or a \
             wake-up, with the text on stderr. As `codex JSON` it is called by Codex when a turn is \
             complete.",
        )
        .arg(Arg::new("HOOK").required(true).help("The hook's name, such as pre-commit; or claude, codex"))
        .arg(Arg::new("ARGUMENTS").num_args(0..).help("The arguments of the hook"))
}
