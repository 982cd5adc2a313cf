//! The command line that starts a program in a pane.
//!
//! Invariant: a program is started by `exec` with exactly its words.

use std::ffi::OsString;
use std::path::Path;

use crate::adapters::tmux::error::TmuxError;

/// The value of `-c`: it is a format, in which a path with `#(…)` would run a program; the value of an option
/// is not interpreted as a format.
pub(super) const CWD_FORMAT: &str = "#{@cmw_cwd}";

/// The arguments common to commands that open a pane in a session of ours: print the id, working directory.
pub(super) const PRINT_ID_AND_START: [&str; 5] = ["-P", "-F", "#{pane_id}", "-c", CWD_FORMAT];

/// Returns the command that sets the directory of [`CWD_FORMAT`] for the next program of this session.
pub(super) fn start_in(target: &str, cwd: &Path) -> Vec<OsString> {
    vec!["set-option".into(), "-t".into(), target.into(), "@cmw_cwd".into(), cwd.into()]
}

/// The program to run.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    pub(super) command: &'a [String],
    pub(super) env: &'a [(String, String)],
    pub(super) cwd: &'a Path,
}

impl Program<'_> {
    /// Checks what tmux and `env` would misinterpret; `who` begins the error message.
    pub(super) fn check(self, who: &str) -> Result<(), TmuxError> {
        let bad = |why: String| Err(TmuxError::BadSpec(format!("{who}: {why}")));
        let Some(program) = self.command.first().filter(|p| !p.is_empty() && !p.starts_with('-')) else {
            return bad("its command names no program".to_owned());
        };
        let variable = |name: &str| {
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        };
        if let Some((name, _)) = self.env.iter().find(|(name, _)| !variable(name)) {
            return bad(format!("{name:?} is not the name of an environment variable"));
        }
        let texts = self.command.iter().chain(self.env.iter().map(|(_, value)| value));
        if texts.clone().any(|text| text.contains('\0')) {
            return bad(format!("the command {program:?} or its environment contains a zero byte"));
        }
        // tmux would silently start it in the home directory instead.
        if !self.cwd.is_absolute() || !self.cwd.is_dir() {
            return bad(format!("{:?} is not a directory with an absolute path", self.cwd));
        }
        Ok(())
    }

    /// Returns the words that start it. Several words are exec'ed by tmux itself (one word alone would go
    /// through a shell); `env` sets the variables, since `-e` is not supported by all commands of tmux 3.0.
    pub(super) fn launch(self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["/usr/bin/env".into()];
        words.extend(self.env.iter().map(|(name, value)| format!("{name}={value}").into()));
        if self.command.first().is_some_and(|program| program.contains('=')) {
            // `env` would take it for a variable; this script is fixed, the words are its arguments.
            words.extend(["/bin/sh", "-c", "exec \"$0\" \"$@\""].map(Into::into));
        }
        words.extend(self.command.iter().map(Into::into));
        words
    }

    /// Returns a command that opens a pane: its words, the common arguments, and the program.
    pub(super) fn words(self, start: &[&str], shared: &[&str]) -> Vec<OsString> {
        let mut words: Vec<OsString> = start.iter().chain(shared).chain(&["--"]).map(Into::into).collect();
        words.extend(self.launch());
        words
    }
}
