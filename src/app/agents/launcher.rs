//! What is started in a pane: a program and its arguments.

use std::path::PathBuf;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// Where it is.
    pub program: PathBuf,
    /// Each as it is: no shell reads them.
    pub args: Vec<String>,
}
