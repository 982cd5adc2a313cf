//! `cmw`: runs the tools, and shows the status of the whole system.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::cmw::tool)
}
