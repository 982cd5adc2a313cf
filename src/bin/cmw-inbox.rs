//! `cmw-inbox`: read, acknowledge and look back at messages.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::inbox::tool)
}
