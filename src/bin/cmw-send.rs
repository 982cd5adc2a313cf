//! `cmw-send`: sends a message and prints its id.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::send::tool)
}
