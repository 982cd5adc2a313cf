//! Suggested commands: quoted for a shell, and commits of one's own files.

use crate::domain::util::sanitize;

/// The longest line that is suggested, in bytes.
pub const LINE_BYTES_MAX: usize = 240;

/// Returns the command that commits exactly these files (by their paths from the root), typed in the
/// directory with this prefix; `None` when it would be too long or a shell would read it differently.
#[must_use]
pub fn commit_only(message: Option<&str>, files: &[String], prefix: &str) -> Option<String> {
    let odd = |text: &str| sanitize::line(text) != text || text.contains('\u{fffd}');
    let message = message.unwrap_or("what was done");
    if odd(message) || files.iter().any(|file| odd(file)) {
        return None;
    }
    let special = |file: &str| file.starts_with(['-', ':']) || file.contains(['*', '?', '[', '\\']);
    let path = |file: &String| {
        shell_quote(&match (prefix.is_empty(), special(file)) {
            (true, false) => file.clone(),
            (_, true) => format!(":(top,literal){file}"),
            (false, false) => format!(":(top){file}"),
        })
    };
    let files: Vec<String> = files.iter().map(path).collect();
    let line = format!("cmw-commit -m {} -- {}", shell_quote(message), files.join(" "));
    (line.len() <= LINE_BYTES_MAX).then_some(line)
}

/// Returns a word quoted for a POSIX shell.
#[must_use]
pub fn shell_quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./,:@+%~^=".contains(&b);
    // At the beginning of a word a tilde means a home directory.
    if !word.is_empty() && word.bytes().all(plain) && !word.starts_with(['~', '=']) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
