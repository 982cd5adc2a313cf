//! `cmw-health`: the state of the instances, as a table, as JSON, or as a live screen.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::health::tool)
}
