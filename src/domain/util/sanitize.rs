//! Safe text for terminals and models (docs/rules.md I14): no control, bidi or invisible characters.
//!
//! Unicode's own properties decide which characters these are: general category,
//! `Default_Ignorable_Code_Point` and `Bidi_Control`.
//!
//! Invariants (each has a test of the same name):
//! * `nothing_written_to_a_terminal_contains_control_characters`
//! * `a_command_that_is_shown_still_runs`

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// Control and format characters, line and paragraph separators, and all that Unicode says to show as nothing or
/// to use for the direction of text.
const UNSAFE: &str = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]";

static UNSAFE_RANGES: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
    let parsed = regex_syntax::parse(UNSAFE).expect("the class is well-formed");
    let HirKind::Class(Class::Unicode(class)) = parsed.kind() else {
        unreachable!("a bracketed class is a class of characters")
    };
    class.iter().map(|range| (range.start(), range.end())).collect()
});

/// Whether a character could move a cursor, change what is displayed, or be invisible.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    // The table, which is made at its first use, is not needed for most texts.
    if c < '\u{ad}' {
        return c.is_control();
    }
    if is_common(c) {
        return false;
    }
    is_in_table(c)
}

/// Letters of western languages, dashes, quotes, the ellipsis, arrows and symbols: none is unsafe.
fn is_common(c: char) -> bool {
    matches!(c, '\u{ae}'..='\u{2ff}' | '\u{2010}'..='\u{2027}' | '\u{2190}'..='\u{27bf}')
}

fn is_in_table(c: char) -> bool {
    let after = UNSAFE_RANGES.partition_point(|(start, _)| *start <= c);
    after.checked_sub(1).is_some_and(|at| c <= UNSAFE_RANGES[at].1)
}

/// Whether it only chooses how the character before it is drawn: `⚠` and the selector that gives it colours. It is
/// left out where text is shown; several of them in a row, which could carry hidden text, are escaped.
fn is_drawing(c: char, before: Option<char>) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}') && before.is_some_and(|b| !b.is_ascii() && !is_unsafe(b))
}

/// Returns one line that is safe on any terminal: unsafe characters become `\u{..}`, line ends `⏎`.
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    for c in text.trim_end_matches('\n').chars() {
        match c {
            '\n' => out.push('⏎'),
            '\t' => out.push(' '),
            c if is_drawing(c, before) => {}
            c if is_unsafe(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        before = Some(c);
    }
    out
}

/// Returns a text as it may be written to a terminal, whatever it is made of: the last step before each output.
/// Control sequences stay, which are our own colours; in a command (`next: …`) nothing unsafe stays, and what is
/// escaped there is what a shell reads as the same word.
#[must_use]
pub fn printed(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\n' | '\t' | '\u{1b}') || !is_unsafe(c);
    let is_command =
        |line: &str| line.trim_start().starts_with("next: ") || line.trim_start().starts_with("→ ");
    if text.chars().all(is_plain) && !text.contains("\u{1b}") {
        return Cow::Borrowed(text);
    }
    let shown = |part: &str| {
        if is_command(part) {
            return command(part);
        }
        let mut out = String::with_capacity(part.len());
        for c in part.chars() {
            if is_plain(c) { out.push(c) } else { out.extend(c.escape_unicode()) }
        }
        out
    };
    Cow::Owned(text.split('\n').map(shown).collect::<Vec<_>>().join("\n"))
}

/// Escapes unsafe characters between single quotes, where [`shell_quote`](crate::domain::guard::retry_command::shell_quote)
/// has put them: `'a'$'\u202e''b'` is the same word in bash and zsh.
fn command(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match u32::from(c) {
            _ if c == '\t' || !is_unsafe(c) => out.push(c),
            code @ ..=0x7f => out.push_str(&format!("'$'\\x{code:02x}''")),
            code @ ..=0xffff => out.push_str(&format!("'$'\\u{code:04x}''")),
            code => out.push_str(&format!("'$'\\U{code:08x}''")),
        }
    }
    out
}

