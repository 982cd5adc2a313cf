//! What a program answers: data for programs, text for people, an exit code, and what to type next.

use serde_json::Value;

use crate::app::exit::Exit;

/// What a tool has to say when it did what it was asked, or waits for something.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it ends.
    pub exit: Exit,
    /// For programs.
    pub data: Value,
    /// For people: the data, on stdout.
    pub text: String,
    /// For people: words, on stderr.
    pub note: String,
    /// What to type next.
    pub hint: Option<String>,
}

impl Answer {
    /// It is done.
    #[must_use]
    pub fn done(data: Value, text: impl Into<String>) -> Self {
        Self { exit: Exit::Done, data, text: text.into(), note: String::new(), hint: None }
    }

    /// The same, with words on stderr.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The same, with another exit code.
    #[must_use]
    pub fn exiting(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}
