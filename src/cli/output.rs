//! What a tool prints: data on stdout, messages on stderr; a closed pipe is no error.

use serde_json::{Value, json};

use crate::adapters::os::stdio::{write_err, write_out};
use crate::app::answer::Answer;

use crate::app::error::Failure;
use crate::app::exit::Exit;

/// How to print.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// One JSON object instead of text.
    pub json: bool,
    /// Only data.
    pub quiet: bool,
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

/// What `--json` prints; the fields are in alphabetical order, as in every object of ours.
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
    say(&crate::domain::util::sanitize::ascii_safe_json(&text), exit)
}

/// Writes a text to stdout. If it cannot be written (a full disk), reports it and returns a failure: an id
/// that is needed may be lost.
fn say(text: &str, exit: Exit) -> Exit {
    match write_out(text) {
        Ok(()) => exit,
        Err(error) => {
            write_err(&format!("error: the output could not be written: {error}\n{text}"));
            Exit::Unavailable
        }
    }
}
