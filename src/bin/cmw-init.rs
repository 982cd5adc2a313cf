//! `cmw-init`: set up cmw in a repository, apply changed configuration, uninstall.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::init::tool)
}
