//! Escapes text for tmux so that it stays text (docs/rules.md R10.4).
//!
//! Three parsers would interpret it: tmux's command line, where a `;` at the end of a word ends the command;
//! formats, where `#(…)` runs a program; and time formats, where `%H` is the hour.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::domain::util::sanitize::is_unsafe;

/// Returns text that a tmux format shows unchanged: `#` doubled, control and invisible characters removed.
#[must_use]
pub fn escape_format(text: &str) -> String {
    plain(text).replace('#', "##")
}

/// Escapes text for the status line, which also expands `%` as a time.
#[must_use]
pub fn escape_status(text: &str) -> String {
    escape_format(text).replace('%', "%%")
}

/// Returns text for an option that a format shows: the value is not expanded again, but drawn, and only `#[`
/// begins a style there.
#[must_use]
pub fn escape_drawn(text: &str) -> String {
    let text = plain(text);
    let mut drawn = String::with_capacity(text.len());
    let mut hashes = 0;
    for c in text.chars() {
        if c == '[' {
            drawn.extend(std::iter::repeat_n('#', hashes));
        }
        hashes = if c == '#' { hashes + 1 } else { 0 };
        drawn.push(c);
    }
    drawn
}

/// Quotes a word in a command that tmux itself parses; it must not contain a line end.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c }).filter(|c| !is_unsafe(*c)).collect()
}

/// Escapes one argument for tmux: a `;` at its end would end the command.
pub(super) fn word(word: &OsStr) -> OsString {
    let bytes = word.as_bytes();
    match bytes.split_last() {
        Some((b';', rest)) => OsString::from_vec([rest, b"\\;"].concat()),
        Some(_) | None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_shows_text_as_it_is() {
        assert_eq!(escape_format("#(touch x) #{pid} #[fg=red]"), "##(touch x) ##{pid} ##[fg=red]");
        assert_eq!(escape_format("a\nb\tc\x1b[2J\u{9b}\u{202e}ü"), "a b c[2Jü");
        assert_eq!(escape_status("100% #(x)"), "100%% ##(x)");
    }

    #[test]
    fn what_is_drawn_begins_no_style() {
        assert_eq!(escape_drawn("#[fg=red] ##[x] # ## #( [ #a["), "##[fg=red] ####[x] # ## #( [ #a[");
        assert_eq!(escape_drawn("a\n#\u{9b}[x"), "a ##[x");
        assert_eq!(quoted("it's #{x}"), "'it'\\''s #{x}'");
    }

    #[test]
    fn a_semicolon_ends_no_command() {
        let of = |text: &str| word(OsStr::new(text)).into_string().unwrap();
        assert_eq!([of(";"), of("a;"), of("a\\;"), of(";a"), of("")], ["\\;", "a\\;", "a\\\\;", ";a", ""]);
    }
}
