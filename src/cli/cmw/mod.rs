//! `cmw`: its own verbs, and `cmw X …`, which runs `cmw-X …`: the sibling program, else the one on PATH.

pub mod pause;
pub mod screen;
pub mod since;
pub mod status;
pub mod status_json;
pub mod tools;
pub mod why;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::cli::output::Style;
use crate::cli::{Common, command_line};
use crate::domain::util::sanitize;

/// Run a dozen AI coding agents in one git repository; without a command it shows the status
#[derive(Parser, Debug)]
#[command(
    name = "cmw",
    version,
    override_usage = "cmw [OPTIONS] [COMMAND | TOOL] [ARGUMENTS…]",
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Show the status on one screen: the default command
    Status,
    /// Show what happened since a time on one screen, problems first, and what is waiting for you
    Since {
        /// A time: 8h ago, the last 16:05 (UTC), 2026-11-24 or 2026-11-24T16:05Z (default: 12h)
        time: Option<String>,
    },
    /// Explain what would block a commit now, as git would report it (exit 0: nothing)
    Why {
        /// Another role than yours
        role: Option<String>,
    },
    /// Pause roles: they neither acquire the lock nor commit
    Pause {
        /// The roles (default: all)
        roles: Vec<String>,
        /// Why; sent to them
        #[arg(long, default_value = "", hide_default_value = true, value_parser = pause::parse_reason)]
        reason: String,
    },
    /// Resume paused roles
    Resume {
        /// The roles (default: all)
        roles: Vec<String>,
    },
    #[command(external_subcommand)]
    Named(Vec<OsString>),
}

/// Runs `cmw`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    let wants_json = args.iter().any(|a| a == "--json");
    let parse = |command: clap::Command| {
        command.try_get_matches_from(args.clone()).and_then(|found| Cli::from_arg_matches(&found))
    };
    let parsed = match parse(Cli::command()) {
        // Only a request for help pays for the list of tools.
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => parse(command()),
        parsed => parsed,
    };
    match parsed {
        Ok(cli) => {
            let style = Style { json: cli.common.json, quiet: cli.common.quiet };
            (style, run(env, &cli))
        }
        Err(error) => (Style { json: wants_json, quiet: false }, Err(command_line(&error))),
    }
}

/// Returns the command line, with the list of tools in its help.
fn command() -> clap::Command {
    Cli::command().after_help(format!("Tools (for details: cmw TOOL --help):\n{}", tool_list()))
}

/// Returns one line for each tool.
fn tool_list() -> String {
    let tools = tools::listed();
    let width = tools.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut list = String::new();
    for (name, about) in tools {
        let _ = writeln!(list, "  {name:width$}  {about}");
    }
    list
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let common = &cli.common;
    let words = match &cli.verb {
        None | Some(Verb::Status) => return status::run(env, common),
        Some(Verb::Why { role }) => return why::run(env, common, role.as_deref()),
        Some(Verb::Since { time }) => return since::run(env, common, time.as_deref()),
        Some(Verb::Pause { roles, reason }) => return pause::pause(env, common, roles, reason),
        Some(Verb::Resume { roles }) => return pause::resume(env, common, roles),
        Some(Verb::Named(words)) => words,
    };
    let (name, rest) = words.split_first().expect("a subcommand has a name");
    match (name.to_str(), rest) {
        (Some("help"), []) => Ok(Answer::done(serde_json::json!({}), command().render_help().to_string())),
        (Some("help"), [word, ..]) => help(env, word),
        (Some(_) | None, _) => {
            let mut args = common_args(&cli.common);
            args.extend_from_slice(rest);
            exec_tool(env, name, &args)
        }
    }
}

/// Returns the help of a verb or a tool.
fn help(env: &Env, word: &OsStr) -> Result<Answer, Failure> {
    let mut command = command();
    command.build();
    match word.to_str().and_then(|word| command.find_subcommand_mut(word)) {
        Some(verb) => Ok(Answer::done(serde_json::json!({}), verb.render_help().to_string())),
        None => exec_tool(env, word, &["--help".into()]),
    }
}

