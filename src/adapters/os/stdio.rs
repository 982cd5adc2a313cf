//! Writing to standard output and standard error: a closed pipe is not an error.

use std::io::Write;

/// Writes a text and a line end to stdout; a reader that went away is no error of ours.
///
/// # Errors
/// As the system says, but for a closed pipe.
pub fn write_out(text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a text and a line end to stdout, for somebody who reads along; says whether anybody still does.
///
/// # Errors
/// As the system says, but for a closed pipe.
pub fn write_along(text: &str) -> std::io::Result<bool> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes bytes to stdout as they are, for a program that reads them; one that went away is no error
/// of ours.
///
/// # Errors
/// As the system says, but for a closed pipe.
pub fn write_bytes(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a text and a line end to stderr.
pub fn write_err(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{}", text.trim_end_matches('\n'));
    }
}
