//! Owns what a tool prints: data on stdout, words on stderr, and a closed pipe harms nobody.

use std::io::Write;

use serde_json::{Value, json};

use super::exit::Exit;
use super::failure::Failure;

/// How to print.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// One JSON object instead of text.
    pub json: bool,
    /// Only data.
    pub quiet: bool,
}

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

/// Prints a result and returns its exit code.
pub fn print(style: Style, result: &Result<Answer, Failure>) -> Exit {
    if style.json {
        return print_json(result);
    }
    match result {
        Ok(answer) => {
            let exit = say(&answer.text, answer.exit);
            if !style.quiet {
                write_err(&answer.note);
            }
            exit
        }
        Err(failure) => {
            if failure.exit() == Exit::Done {
                return say(&failure.text(), Exit::Done);
            }
            write_err(&failure.text());
            failure.exit()
        }
    }
}

/// What `--json` prints; the fields stand in the order of their names, as in every object of ours.
#[derive(serde::Serialize)]
struct Printed<'a> {
    code: u8,
    data: &'a Value,
    hint: Option<String>,
    ok: bool,
    v: u8,
}

fn print_json(result: &Result<Answer, Failure>) -> Exit {
    let (exit, data, hint) = match result {
        Ok(answer) => (answer.exit, &answer.data, answer.hint.clone()),
        Err(failure) if failure.exit() == Exit::Done => {
            return say(&failure.text(), Exit::Done);
        }
        Err(failure) => (failure.exit(), &json!({"error": failure.text()}), failure.hint()),
    };
    let printed = Printed { code: exit.code(), data, hint, ok: exit == Exit::Done, v: 1 };
    let text = serde_json::to_string(&printed).expect("an answer has only texts and numbers");
    say(&crate::domain::text::ascii_safe_json(&text), exit)
}

/// Writes a text to stdout. What could not be written (a full disk) is said, and no success: an id
/// may be lost that somebody needs.
fn say(text: &str, exit: Exit) -> Exit {
    match write_out(text) {
        Ok(()) => exit,
        Err(error) => {
            write_err(&format!("error: what was to be said could not be written: {error}\n{text}"));
            Exit::Unavailable
        }
    }
}

/// Writes a text and a line end to stdout; a reader that went away is no error of ours.
///
/// # Errors
/// As the system says, but for a closed pipe.
pub fn write_out(text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a text and a line end to stdout, for somebody who reads along; says whether anybody still does.
///
/// # Errors
/// As the system says, but for a closed pipe.
pub fn write_along(text: &str) -> std::io::Result<bool> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes bytes to stdout as they are, for a program that reads them; one that went away is no error
/// of ours.
///
/// # Errors
/// As the system says, but for a closed pipe.
pub fn write_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a text and a line end to stderr.
pub fn write_err(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{}", text.trim_end_matches('\n'));
    }
}
