//! Owns reading the environment: once, in the shared `main`; inside, the world comes as arguments.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::PathBuf;

/// What the environment of a program said when it started.
#[derive(Clone, Debug)]
pub struct Env {
    vars: BTreeMap<OsString, OsString>,
    /// The working directory; `None` when it was removed.
    pub cwd: Option<PathBuf>,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether somebody sits at a terminal that this program belongs to.
    pub has_terminal: bool,
    /// Where warnings and progress go.
    reporter: fn(&str),
}

impl Env {
    /// Reads it. Warnings and progress will go to `reporter`.
    #[must_use]
    pub fn read(reporter: fn(&str)) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
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

    /// The same in another working directory.
    #[must_use]
    pub fn at(&self, cwd: PathBuf) -> Self {
        Self { cwd: Some(cwd), ..self.clone() }
    }

    /// Reports a warning or progress to the person; an empty text is none.
    pub fn report(&self, text: &str) {
        (self.reporter)(text);
    }

    /// A variable that is set, not empty, and text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name).and_then(OsStr::to_str)
    }

    /// What the names of variables have behind this beginning, as far as they are text.
    pub fn behind<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a str> {
        self.vars.keys().filter_map(move |name| name.to_str()?.strip_prefix(start))
    }

    /// A variable that is set and not empty: a path need not be text.
    #[must_use]
    pub fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }
}
