//! Runs other programs for the demo agent: as processes, as a language model would, and always ready to stop
//! on a signal.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::adapters::os::process::{self, Signal};
use crate::domain::util::sanitize;

use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::programs;

/// How long a signal may go unnoticed.
const TICK: Duration = Duration::from_millis(200);

/// A program's output and exit code.
#[derive(Clone, Debug)]
pub struct ToolResult {
    /// Its exit code; 128 plus the signal if one killed it, 127 if it could not be started.
    pub code: i32,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

impl ToolResult {
    /// Returns whether it succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Returns the first line that the command printed, on stderr if it has any, else on stdout.
    #[must_use]
    pub fn first_output_line(&self) -> String {
        let line = self.stderr.lines().chain(self.stdout.lines()).find(|line| !line.trim().is_empty());
        line.map_or_else(|| format!("exit {}", self.code), |line| sanitize::line(line.trim()))
    }

    fn not_started(why: &str) -> Self {
        Self { code: 127, stdout: String::new(), stderr: why.to_owned() }
    }
}

impl From<Output> for ToolResult {
    fn from(out: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = out.status.code().unwrap_or_else(|| 128 + out.status.signal().unwrap_or(0));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code, stdout: text(&out.stdout), stderr: text(&out.stderr) }
    }
}

/// The sibling programs and git, in one work tree.
#[derive(Debug)]
pub struct Tools {
    beside: PathBuf,
    workspace: PathBuf,
    role: String,
    stop: Arc<AtomicBool>,
    hung_up: Arc<AtomicBool>,
}

impl Tools {
    /// Catches SIGTERM, SIGHUP and SIGINT from now on, as requests to stop.
    ///
    /// # Errors
    /// [`Failure`] when signals cannot be caught, or our programs are not found.
    pub fn new(workspace: PathBuf, role: &str) -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGHUP, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|e| {
                Failure::with_next_step(Exit::Unavailable, format!("cannot catch signals: {e}"), "")
            })?;
        }
        let hung_up = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGHUP, Arc::clone(&hung_up)).map_err(|e| {
            Failure::with_next_step(Exit::Unavailable, format!("cannot catch signals: {e}"), "")
        })?;
        Ok(Self { beside: programs::directory()?, workspace, role: role.to_owned(), stop, hung_up })
    }

    /// Returns whether its terminal was closed, which is not a request to stop.
    #[must_use]
    pub fn hung_up(&self) -> bool {
        self.hung_up.load(Ordering::Relaxed)
    }

    /// Returns whether it was asked to stop.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Requests the stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Returns whether one of our programs exists.
    #[must_use]
    pub fn has(&self, tool: &str) -> bool {
        self.beside.join(tool).is_file()
    }

    /// Runs one of our programs to its end, or, when `breakable`, until a stop is requested.
    #[must_use]
    pub fn run(&self, tool: &str, args: &[&str], breakable: bool) -> ToolResult {
        let mut command = Command::new(self.beside.join(tool));
        command.args(args);
        self.sign(&mut command);
        self.wait_for(command, breakable)
    }

    /// Runs git to its end, with the role as author.
    #[must_use]
    pub fn git(&self, args: &[&str]) -> ToolResult {
        let mut command = Command::new("git");
        command.args(args).env("GIT_TERMINAL_PROMPT", "0");
        self.sign(&mut command);
        self.wait_for(command, false)
    }

    /// Sets the role as author and committer.
    fn sign(&self, command: &mut Command) {
        let mail = format!("{}@cmw.invalid", self.role.to_ascii_lowercase());
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), &self.role).env(format!("GIT_{who}_EMAIL"), &mail);
        }
    }

    /// Reports, as the client's hooks would, that a file was edited.
    pub fn edited(&self, path: &Path) {
        let event = serde_json::json!({"tool_name": "Edit", "tool_input": {"file_path": path}}).to_string();
        let mut command = Command::new(self.beside.join("cmw-hook"));
        command.args(["claude", "PostToolUse"]).current_dir(&self.workspace);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // If it is not reported, the owner of the change is only guessed.
        let Ok(mut child) = command.spawn() else { return };
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(event.as_bytes());
        }
        let _ = child.wait();
    }

    /// Starts one of our programs in the background, without output.
    ///
    /// # Errors
    /// I/O errors.
    pub fn start<S: AsRef<OsStr>>(&self, tool: &str, args: &[S]) -> std::io::Result<Child> {
        let mut command = Command::new(self.beside.join(tool));
        command.args(args).current_dir(&self.workspace);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    fn wait_for(&self, mut command: Command, breakable: bool) -> ToolResult {
        command.current_dir(&self.workspace);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return ToolResult::not_started(&error.to_string()),
        };
        let it = process::identify(child.id());
        let (tell, told) = channel();
        // The receiver waits for this message, so sending cannot fail.
        std::thread::spawn(move || drop(tell.send(child.wait_with_output())));
        let mut broken = false;
        loop {
            match told.recv_timeout(TICK) {
                Ok(Ok(output)) => return output.into(),
                Ok(Err(error)) => return ToolResult::not_started(&error.to_string()),
                Err(RecvTimeoutError::Disconnected) => {
                    return ToolResult::not_started("the waiting thread died");
                }
                Err(RecvTimeoutError::Timeout) if breakable && self.stopped() && !broken => {
                    broken = true;
                    if let Some(it) = &it {
                        // It may have ended in the meantime.
                        let _ = process::signal(it, Signal::TERM);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Sleeps, unless a stop is requested.
    pub fn sleep(&self, ms: u64) {
        let end = Instant::now() + Duration::from_millis(ms);
        while !self.stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(TICK));
        }
    }
}
