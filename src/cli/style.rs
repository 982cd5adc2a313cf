//! How lines look on a terminal: its size, colours, and tones.

use crate::app::env::Env;
use crate::domain::util::sanitize;

/// The available space, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenSize {
    /// Columns.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

impl ScreenSize {
    /// The size that every screen must fit.
    pub const USUAL: Self = Self { width: 80, height: 24 };

    /// Returns the terminal's size; the usual one when stdout is not a terminal.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        let found = env.stdout_is_terminal.then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok());
        match found.flatten() {
            Some(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Self { width: usize::from(size.ws_col).clamp(40, 160), height: usize::from(size.ws_row) }
            }
            Some(_) | None => Self::USUAL,
        }
    }
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors(pub(crate) bool);

impl Colors {
    /// No colours.
    pub const NONE: Self = Self(false);

    /// Colours on a terminal, unless `NO_COLOR` or a dumb terminal forbids it.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        Self(env.stdout_is_terminal && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb"))
    }

    /// For a problem that blocks work.
    #[must_use]
    pub fn red(self, line: String) -> String {
        if self.0 { format!("\x1b[31m{line}\x1b[0m") } else { line }
    }

    /// For what may become a problem.
    #[must_use]
    pub fn yellow(self, line: String) -> String {
        if self.0 { format!("\x1b[33m{line}\x1b[0m") } else { line }
    }
}

/// The severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// In order.
    Plain,
    /// It may become a problem.
    Warn,
    /// It blocks work.
    Bad,
}

/// One line of a screen, safe to write, and its severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its severity.
    pub tone: Tone,
    /// Its text.
    pub text: String,
}

impl Line {
    /// Returns a line without a problem.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self { tone: Tone::Plain, text: text.into() }
    }

    /// Returns a line about what may become a problem.
    #[must_use]
    pub fn warn(text: impl Into<String>) -> Self {
        Self { tone: Tone::Warn, text: text.into() }
    }

    /// Returns a line about a problem that blocks work.
    #[must_use]
    pub fn bad(text: impl Into<String>) -> Self {
        Self { tone: Tone::Bad, text: text.into() }
    }

    /// Returns the text, cut to a width and coloured.
    #[must_use]
    pub fn painted(&self, width: usize, ink: Colors) -> String {
        let cut = sanitize::shorten(self.text.trim_end(), width);
        match self.tone {
            Tone::Plain => cut,
            Tone::Warn => ink.yellow(cut),
            Tone::Bad => ink.red(cut),
        }
    }
}
