//! `cmw-freeze`: stop everything that moves branches, and let it go on.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::freeze::tool)
}
