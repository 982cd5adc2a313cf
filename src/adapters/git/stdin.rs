//! Feeds git its input: long lists of paths go through its standard input, where names need no quoting and
//! lists have no length limit.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::adapters::git::{Repo, RepoError, failure};

impl Repo {
    /// Runs git with an input.
    pub(crate) fn run_with_input(&self, mut command: Command, input: &[u8]) -> Result<Output, RepoError> {
        let not_started = |source| RepoError::NotStarted { program: self.program.clone(), source };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(not_started)?;
        let stdin = child.stdin.take();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // A git that ends early reads no further; its exit status says why.
                let _ = stdin.map(|mut stdin| stdin.write_all(input));
            });
            child.wait_with_output()
        })
        .map_err(not_started)
    }

    /// Runs git with an input, and returns its output when it succeeded.
    pub(crate) fn run_with_input_ok(
        &self,
        mut command: Command,
        args: &[&OsStr],
        input: &[u8],
    ) -> Result<Vec<u8>, RepoError> {
        command.args(args);
        let output = self.run_with_input(command, input)?;
        if output.status.success() { Ok(output.stdout) } else { Err(failure(args, &output)) }
    }
}

/// Quotes a path for `hash-object --stdin-paths`.
pub(crate) fn quoted(path: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in path {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => out.extend(format!("\\{byte:03o}").bytes()),
        }
    }
    out.push(b'"');
    out
}
