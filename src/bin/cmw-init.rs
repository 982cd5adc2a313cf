//! `cmw-init`: sets up cmw in a repository, applies changed configuration, and uninstalls.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::init::tool)
}
