//! Owns reading the environment: once, in the shared `main`; inside, the world comes as arguments.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

/// What the environment of a program said when it started.
#[derive(Clone, Debug)]
pub struct Env {
    vars: BTreeMap<String, String>,
    /// The working directory; `None` when it was removed.
    pub cwd: Option<PathBuf>,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether somebody sits at a terminal that this program belongs to.
    pub has_terminal: bool,
}

impl Env {
    /// Reads it.
    #[must_use]
    pub fn read() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
        let vars = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.to_string_lossy().into_owned())))
            .collect();
        Self {
            vars,
            cwd: std::env::current_dir().ok(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            // Only a process with a controlling terminal can open this name.
            has_terminal: std::fs::File::open("/dev/tty").is_ok(),
        }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
}
