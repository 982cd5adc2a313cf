//! Recognises on a screen whether a client waits with an empty input line, and where that is.
//!
//! Invariant: `when_in_doubt_it_is_no_empty_prompt`. A dialog, a question, a half-typed line and a working
//! program do not count as empty.

use crate::adapters::tmux::doorbell::screen::{Screen, ScreenCell, text};

/// The shape of a client's empty input line.
#[derive(Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The text left of the cursor, with its space.
    pub mark: &'static str,
    /// The text left of the second and further lines of a longer input.
    pub continued: &'static str,
    /// Whether the mark must not be on the line above too: otherwise this may be the last line of a longer
    /// draft.
    pub alone: bool,
    /// The frame around the input.
    pub frame: InputFrame,
    /// Which cursor it has.
    pub cursor: CursorStyle,
    /// The text that may be right of the cursor although nothing was typed.
    pub hint: PlaceholderHint,
    /// Words near the input that mean: it is working, or would send more than the input shows.
    pub busy: &'static [&'static str],
}

/// The frame around an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFrame {
    /// The mark begins the line, and nothing is below it.
    Bare,
    /// The mark begins the line, with a blank line above and below.
    Padded,
    /// The mark begins the line, with a rule above and below.
    Lines,
    /// A rule above and below; optionally sides too, and then the mark is indented.
    Box,
}

/// Which cursor shows the input position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorStyle {
    /// The terminal's cursor, which is shown.
    Terminal,
    /// A single inverse cell; the terminal's cursor may be hidden or anywhere.
    Drawn,
}

/// The hint in an empty input line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceholderHint {
    /// Nothing.
    Never,
    /// Nothing, or faint text.
    Faint,
    /// Always faint text. Without it the line is not empty: it may be the first of several.
    AlwaysFaint,
    /// Always one of these texts, in a colour other than that of typed text.
    AlwaysOneOf(&'static [&'static str]),
}

/// Claude Code, with the terminal's cursor and with its own.
pub const CLAUDE_PROMPTS: &[Prompt] =
    &[Prompt { cursor: CursorStyle::Terminal, ..CLAUDE_DRAWN }, CLAUDE_DRAWN];

const CLAUDE_DRAWN: Prompt = Prompt {
    mark: "❯ ",
    continued: "  ",
    alone: false,
    frame: InputFrame::Lines,
    cursor: CursorStyle::Drawn,
    hint: PlaceholderHint::Faint,
    busy: &["esc to interrupt"],
};

/// The input line of Codex CLI as its pane shows it.
pub const CODEX_PROMPTS: &[Prompt] = &[Prompt {
    mark: "› ",
    continued: "  ",
    alone: false,
    frame: InputFrame::Padded,
    cursor: CursorStyle::Terminal,
    hint: PlaceholderHint::AlwaysFaint,
    busy: &[" to interrupt)", "[Image #"],
}];

/// Gemini CLI.
pub const GEMINI: &[Prompt] = &[Prompt {
    mark: "> ",
    continued: "  ",
    alone: false,
    frame: InputFrame::Box,
    cursor: CursorStyle::Drawn,
    hint: PlaceholderHint::AlwaysOneOf(&["Type your message or @path/to/file"]),
    busy: &["esc to cancel"],
}];

/// aider, in its initial mode.
pub const AIDER_PROMPTS: &[Prompt] = &[Prompt { mark: "> ", continued: "> ", ..BARE }];

/// A shell whose prompt is `$ ` alone. (In others, text before it could have been typed.)
pub const SHELL: &[Prompt] = &[Prompt { mark: "$ ", alone: false, ..BARE }];

/// An unknown client that reads lines after one of the usual marks.
pub const GENERIC_PROMPTS: &[Prompt] =
    &[Prompt { mark: "> ", ..BARE }, Prompt { mark: "❯ ", ..BARE }, Prompt { mark: "› ", ..BARE }];

const BARE: Prompt = Prompt {
    mark: "> ",
    continued: "",
    alone: true,
    frame: InputFrame::Bare,
    cursor: CursorStyle::Terminal,
    hint: PlaceholderHint::Never,
    busy: &[],
};

/// How many lines above the input are searched for the words of a working client, in addition to all lines
/// below.
const BUSY_ROWS: usize = 12;

/// How many lines our own line may occupy.
const ROWS_MAX: usize = 8;

/// The interpretation of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptReading {
    /// An empty input line of this client.
    Empty(PromptPosition),
    /// Its input line, with text in it; or a dialog that looks like one.
    Draft,
    /// No input line at the cursor.
    NoPrompt,
    /// No input line, and the cursor is hidden.
    CursorHidden,
    /// An empty input line, but the client is working or would send more.
    Busy,
}

/// The position of an empty input line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptPosition {
    /// Its client.
    pub prompt: &'static Prompt,
    /// The column and the row where one types.
    pub at: (usize, usize),
}

/// Interprets a screen of a client whose empty input line has one of these shapes.
#[must_use]
pub fn read(screen: &Screen, prompts: &'static [Prompt]) -> PromptReading {
    let mut empty: Vec<PromptPosition> = Vec::new();
    let mut draft = false;
    for prompt in prompts {
        for at in prompt.cursors(screen) {
            if prompt.is_empty_at(screen, at) {
                empty.push(PromptPosition { prompt, at });
            }
            draft |= prompt.body(screen, at.1, true).is_some();
        }
    }
    // The same place in two shapes is one place; two places are ambiguous.
    empty.dedup_by_key(|place| place.at);
    match (empty.as_slice(), draft, screen.shown) {
        ([place], ..) if place.prompt.is_busy(screen, place.at.1) => PromptReading::Busy,
        ([place], ..) => PromptReading::Empty(*place),
        (_, true, _) => PromptReading::Draft,
        (_, false, true) => PromptReading::NoPrompt,
        (_, false, false) => PromptReading::CursorHidden,
    }
}

