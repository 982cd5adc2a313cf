//! Parses what a pane shows: the lines of `capture-pane -e`, cell by cell, with the few attributes that tell
//! typed text from a hint.
//!
//! Invariant: an unknown sequence becomes a cell that matches no prompt, never an empty one.

/// Replaces a character or sequence that was not understood.
const UNKNOWN: char = '\u{fffd}';

/// One character on the screen. (A wide character is one cell here: none is left of a relevant cursor.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenCell {
    /// The character.
    pub ch: char,
    /// Whether it is faint.
    pub dim: bool,
    /// Whether it is inverse, as programs draw a cursor of their own.
    pub inverse: bool,
    /// Whether it has a colour of its own.
    pub coloured: bool,
}

impl ScreenCell {
    const BLANK: Self = Self { ch: ' ', dim: false, inverse: false, coloured: false };

    /// Returns whether it looks blank. Some clients draw their prompt with a no-break space.
    #[must_use]
    pub fn is_blank(self) -> bool {
        matches!(self.ch, ' ' | '\u{a0}')
    }
}

/// The content of a pane, and its cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    rows: Vec<Vec<ScreenCell>>,
    /// The column and the row of the terminal's cursor, from 0.
    pub cursor: (usize, usize),
    /// Whether that cursor is shown.
    pub shown: bool,
}

impl Screen {
    /// Parses the output of `capture-pane -p -e` for a pane of this width.
    #[must_use]
    pub fn parse(captured: &str, width: usize, cursor: (usize, usize), shown: bool) -> Self {
        let mut pen = TextAttributes::default();
        let text = captured.strip_suffix('\n').unwrap_or(captured);
        let rows = text.split('\n').map(|line| pen.row(line, width)).collect();
        Self { rows, cursor, shown }
    }

    /// Returns a line; empty after the last one.
    #[must_use]
    pub fn row(&self, y: usize) -> &[ScreenCell] {
        self.rows.get(y).map_or(&[], Vec::as_slice)
    }

    /// Returns the number of lines.
    #[must_use]
    pub fn height(&self) -> usize {
        self.rows.len()
    }

    /// Returns the characters of a line, without trailing blanks.
    #[must_use]
    pub fn text(&self, y: usize) -> String {
        text(self.row(y))
    }

    /// Returns the inverse cells between cells that are not, as column and row: cursors drawn by programs,
    /// and perhaps other cells.
    #[must_use]
    pub fn drawn_cursors(&self) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (y, row) in self.rows.iter().enumerate() {
            let inverse = |x: usize| row.get(x).is_some_and(|cell| cell.inverse);
            let alone = |x: &usize| inverse(*x) && !inverse(x + 1) && (*x == 0 || !inverse(x - 1));
            found.extend((0..row.len()).filter(alone).map(|x| (x, y)));
        }
        found
    }
}

/// Returns the characters of cells, without trailing blanks.
#[must_use]
pub(crate) fn text(cells: &[ScreenCell]) -> String {
    let all: String = cells.iter().map(|cell| if cell.is_blank() { ' ' } else { cell.ch }).collect();
    all.trim_end().to_owned()
}

/// The current attributes, which continue after the end of a line.
#[derive(Default)]
struct TextAttributes {
    dim: bool,
    inverse: bool,
    coloured: bool,
    /// Whether the line-drawing character set is active.
    lines: bool,
}

impl TextAttributes {
    fn cell(&self, ch: char) -> ScreenCell {
        ScreenCell { ch, dim: self.dim, inverse: self.inverse, coloured: self.coloured }
    }

