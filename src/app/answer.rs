//! The answer of a program: data for programs, text for people, an exit code, and what to type next.

use serde_json::Value;

use crate::app::exit::Exit;

/// The answer of a tool that succeeded, or that waits.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The exit code.
    pub exit: Exit,
    /// For programs.
    pub data: Value,
    /// For people: the data, on stdout.
    pub text: String,
    /// For people: messages, on stderr.
    pub note: String,
    /// What to type next.
    pub hint: Option<String>,
}

impl Answer {
    /// Returns the answer of a tool that succeeded.
    #[must_use]
    pub fn done(data: Value, text: impl Into<String>) -> Self {
        Self { exit: Exit::Done, data, text: text.into(), note: String::new(), hint: None }
    }

    /// Adds a message on stderr.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Sets another exit code.
    #[must_use]
    pub fn exiting(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}
