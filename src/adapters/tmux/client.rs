//! Runs one tmux client: its arguments, its environment, its time limit.
//!
//! Invariants: a client gets separate words, never a line for a shell; a server that does not answer does not
//! block its caller.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::adapters::tmux::error::{TmuxError, classify};
use crate::adapters::tmux::escape;
use crate::domain::util::sanitize::shorten;

/// How long one client may take; the usual answer takes three milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The size limit of one client's commands: tmux refuses messages above 16 KiB.
const CLIENT_BYTES_MAX: usize = 15_000;

/// Variables that a server started by us must not pass on to its panes: those that redirect git (`git
/// rev-parse --local-env-vars`), and those of the pane or agent that started it.
const NOT_INHERITED: [&str; 19] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    "CLAUDECODE",
    "CLAUDE_ROLE",
    "TMUX",
    "TMUX_PANE",
];

/// Commands for tmux, run in order by as few clients as possible.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    commands: Vec<Vec<OsString>>,
}

impl Batch {
    /// Adds a command.
    pub(crate) fn push<S: AsRef<OsStr>>(&mut self, words: impl IntoIterator<Item = S>) -> &mut Self {
        self.commands.push(words.into_iter().map(|word| escape::word(word.as_ref())).collect());
        self
    }

    /// Returns the commands for each client: as many as fit, joined by `;`.
    fn clients(&self) -> Vec<Vec<OsString>> {
        let mut clients: Vec<Vec<OsString>> = Vec::new();
        let mut bytes = 0;
        for command in &self.commands {
            let size: usize = command.iter().map(|word| word.len() + 1).sum::<usize>() + 2;
            match clients.last_mut().filter(|_| bytes + size <= CLIENT_BYTES_MAX) {
                Some(client) => {
                    client.push(";".into());
                    client.extend(command.iter().cloned());
                    bytes += size;
                }
                None => {
                    clients.push(command.clone());
                    bytes = size;
                }
            }
        }
        clients
    }
}

/// The answers of the clients, up to the first failure.
#[derive(Debug)]
pub(crate) struct ClientOutput {
    /// Everything they printed.
    pub(crate) stdout: Vec<u8>,
    /// The first failure; the commands after it were not run.
    pub(crate) error: Option<TmuxError>,
}

/// How the client is started: the program, and the arguments before the commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientStart<'a> {
    pub(crate) program: &'a Path,
    pub(crate) before: &'a [OsString],
    pub(crate) cwd: Option<&'a Path>,
}

/// Runs a batch, up to the first failure.
pub(crate) fn run(start: ClientStart<'_>, batch: &Batch) -> ClientOutput {
    let mut stdout = Vec::new();
    for client in batch.clients() {
        let shown = client.iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let shown = shorten(&crate::domain::util::sanitize::line(&shown), 120);
        match run_one(start, &client, &shown, ANSWER_MAX) {
            Ok((printed, error)) => {
                stdout.extend(printed);
                if error.is_some() {
                    return ClientOutput { stdout, error };
                }
            }
            Err(error) => return ClientOutput { stdout, error: Some(error) },
        }
    }
    ClientOutput { stdout, error: None }
}

/// Builds the process of one client.
fn command(start: ClientStart<'_>, words: &[OsString]) -> Command {
    let mut command = Command::new(start.program);
    command.args(start.before).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    if let Some(cwd) = start.cwd {
        command.current_dir(cwd);
    }
    command
}

/// Runs one client; returns its output, and its error message when it failed.
fn run_one(
    start: ClientStart<'_>,
    words: &[OsString],
    shown: &str,
    answer_max: Duration,
) -> Result<(Vec<u8>, Option<TmuxError>), TmuxError> {
    let failed =
        |error: std::io::Error| TmuxError::Failed { command: shown.to_owned(), stderr: error.to_string() };
    let mut command = command(start, words);
    let mut child = command.spawn().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound { TmuxError::Missing } else { failed(error) }
    })?;
    let (tell, told) = mpsc::channel();
    let mut out = child.stdout.take().expect("stdout was configured as a pipe");
    let mut err = child.stderr.take().expect("stderr was configured as a pipe");
    std::thread::spawn(move || {
        let (mut printed, mut complained) = (Vec::new(), Vec::new());
        // Error messages are a few lines, far below a pipe's capacity: reading one pipe after the other is
        // enough.
        let read = out.read_to_end(&mut printed).and_then(|_| err.read_to_end(&mut complained));
        // The receiver is gone after a timeout.
        drop(tell.send(read.map(|_| (printed, complained))));
    });
    let Ok(read) = told.recv_timeout(answer_max) else {
        // It may have ended by itself in the meantime; then there is nothing to kill.
        drop(child.kill());
        drop(child.wait());
        return Err(TmuxError::TimedOut { command: shown.to_owned(), after_s: answer_max.as_secs() });
    };
    let (printed, complained) = read.map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    let error = (!status.success()).then(|| classify(shown, &String::from_utf8_lossy(&complained)));
    Ok((printed, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_share_a_client_until_it_is_full() {
        let mut batch = Batch::default();
        batch.push(["a", "b;"]).push(["c"]);
        assert_eq!(batch.clients(), [["a", "b\\;", ";", "c"]]);
        let long = "x".repeat(8_000);
        batch.push(["d", &long]).push(["e", &long]).push(["f"]);
        let sizes: Vec<usize> = batch.clients().iter().map(Vec::len).collect();
        assert_eq!(sizes, [7, 4]);
    }

    #[test]
    fn a_server_that_does_not_answer_does_not_hang_its_caller() {
        let start = ClientStart { program: Path::new("sleep"), before: &[], cwd: None };
        let began = std::time::Instant::now();
        let error = run_one(start, &["60".into()], "x", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, TmuxError::TimedOut { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_server_started_by_us_inherits_nothing_that_diverts_git_or_tmux() {
        let command = command(ClientStart { program: Path::new("tmux"), before: &[], cwd: None }, &[]);
        let removed: Vec<&OsStr> = command.get_envs().filter(|(_, v)| v.is_none()).map(|(k, _)| k).collect();
        let local = Command::new("git").args(["rev-parse", "--local-env-vars"]).output().unwrap();
        let local = String::from_utf8(local.stdout).unwrap();
        for name in local.lines().chain(["TMUX", "TMUX_PANE", "CLAUDE_ROLE", "CLAUDECODE"]) {
            assert!(removed.contains(&OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_missing() {
        let mut batch = Batch::default();
        batch.push(["list-sessions"]);
        let start = ClientStart { program: Path::new("/nonexistent/tmux"), before: &[], cwd: None };
        assert_eq!(run(start, &batch).error, Some(TmuxError::Missing));
    }
}
