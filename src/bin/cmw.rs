//! `cmw`: runs the tools, and shows how things stand.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::cmw::tool)
}
