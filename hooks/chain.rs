//! Runs the chained hook, the one that was in effect before ours, after ours has allowed the operation: with
//! the same arguments, environment, working directory and input. Its refusal counts.
//!
//! A chained hook that cannot be looked up is a refusal: it may be a guard, and a guard must not be skipped
//! silently.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cmw::app::error::Failure;
use cmw::app::exit::Exit;
use cmw::store::disk::{Disk, RealDisk};
use cmw::store::error::StoreError;
use cmw::store::layout;

use crate::context::HookInvocation;

/// The largest standard input that is read, in bytes: two hundred thousand refs.
const STDIN_BYTES_MAX: u64 = 64 << 20;

/// Reads git's input from standard input.
///
/// # Errors
/// [`Failure`] when it cannot be read.
pub(crate) fn read_stdin() -> Result<Vec<u8>, Failure> {
    let mut stdin = Vec::new();
    io::stdin().lock().take(STDIN_BYTES_MAX).read_to_end(&mut stdin).map_err(|e| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot read git's input: {e}"), "cmw-doctor")
    })?;
    Ok(stdin)
}

/// A call of a hook by git.
pub(crate) struct GitHookCall<'a> {
    pub(crate) invocation: &'a HookInvocation,
    pub(crate) name: &'a str,
    pub(crate) args: &'a [OsString],
}

impl GitHookCall<'_> {
    /// Replaces this process by the chained hook, when ours has nothing left to do; returns 0 when there is
    /// none.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be looked for or run.
    pub(crate) fn become_chained(&self) -> Result<u8, Failure> {
        let Some(program) = self.chained()? else { return Ok(0) };
        let error = Command::new(&program).args(self.args).exec();
        Err(cannot_run(&program, &error))
    }

    /// Runs the chained hook with this input; returns its exit code, or `None` when there is none.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be looked for or run.
    pub(crate) fn run_chained(&self, stdin: &[u8]) -> Result<Option<u8>, Failure> {
        let Some(program) = self.chained()? else { return Ok(None) };
        let mut command = Command::new(&program);
        command.args(self.args);
        feed(command, stdin).map(Some).map_err(|error| cannot_run(&program, &error))
    }

    /// Returns the executable of that name in the directory of the chained hooks.
    fn chained(&self) -> Result<Option<PathBuf>, Failure> {
        let Some(common_dir) = self.invocation.common_dir() else { return Ok(None) };
        let failed = |e: io::Error| StoreError::io("read", layout::CHAINED_HOOKS, e);
        let disk = RealDisk::open(&common_dir).map_err(failed)?;
        let Some(bytes) = disk.read(layout::CHAINED_HOOKS, 8 << 10).map_err(failed)? else { return Ok(None) };
        let dir = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
        // As for git, a relative path starts at the directory in which hooks run.
        let here = self.invocation.env.cwd.as_deref().unwrap_or(Path::new("."));
        let program = here.join(dir).join(self.name);
        match std::fs::metadata(&program) {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => Ok(Some(program)),
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(cannot_run(&program, &e)),
        }
    }
}

fn cannot_run(program: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot run the hook {}: {error}", program.display());
    Failure::with_next_step(Exit::Unavailable, what, "cmw-doctor")
}

fn feed(mut command: Command, stdin: &[u8]) -> io::Result<u8> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A hook that does not read its input is no error.
        let _ = pipe.write_all(stdin);
    }
    let status = child.wait()?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(1))
}