    fn row(&mut self, line: &str, width: usize) -> Vec<ScreenCell> {
        let mut cells = Vec::with_capacity(width);
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            match c {
                '\x1b' => self.escape(&mut rest, &mut cells),
                '\x0e' => self.lines = true,
                '\x0f' => self.lines = false,
                c if self.lines => cells.push(self.cell(boxed(c))),
                c if c.is_control() => cells.push(self.cell(UNKNOWN)),
                c => cells.push(self.cell(c)),
            }
        }
        // Trailing blanks are left out with their attributes: a cursor may be among them.
        if self.inverse && cells.len() < width {
            cells.push(self.cell(' '));
        }
        cells.resize(cells.len().max(width), ScreenCell::BLANK);
        cells
    }

    /// Parses an escape sequence: attributes, the end of a link, or an unknown one.
    fn escape(&mut self, rest: &mut std::str::Chars<'_>, cells: &mut Vec<ScreenCell>) {
        let body = rest.as_str();
        let end = match body.as_bytes().first() {
            Some(b'[') => {
                body.find(|c: char| c.is_ascii_alphabetic()).filter(|at| body[*at..].starts_with('m'))
            }
            Some(b']') => body.find("\x1b\\").map(|at| at + 1),
            Some(_) | None => None,
        };
        let Some(end) = end else {
            cells.push(self.cell(UNKNOWN));
            return;
        };
        if body.starts_with('[') {
            self.attributes(&body[1..end]);
        }
        *rest = body[end + 1..].chars();
    }

    fn attributes(&mut self, list: &str) {
        let mut numbers = list.split(';');
        while let Some(number) = numbers.next() {
            let (first, all) = number.split_once(':').map_or((number, false), |(first, _)| (first, true));
            match first {
                "" | "0" => *self = Self { lines: self.lines, ..Self::default() },
                "2" => self.dim = true,
                "22" => self.dim = false,
                "7" => self.inverse = true,
                "27" => self.inverse = false,
                "39" => self.coloured = false,
                "38" | "48" | "58" => {
                    if !all {
                        let more = if numbers.next() == Some("5") { 1 } else { 3 };
                        numbers.by_ref().take(more).for_each(drop);
                    }
                    self.coloured |= first == "38";
                }
                other => {
                    self.coloured |= (other.starts_with('3') || other.starts_with('9')) && other.len() == 2;
                }
            }
        }
    }
}

/// Returns the line that a letter means in the line-drawing character set.
fn boxed(letter: char) -> char {
    match letter {
        'x' => '│',
        'q' => '─',
        'l' => '┌',
        'k' => '┐',
        'm' => '└',
        'j' => '┘',
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(captured: &str) -> Screen {
        Screen::parse(captured, 10, (0, 0), true)
    }

    #[test]
    fn attributes_are_read_and_last_beyond_a_line() {
        let seen = screen(
            "a\x1b[0;1;2mb\nc\x1b[22md\x1b[38;5;246me\x1b[38:2::1:2:3;48;2;7;7;7mf\x1b[39mg\x1b[0mh\n",
        );
        let of = |y: usize, x: usize| {
            let cell = seen.row(y)[x];
            (cell.ch, cell.dim, cell.inverse, cell.coloured)
        };
        assert_eq!([of(0, 0), of(0, 1)], [('a', false, false, false), ('b', true, false, false)]);
        assert_eq!([of(1, 0), of(1, 1)], [('c', true, false, false), ('d', false, false, false)]);
        assert_eq!([of(1, 2), of(1, 3)], [('e', false, false, true), ('f', false, false, true)]);
        assert_eq!([of(1, 4), of(1, 5)], [('g', false, false, false), ('h', false, false, false)]);
        assert_eq!((seen.height(), seen.row(0).len(), seen.row(9).len()), (2, 10, 0));
    }

    #[test]
    fn a_drawn_cursor_stands_alone() {
        let seen = screen("> \x1b[7m \x1b[0m hint\n\x1b[7mstatus bar\x1b[0m\n> x\x1b[7m\n\x1b[0mend\n");
        assert_eq!(seen.drawn_cursors(), [(2, 0), (3, 2)]);
    }

    #[test]
    fn what_is_not_understood_is_no_blank() {
        for odd in ["\x1b[3J", "\x1b", "\x1bP", "\x07", "\x1b]8;;http://x", "\x0ea\x0f"] {
            assert_eq!(screen(odd).row(0)[0].ch, UNKNOWN, "{odd:?}");
        }
        assert_eq!(screen("\x1b]8;;http://x\x1b\\a\x1b]8;;\x1b\\b \x0eqx\x0f").text(0), "ab ─│");
        assert_eq!(screen("❯\u{a0}").text(0), "❯");
    }
}
