//! Reads the environment: once, in the shared `main`; all other code gets it as an argument.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::PathBuf;

/// The environment of a program at its start.
#[derive(Clone, Debug)]
pub struct Env {
    vars: BTreeMap<OsString, OsString>,
    /// The working directory; `None` when it was removed.
    pub cwd: Option<PathBuf>,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether this program has a controlling terminal.
    pub has_terminal: bool,
    /// Receives warnings and progress.
    reporter: fn(&str),
}

impl Env {
    /// Reads the environment. Warnings and progress go to `reporter`.
    #[must_use]
    pub fn read(reporter: fn(&str)) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
        let vars = std::env::vars_os().collect();
        Self {
            vars,
            cwd: std::env::current_dir().ok(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            // Only a process with a controlling terminal can open this name.
            has_terminal: std::fs::File::open("/dev/tty").is_ok(),
            reporter,
        }
    }

    /// Returns the same environment with another working directory.
    #[must_use]
    pub fn at(&self, cwd: PathBuf) -> Self {
        Self { cwd: Some(cwd), ..self.clone() }
    }

    /// Reports a warning or progress to the person; ignores an empty text.
    pub fn report(&self, text: &str) {
        (self.reporter)(text);
    }

    /// Returns a variable that is set, not empty, and valid UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name).and_then(OsStr::to_str)
    }

    /// Returns the rest of each variable name that begins with `start`, as far as they are UTF-8.
    pub fn suffixes_of<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a str> {
        self.vars.keys().filter_map(move |name| name.to_str()?.strip_prefix(start))
    }

    /// Returns a variable that is set and not empty: a path need not be UTF-8.
    #[must_use]
    pub fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }
}
