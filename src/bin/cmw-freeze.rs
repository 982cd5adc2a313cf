//! `cmw-freeze`: blocks all branch updates, and lifts the freeze.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::freeze::tool)
}
