//! The exit codes of all programs (docs/rules.md R12.1).

use std::process::ExitCode;

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Done,
    /// Refused by the rules.
    Refused,
    /// The command line is wrong.
    Usage,
    /// Data on disk cannot be trusted.
    Damaged,
    /// Something required is missing (tmux, a session, a system service).
    Unavailable,
    /// A bug of ours.
    Bug,
    /// Busy or timed out; safe to try again.
    Busy,
    /// Not permitted for this role.
    NotPermitted,
    /// The configuration or set-up is wrong.
    Config,
    /// The exit code of the command that was run.
    Child(u8),
}

impl Exit {
    /// Returns the exit code as a number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Damaged => 65,
            Self::Unavailable => 69,
            Self::Bug => 70,
            Self::Busy => 75,
            Self::NotPermitted => 77,
            Self::Config => 78,
            Self::Child(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
