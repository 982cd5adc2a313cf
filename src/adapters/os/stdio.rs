//! Writing to standard output and standard error: a closed pipe is not an error.

use std::io::Write;

use crate::domain::util::sanitize::printed;

/// Writes a text and a line end to stdout; a closed pipe is not an error.
///
/// # Errors
/// The system's error, except for a closed pipe.
pub fn write_out(text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", printed(text.trim_end_matches('\n'))).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a text and a line end to stdout, for a continuous reader; returns whether the pipe is still open.
///
/// # Errors
/// The system's error, except for a closed pipe.
pub fn write_followed_line(text: &str) -> std::io::Result<bool> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", printed(text.trim_end_matches('\n'))).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes raw bytes to stdout, for a program that reads them; a closed pipe is not an error.
///
/// # Errors
/// The system's error, except for a closed pipe.
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
        let _ = writeln!(std::io::stderr(), "{}", printed(text.trim_end_matches('\n')));
    }
}
