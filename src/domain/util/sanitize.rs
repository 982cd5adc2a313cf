//! Safe text for terminals (docs/rules.md I14): no control, bidi or invisible characters.

/// Whether a character could move a cursor, change what is displayed, or be invisible.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{fff9}'..='\u{fffb}' | '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{180e}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Returns one line that is safe on any terminal: unsafe characters become `\u{..}`, line ends `⏎`.
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end_matches('\n').chars() {
        match c {
            '\n' => out.push('⏎'),
            '\t' => out.push(' '),
            c if is_unsafe(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
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
