//! `cmw-rescue`: lists, shows and restores work that was saved when its holder lost the lock.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::rescue::tool)
}
