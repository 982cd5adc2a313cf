//! `cmw-inbox`: lists, shows and acknowledges messages.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::inbox::tool)
}
