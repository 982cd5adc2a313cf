//! Owns what the client's own hooks ask (`cmw-hook claude EVENT`): before a tool is used, whether its
//! role is paused; after an edit, whose file that is now.
//!
//! The client reads exit code 2 as a refusal whose text its model sees. A fault of ours must not stop an
//! agent that nobody paused: then nothing is said.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use cmw::cli::env::Env;
use cmw::cli::failure::Failure;
use cmw::cli::ownership;
use cmw::domain::permit;
use serde::Deserialize;

use super::scene::{House, Scene};

/// Most of what the client may say: a file that is written stands in it as a whole.
const STDIN_BYTES_MAX: u64 = 64 << 20;

/// Tools that change a file, and only that.
const EDITING: [&str; 4] = ["Edit", "Write", "MultiEdit", "NotebookEdit"];

/// Tools of ours that change no file and no branch.
const ASKING: [&str; 8] = ["status", "why", "since", "inbox", "send", "heartbeat", "audit", "doctor"];

/// The client's code for "no".
const REFUSED: u8 = 2;

/// What the client says of an event, as far as it matters here.
#[derive(Deserialize)]
struct Said {
    /// Where the client works: not always where its hooks run.
    cwd: Option<PathBuf>,
    #[serde(default)]
    tool_name: String,
    #[serde(default)]
    tool_input: Input,
}

#[derive(Default, Deserialize)]
struct Input {
    file_path: Option<PathBuf>,
    notebook_path: Option<PathBuf>,
    #[serde(default)]
    command: serde_json::Value,
}

/// Answers an event of the client; gives the exit code.
pub(crate) fn run(mut env: Env, called: &OsStr, event: &str) -> u8 {
    let mut stdin = Vec::new();
    let read = std::io::stdin().lock().take(STDIN_BYTES_MAX).read_to_end(&mut stdin);
    let said = read.ok().and_then(|_| serde_json::from_slice::<Said>(&stdin).ok());
    let Some(said) = said else { return 0 };
    if let Some(cwd) = said.cwd.clone().filter(|cwd| cwd.is_dir()) {
        env.cwd = Some(cwd);
    }
    let house = House::new(env, called);
    match event {
        "PreToolUse" => refuse_when_paused(&house, &said),
        "PostToolUse" => {
            // What cannot be recorded costs only a guess.
            let _ = record(&house, &said);
            0
        }
        _ => 0,
    }
}

fn refuse_when_paused(house: &House, said: &Said) -> u8 {
    if !changes_something(said) {
        return 0;
    }
    let Ok(scene) = Scene::read(house) else { return 0 };
    match permit::not_paused(&scene.state, &scene.asker.actor) {
        Ok(()) => 0,
        Err(refusal) => {
            cmw::cli::output::write_err(&format!("cmw: {}", refusal.lines()));
            REFUSED
        }
    }
}

/// Whether a tool may change anything. A shell may do everything, but for a plain call of our own tools:
/// who is paused still reads its mail.
fn changes_something(said: &Said) -> bool {
    if said.tool_name != "Bash" {
        return EDITING.contains(&said.tool_name.as_str());
    }
    let command = said.tool_input.command.as_str().unwrap_or_default();
    let plain = !command.contains([';', '&', '|', '<', '>', '`', '$', '\n', '(', ')']);
    let words: Vec<&str> = command.split_whitespace().collect();
    let asks = match words[..] {
        ["cmw", verb, ..] => ASKING.contains(&verb) || verb.starts_with("--"),
        ["cmw"] => true,
        ["cmw-lock", verb, ..] => ["status", "queue", "cancel", "release"].contains(&verb),
        [tool, ..] => tool.strip_prefix("cmw-").is_some_and(|tool| ASKING.contains(&tool)),
        [] => false,
    };
    !(plain && asks)
}

fn record(house: &House, said: &Said) -> Result<(), Failure> {
    let path = said.tool_input.file_path.as_deref().or(said.tool_input.notebook_path.as_deref());
    let Some(path) = path.filter(|_| EDITING.contains(&said.tool_name.as_str())) else { return Ok(()) };
    let scene = Scene::read(house)?;
    let here = house.env.cwd.clone().unwrap_or_default();
    let (Some(role), Some(root)) = (scene.asker.actor.role(), &scene.repo.work_tree) else { return Ok(()) };
    if let Some(path) = scene.repo.from_root(&here, canonical(&here, path).as_os_str()) {
        ownership::record(scene.store.disk(), root, role, &[path]);
    }
    Ok(())
}

/// The path with its directory as it really is, so that a link to the work tree is no other place.
fn canonical(here: &Path, path: &Path) -> PathBuf {
    let whole = here.join(path);
    let dir = whole.parent().and_then(|dir| dir.canonicalize().ok());
    match (dir, whole.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        (_, _) => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(tool: &str, command: &str) -> Said {
        let tool_input = Input { command: command.into(), ..Input::default() };
        Said { cwd: None, tool_name: tool.to_owned(), tool_input }
    }

    #[test]
    fn a_shell_may_change_everything_but_for_our_own_tools() {
        for (tool, command, changes) in [
            ("Edit", "", true),
            ("Read", "", false),
            ("Bash", "cargo test", true),
            ("Bash", "cmw-inbox next", false),
            ("Bash", "cmw-inbox next; rm -rf x", true),
            ("Bash", "cmw-send User $(rm x)", true),
            ("Bash", "cmw-commit -m x -- a", true),
            ("Bash", "cmw commit -m x -- a", true),
            ("Bash", "cmw rescue apply x", true),
            ("Bash", "cmw lock run -- rm a", true),
            ("Bash", "cmw-lock release", false),
            ("Bash", "cmw since 8h", false),
            ("Bash", "", true),
        ] {
            assert_eq!(changes_something(&said(tool, command)), changes, "{tool} {command}");
        }
    }
}