/// Options before the tool's name are passed on to the tool.
fn common_args(common: &Common) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    if let Some(path) = &common.repo {
        args.extend(["--repo".into(), path.into()]);
    }
    if let Some(role) = &common.as_role {
        args.extend(["--as".into(), role.into()]);
    }
    args.extend(common.json.then(|| "--json".into()));
    args.extend(common.quiet.then(|| "--quiet".into()));
    args
}

/// Replaces this process with the tool; returns only if it is not found or cannot be run.
fn exec_tool(env: &Env, name: &OsStr, args: &[OsString]) -> Result<Answer, Failure> {
    let shown = sanitize::line(&name.to_string_lossy());
    let here = std::env::current_exe().ok();
    let beside = here.as_deref().and_then(Path::parent);
    let Some(program) = find(name, beside, env.get("PATH")) else {
        let verbs = Cli::command();
        let verbs = verbs.get_subcommands().map(|verb| verb.get_name().to_owned());
        let near = nearest(&shown, tools::listed().into_iter().map(|(name, _)| name).chain(verbs));
        let mean = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let what = format!("unknown tool {shown}{mean}\n{}", tool_list().trim_end());
        return Err(Failure::with_next_step(Exit::Usage, what, "cmw --help"));
    };
    let error = std::process::Command::new(&program).args(args).exec();
    let what = format!("cannot run {}: {error}", sanitize::line(&program.display().to_string()));
    Err(Failure::with_next_step(Exit::Unavailable, what, "cmw-doctor"))
}

/// Finds the program of a tool: the sibling, else the one on PATH.
fn find(name: &OsStr, beside: Option<&Path>, path: Option<&str>) -> Option<PathBuf> {
    // A name with a slash would leave the directory.
    if name.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    let mut file = OsString::from("cmw-");
    file.push(name);
    let on_path = std::env::split_paths(path.unwrap_or_default()).filter(|dir| dir.is_absolute());
    beside.map(Path::to_owned).into_iter().chain(on_path).map(|dir| dir.join(&file)).find(|p| p.is_file())
}

/// Returns the name most similar to a word, if any is similar enough.
fn nearest(word: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let word = word.strip_prefix("cmw-").unwrap_or(word);
    let scored = names.map(|name| (strsim::jaro_winkler(word, &name), name));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_tool_is_guessed_and_nonsense_is_not() {
        let names = || tools::listed().into_iter().map(|(name, _)| name);
        assert_eq!(nearest("lokc", names()).as_deref(), Some("lock"));
        assert_eq!(nearest("cmw-lock", names()).as_deref(), Some("lock"));
        assert_eq!(nearest("hartbeat", names()).as_deref(), Some("heartbeat"));
        assert_eq!(nearest("xyzzy", names()), None);
    }

    #[test]
    fn a_tool_beside_this_one_wins_and_no_name_leaves_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (near, far) = (dir.path().join("near"), dir.path().join("far"));
        for dir in [&near, &far] {
            std::fs::create_dir(dir).unwrap();
        }
        let path = far.to_str().unwrap();
        let plant = |at: PathBuf| std::os::unix::fs::symlink("/bin/true", at).unwrap();
        plant(far.join("cmw-x"));
        assert_eq!(find(OsStr::new("x"), Some(&near), Some(path)), Some(far.join("cmw-x")));
        plant(near.join("cmw-x"));
        assert_eq!(find(OsStr::new("x"), Some(&near), Some(path)), Some(near.join("cmw-x")));
        std::fs::create_dir(near.join("cmw-")).unwrap();
        assert_eq!(find(OsStr::new("/../cmw-x"), Some(&near), None), None);
    }

    #[test]
    fn options_before_the_tool_reach_it() {
        let args = ["cmw", "--repo", "/r", "--json", "lock", "acquire", "--files", "-x"];
        let found = command().try_get_matches_from(args).unwrap();
        let cli = Cli::from_arg_matches(&found).unwrap();
        assert_eq!(common_args(&cli.common), ["--repo", "/r", "--json"]);
        let Some(Verb::Named(words)) = cli.verb else { panic!("a tool is named") };
        assert_eq!(words, ["lock", "acquire", "--files", "-x"]);
    }
}
