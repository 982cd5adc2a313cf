//! Reads the body of a message from the command line, a file, or stdin.
//!
//! Reads at most the largest body and one byte, so a wrong file name costs no memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::domain::mail::message::BODY_BYTES_MAX;

use crate::app::error::Failure;
use crate::app::exit::Exit;

/// The most that is read, in bytes: one more than is allowed.
const READ_BYTES_MAX: u64 = BODY_BYTES_MAX as u64 + 1;

/// Returns the body, exactly as given; empty if there is none.
///
/// # Errors
/// [`Failure`]: two sources, not UTF-8, too large (exit 2), or a read error (exit 69).
pub fn read(argument: Option<&str>, file: Option<&Path>) -> Result<String, Failure> {
    match (argument, file) {
        (Some(_), Some(_)) => Err(Failure::with_next_step(
            Exit::Usage,
            "the body is given twice: as an argument and by --file",
            "omit one of them",
        )),
        (Some("-"), None) => from("stdin", io::stdin().lock()),
        (Some(text), None) => Ok(text.to_owned()),
        (None, Some(path)) => {
            let name = format!("{:?}", path.display().to_string());
            let file = File::open(path).map_err(|e| unreadable(&name, &e))?;
            from(&name, file)
        }
        (None, None) => Ok(String::new()),
    }
}

fn from(name: &str, source: impl Read) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    source.take(READ_BYTES_MAX).read_to_end(&mut bytes).map_err(|e| unreadable(name, &e))?;
    if bytes.len() > BODY_BYTES_MAX {
        let what = format!("{name} has more than {BODY_BYTES_MAX} bytes, the limit of a message");
        return Err(Failure::with_next_step(Exit::Usage, what, "put it in a file, and send the file's name"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let what = format!("{name} is not text: byte {at} is not UTF-8");
        Failure::with_next_step(
            Exit::Usage,
            what,
            "send the name of the file, or encode it: base64 FILE | cmw-send TO -",
        )
    })
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::with_next_step(Exit::Unavailable, format!("cannot read {name}: {error}"), "ls -l")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_one_byte_too_many_is_read() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(b'x');
                self.0 += buffer.len() as u64;
                assert!(self.0 <= 2 * READ_BYTES_MAX, "it reads on and on");
                Ok(buffer.len())
            }
        }
        let error = from("it", Endless(0)).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        let most = "x".repeat(BODY_BYTES_MAX);
        assert_eq!(from("it", most.as_bytes()).unwrap(), most);
    }

    #[test]
    fn what_is_no_text_is_refused_and_line_ends_stay() {
        assert_eq!(from("it", &b"ab\xff"[..]).unwrap_err().exit(), Exit::Usage);
        assert_eq!(from("it", &b"a\r\n\n"[..]).unwrap(), "a\r\n\n");
        assert_eq!(read(Some("a"), Some(Path::new("b"))).unwrap_err().exit(), Exit::Usage);
        assert_eq!(read(None, None).unwrap(), "");
        assert_eq!(read(None, Some(Path::new("/"))).unwrap_err().exit(), Exit::Unavailable);
    }
}