impl Prompt {
    /// Returns whether the input is exactly this line of ASCII, with the cursor at its end.
    #[must_use]
    pub fn holds(&self, screen: &Screen, line: &str) -> bool {
        self.cursors(screen).into_iter().any(|at| {
            let firsts = at.1.saturating_sub(ROWS_MAX - 1)..=at.1;
            firsts.into_iter().any(|first| self.holds_from(screen, line, first, at))
        })
    }

    fn cursors(&self, screen: &Screen) -> Vec<(usize, usize)> {
        match self.cursor {
            CursorStyle::Terminal => screen.shown.then_some(screen.cursor).into_iter().collect(),
            CursorStyle::Drawn => screen.drawn_cursors(),
        }
    }

    fn is_empty_at(&self, screen: &Screen, (x, y): (usize, usize)) -> bool {
        let Some((start, cells)) = self.body(screen, y, true) else { return false };
        x == start && self.is_framed(screen, y, y) && self.is_hint(cells)
    }

    fn is_hint(&self, cells: &[ScreenCell]) -> bool {
        let mut seen = cells.iter().enumerate().filter(|(_, cell)| !cell.is_blank());
        // A drawn cursor is on the hint's first character.
        let apart = |(x, cell): (usize, &ScreenCell)| cell.dim || x == 0 && self.cursor == CursorStyle::Drawn;
        match self.hint {
            PlaceholderHint::Never => seen.next().is_none(),
            PlaceholderHint::Faint => seen.all(apart),
            PlaceholderHint::AlwaysFaint => {
                cells.iter().any(|cell| cell.dim && !cell.is_blank()) && seen.all(apart)
            }
            PlaceholderHint::AlwaysOneOf(texts) => {
                let there = text(cells);
                texts.contains(&there.trim_start()) && seen.all(|(x, cell)| cell.coloured || apart((x, cell)))
            }
        }
    }

    fn holds_from(&self, screen: &Screen, line: &str, first: usize, at: (usize, usize)) -> bool {
        let mut rest = line;
        let mut column = None;
        for y in first..=at.1 {
            let Some((start, cells)) = self.body(screen, y, y == first) else { return false };
            let here = text(cells);
            // Clients that wrap at words drop the space between two lines.
            let Some(after) = rest.trim_start().strip_prefix(here.trim_start()) else { return false };
            rest = after;
            column = Some(start + here.chars().count());
        }
        let end = column.map(|x| x.min(screen.row(at.1).len().saturating_sub(1)));
        rest.is_empty() && end == Some(at.0) && self.is_framed(screen, first, at.1)
    }

    /// Returns the column where the text of an input line begins, and its cells up to the frame.
    fn body<'a>(&self, screen: &'a Screen, y: usize, first: bool) -> Option<(usize, &'a [ScreenCell])> {
        let row = screen.row(y);
        let (mut start, mut end) = (0, row.len());
        if self.frame == InputFrame::Box {
            if row.first().is_some_and(|cell| is_side(*cell)) {
                start = 1;
                end = row.iter().rposition(|cell| !cell.is_blank()).filter(|x| *x > 0 && is_side(row[*x]))?;
            }
            if row.get(start).is_some_and(|cell| cell.is_blank()) {
                start += 1;
            }
        }
        for mark in if first { self.mark } else { self.continued }.chars() {
            let cell = row[..end].get(start)?;
            // A faint mark means that the input is disabled.
            let same = if mark == ' ' { cell.is_blank() } else { cell.ch == mark && !cell.dim };
            if !same || cell.inverse {
                return None;
            }
            start += 1;
        }
        Some((start, &row[start..end]))
    }

    fn is_framed(&self, screen: &Screen, first: usize, last: usize) -> bool {
        let above = first.checked_sub(1);
        let is_blank = |y: usize| screen.text(y).is_empty();
        if self.alone && above.is_some_and(|y| self.body(screen, y, true).is_some()) {
            return false;
        }
        match self.frame {
            InputFrame::Bare => (last + 1..screen.height()).all(is_blank),
            InputFrame::Padded => above.is_none_or(is_blank) && is_blank(last + 1),
            InputFrame::Lines | InputFrame::Box => {
                above.is_some_and(|y| is_rule(&screen.text(y))) && is_rule(&screen.text(last + 1))
            }
        }
    }

    fn is_busy(&self, screen: &Screen, y: usize) -> bool {
        (y.saturating_sub(BUSY_ROWS)..screen.height())
            .any(|row| self.busy.iter().any(|words| screen.text(row).contains(words)))
    }
}

fn is_side(cell: ScreenCell) -> bool {
    matches!(cell.ch, '│' | '┃' | '|')
}

/// Returns whether a rule is drawn here; some have a title.
fn is_rule(text: &str) -> bool {
    let text = text.trim();
    let line =
        |c: char| matches!(c, '─' | '━' | '═' | '▀' | '▄' | '╭' | '╮' | '╰' | '╯' | '┌' | '┐' | '└' | '┘');
    let ends = text.chars().take(2).chain(text.chars().rev().take(1));
    text.chars().count() > 3 && ends.into_iter().all(line)
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
