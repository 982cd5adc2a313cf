//! `cmw-health`: how the instances are, as a table, as JSON, or as a screen that follows.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::health::tool)
}
