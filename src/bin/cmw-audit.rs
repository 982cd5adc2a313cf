//! `cmw-audit`: look back at what happened.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::audit::tool)
}
