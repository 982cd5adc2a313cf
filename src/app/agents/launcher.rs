//! The command line of an agent: a program and its arguments.

use std::path::PathBuf;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// The program's path.
    pub program: PathBuf,
    /// The arguments, passed unchanged: no shell interprets them.
    pub args: Vec<String>,
}
