//! `cmw-doctor`: look at everything, and say what to do about what is wrong.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::doctor::tool)
}