/// Returns lines that are safe on any terminal; line ends and tabs stay.
#[must_use]
pub fn block(text: &str) -> String {
    text.split('\n')
        .map(|part| part.split('\t').map(line).collect::<Vec<_>>().join("\t"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the lines with `before` in front of each that is not empty.
#[must_use]
pub fn indented(text: &str, before: &str) -> String {
    let indent = |line: &str| if line.is_empty() { String::new() } else { format!("{before}{line}") };
    text.split('\n').map(indent).collect::<Vec<_>>().join("\n")
}

/// Returns `1 file`, `2 files`.
#[must_use]
pub fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// Returns `1 branch`, `2 branches`.
#[must_use]
pub fn branches(count: usize) -> String {
    if count == 1 { "1 branch".to_owned() } else { format!("{count} branches") }
}

/// Escapes the characters in JSON text that serde leaves as they are: C1 controls, bidi and invisible ones.
///
/// They can only stand inside strings, where `\uXXXX` means the same.
#[must_use]
pub fn ascii_safe_json(json: &str) -> String {
    if !json.chars().any(|c| is_unsafe(c) && c != '\n') {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unsafe(c) && c != '\n' {
            let mut units = [0_u16; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns at most `max` characters, the last one `…` when the text was cut.
#[must_use]
pub fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_written_to_a_terminal_contains_control_characters() {
        let hostile = "a\x1b[2Jb\u{9b}c\rd\u{202e}e\u{200b}f\x07\x7f\u{e0041}";
        assert!(!line(hostile).chars().any(is_unsafe));
        assert_eq!(line("\x1b[2J"), "\\u{1b}[2J");
        assert_eq!(block("a\n\tb\rc"), "a\n\tb\\u{d}c");
        assert_eq!(line("two\nlines\n"), "two⏎lines");
        // Bidi, zero width, soft hyphen, joiners, fillers, variation selectors, tags, deprecated formats.
        for c in "\u{202e}\u{200b}\u{ad}\u{34f}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{2065}\u{206a}\u{206f}\u{2028}\
                  \u{2029}\u{3164}\u{fe00}\u{feff}\u{ffa0}\u{fff0}\u{fffb}\u{1bca0}\u{1d173}\u{e0001}\u{e0100}\u{e01ef}\u{e0fff}"
            .chars()
        {
            assert!(is_unsafe(c), "{c:?}");
            assert_eq!(line(&format!("a{c}b")), format!("a{}b", c.escape_unicode()));
            assert_eq!(printed(&format!("a{c}b")), format!("a{}b", c.escape_unicode()));
        }
        for c in ('\u{ad}'..='\u{3000}').filter(|c| is_common(*c)) {
            assert!(!is_in_table(c), "{c:?}");
        }
        for c in "aé€ßю漢字ا🙂\u{301}\u{e000}⏎→…".chars() {
            assert!(!is_unsafe(c), "{c:?}");
        }
        assert_eq!(line("⚠\u{fe0f} x\u{fe0f} ⚠\u{fe0f}\u{fe0f}"), "⚠ x\\u{fe0f} ⚠\\u{fe0f}");
        assert_eq!(printed("\x1b[31mred\x1b[0m\nb\u{9b}"), "\x1b[31mred\x1b[0m\nb\\u{9b}");
    }

    #[test]
    fn a_command_that_is_shown_still_runs() {
        use crate::domain::guard::retry_command::shell_quote;
        let name = "a\u{202e}b'\u{200b}\x1b[2Jc\u{e0100}";
        let text = format!("refused: x\nnext: printf %s {}", shell_quote(name));
        let shown = printed(&text).into_owned();
        assert!(!shown.chars().any(|c| c != '\n' && is_unsafe(c)), "{shown:?}");
        let typed = shown.lines().last().unwrap().strip_prefix("next: ").unwrap();
        let bash =
            std::process::Command::new("bash").args(["-c", typed]).env("LC_ALL", "C.UTF-8").output().unwrap();
        assert_eq!(String::from_utf8(bash.stdout).unwrap(), name);
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::Value::String("a\u{9b}\u{202e}\u{e0041}ü".to_owned());
        let safe = ascii_safe_json(&value.to_string());
        assert!(!safe.chars().any(is_unsafe));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }

    #[test]
    fn shortening_says_so() {
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(shorten("abcd", 4), "abcd");
    }
}
