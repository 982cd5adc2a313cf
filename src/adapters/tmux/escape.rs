//! Owns how text is given to tmux so that it stays text (DESIGN section 6).
//!
//! Three readers would take it for something else: the command line of tmux, which ends a command
//! at a `;` that ends a word; formats, where `#(…)` runs a program; and times, where `%H` is the
//! hour.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::domain::util::sanitize::is_unsafe;

/// Text that a tmux format shows as it is: `#` doubled, control and invisible characters gone.
#[must_use]
pub fn escape_format(text: &str) -> String {
    plain(text).replace('#', "##")
}

/// The same for the status line, which also reads `%` as a time.
#[must_use]
pub fn escape_status(text: &str) -> String {
    escape_format(text).replace('%', "%%")
}

/// Text as the value of an option that a format shows: it is not expanded any more, but drawn, and only
/// there `#[` begins a style.
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

/// A word within a command that tmux itself parses; it must hold no line end.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c }).filter(|c| !is_unsafe(*c)).collect()
}

/// One word of a command, given to tmux as one argument: a `;` at its end would end the command.
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
