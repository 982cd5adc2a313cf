//! Parses a git configuration file as git does, for the few keys that discovery needs.
//!
//! Includes are not followed: git does not follow them either when it opens a repository.

use std::collections::BTreeMap;

/// The last value of each key: `section.name`, or `section.sub.name`; section and name in lower
/// case. A key without `=` has no value, which means true.
pub(super) type IniValues = BTreeMap<String, Option<Vec<u8>>>;

/// Parses the text of a configuration file.
///
/// Returns an error with the line at which git would stop too.
pub(super) fn parse(text: &[u8]) -> Result<IniValues, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut parser = Parser { text, at: 0, line: 1 };
    let mut values = IniValues::new();
    let mut section = None;
    while let Some(byte) = parser.next() {
        match byte {
            b'#' | b';' => parser.skip_line(),
            b'[' => section = Some(parser.section()?),
            b if b.is_ascii_whitespace() => {}
            b if b.is_ascii_alphabetic() => {
                let section = section.as_ref().ok_or_else(|| parser.bad("a key before any section"))?;
                let (name, value) = parser.key(b)?;
                values.insert(format!("{section}.{name}"), value);
            }
            _ => return Err(parser.bad("an unexpected character")),
        }
    }
    Ok(values)
}

/// Returns whether a value means true, as git reads it; `None` when it is not a boolean.
pub(super) fn truth(value: Option<&[u8]>) -> Option<bool> {
    let Some(value) = value else { return Some(true) };
    match value.to_ascii_lowercase().as_slice() {
        b"true" | b"yes" | b"on" => Some(true),
        b"false" | b"no" | b"off" | b"" => Some(false),
        number => std::str::from_utf8(number).ok()?.parse::<i64>().ok().map(|n| n != 0),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Parser<'_> {
    /// Returns the next byte; `\r\n` counts as `\n`.
    fn next(&mut self) -> Option<u8> {
        let mut byte = *self.text.get(self.at)?;
        self.at += 1;
        if byte == b'\r' && self.text.get(self.at) == Some(&b'\n') {
            self.at += 1;
            byte = b'\n';
        }
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn bad(&self, why: &str) -> String {
        format!("line {}: {why}", self.line)
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|byte| byte != b'\n') {}
    }

    /// Parses `core]`, `core "Sub"]` or the old `core.sub]`, after the opening bracket.
    fn section(&mut self) -> Result<String, String> {
        let mut name = Vec::new();
        loop {
            match self.next() {
                Some(b']') if !name.is_empty() => break,
                Some(b) if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.') => {
                    name.push(b.to_ascii_lowercase());
                }
                Some(b' ' | b'\t') => {
                    name.push(b'.');
                    self.subsection(&mut name)?;
                    break;
                }
                Some(_) | None => return Err(self.bad("a section that does not end")),
            }
        }
        Ok(crate::domain::util::path_encoding::to_text(&name))
    }

    fn subsection(&mut self, name: &mut Vec<u8>) -> Result<(), String> {
        loop {
            match self.next() {
                Some(b' ' | b'\t') => {}
                Some(b'"') => break,
                Some(_) | None => return Err(self.bad("a subsection without quotes")),
            }
        }
        loop {
            match self.next() {
                Some(b'"') => break,
                Some(b'\\') => {
                    name.push(self.next().ok_or_else(|| self.bad("a subsection that does not end"))?);
                }
                Some(b'\n') | None => return Err(self.bad("a subsection that does not end")),
                Some(b) => name.push(b),
            }
        }
        if self.next() == Some(b']') { Ok(()) } else { Err(self.bad("a section that does not end")) }
    }

    fn key(&mut self, first: u8) -> Result<(String, Option<Vec<u8>>), String> {
        let mut name = String::from(char::from(first.to_ascii_lowercase()));
        let mut after = self.next();
        while let Some(b) = after
            && (b.is_ascii_alphanumeric() || b == b'-')
        {
            name.push(char::from(b.to_ascii_lowercase()));
            after = self.next();
        }
        while matches!(after, Some(b' ' | b'\t')) {
            after = self.next();
        }
        match after {
            Some(b'\n') | None => Ok((name, None)),
            Some(b'=') => Ok((name, Some(self.value()?))),
            Some(b'#' | b';') => {
                self.skip_line();
                Ok((name, None))
            }
            Some(_) => Err(self.bad("a key without '='")),
        }
    }

    /// Parses the value after `=`: quotes, escapes, comments, `\` at the end of a line; unquoted blanks at
    /// both ends are dropped.
    fn value(&mut self) -> Result<Vec<u8>, String> {
        let (mut out, mut kept, mut quoted) = (Vec::new(), 0, false);
        loop {
            let Some(byte) = self.next() else {
                if quoted {
                    return Err(self.bad("a quote that does not end"));
                }
                break;
            };
            match byte {
                b'\n' if quoted => return Err(self.bad("a quote that does not end")),
                b'\n' => break,
                b'"' => {
                    quoted = !quoted;
                    kept = out.len();
                }
                b'#' | b';' if !quoted => {
                    self.skip_line();
                    break;
                }
                b if b.is_ascii_whitespace() && !quoted => {
                    if !out.is_empty() {
                        out.push(b);
                    }
                }
                b'\\' => {
                    match self.next() {
                        Some(b'\n') => continue,
                        Some(b't') => out.push(b'\t'),
                        Some(b'n') => out.push(b'\n'),
                        Some(b'b') => out.push(8),
                        Some(b @ (b'"' | b'\\')) => out.push(b),
                        Some(_) | None => return Err(self.bad("an unknown escape")),
                    }
                    kept = out.len();
                }
                b => {
                    out.push(b);
                    kept = out.len();
                }
            }
        }
        out.truncate(kept);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Vec<u8>> {
        parse(text.as_bytes()).unwrap()["core.worktree"].clone()
    }

    #[test]
    fn values_are_read_as_git_reads_them() {
        for (text, expected) in [
            ("[core]\n\tworktree = a b \n", "a b"),
            ("[CORE]WorkTree=a", "a"),
            ("[core]\r\nworktree = a\r\n", "a"),
            ("[core]\nworktree = \" a \" # no\n", " a "),
            ("[core]\nworktree = \"a;b\";c\n", "a;b"),
            ("[core]\nworktree = a\\\\b\\\"c\\n\n", "a\\b\"c\n"),
            ("[core]\nworktree = a\\\n b\n", "a b"),
            ("[core]\nworktree = a\n[other]\nx=1\n[core]\nworktree = b", "b"),
            ("# c\n; d\n[core] ; e\nworktree = ü\n", "ü"),
            ("\u{feff}[core]\nworktree =\n", ""),
        ] {
            assert_eq!(value(text).unwrap(), expected.as_bytes(), "{text:?}");
        }
        assert_eq!(value("[core]\nworktree\n"), None);
        let both = parse(b"[a \"B\\\"c\"]\nX=1\n[a.B]\nx=2\n").unwrap();
        assert_eq!(both.keys().collect::<Vec<_>>(), ["a.B\"c.x", "a.b.x"]);
    }

    #[test]
    fn what_git_does_not_read_is_an_error() {
        for text in [
            "x=1",
            "[core",
            "[]\n",
            "[core]\nx y",
            "[core]\nx=\"a\n",
            "[core]\nx=\\q",
            "[a b]\n",
            "[core]\n=1",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn truth_is_gits() {
        for (value, expected) in
            [("true", true), ("Yes", true), ("1", true), ("-1", true), ("", false), ("0", false)]
        {
            assert_eq!(truth(Some(value.as_bytes())), Some(expected), "{value:?}");
        }
        assert_eq!((truth(None), truth(Some(b"maybe"))), (Some(true), None));
    }
}
