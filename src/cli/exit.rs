//! Owns the exit codes: one law for the whole suite (DESIGN section 5).

use std::process::ExitCode;

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// The rules say no.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Data on disk cannot be trusted.
    Damaged = 65,
    /// Something that is needed is not there (tmux, a session, the system).
    Unavailable = 69,
    /// A bug of ours.
    Bug = 70,
    /// Busy or timed out; safe to try again.
    Busy = 75,
    /// Not permitted for this role.
    NotPermitted = 77,
    /// The configuration or set-up is wrong.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
