//! Owns the list of all tools: the umbrella, the man pages and the tests go by it.

use clap::{Arg, Command, CommandFactory};

use crate::cli::{
    audit, bypass, cmw, commit, demo_agent, doctor, freeze, health, heartbeat, inbox, init, lock, rescue,
    send, session, work,
};

/// Every program of the suite, in the order in which `cmw --help` shows them; one line each.
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

/// Every program's command line, with its full name (`cmw-lock`) and what it does.
#[must_use]
pub fn all() -> Vec<Command> {
    TOOLS.iter().map(|command| command()).collect()
}

/// The names that `cmw NAME` knows, with what each does in one line of a list.
#[must_use]
pub fn listed() -> Vec<(String, String)> {
    let short = |command: &Command| Some(command.get_name().strip_prefix("cmw-")?.to_owned());
    // What stands behind a semicolon is for the tool's own help.
    let about = |command: &Command| {
        let whole = command.get_about().map(ToString::to_string).unwrap_or_default();
        whole.split(';').next().unwrap_or_default().to_owned()
    };
    all().iter().filter_map(|command| Some((short(command)?, about(command)))).collect()
}

/// Git calls this one, so it parses by hand and starts faster; here is what a person reads of it.
fn hook() -> Command {
    Command::new("cmw-hook")
        .version(env!("CARGO_PKG_VERSION"))
        .about("What git and the agents' programs call")
        .long_about(
            "What git calls before and after it moves a ref, under the hook's name.\n\n\
             As `claude EVENT` it is what Claude Code calls at each event (DIR and bytes behind --repo and \
             --budget, the event on its input): it tells the model its messages, refuses tools, and as \
             `claude wait` sleeps until there is a message for an idle client. There 2 means a refusal, or a \
             wake-up, whose words stand on stderr. As `codex JSON` it is what Codex calls when a turn is \
             complete.",
        )
        .arg(Arg::new("HOOK").required(true).help("The hook's name, such as pre-commit; or claude, codex"))
        .arg(Arg::new("ARGUMENTS").num_args(0..).help("What git gives the hook"))
}
