//! `cmw-commit`: commits exactly the named files, under the write lock.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::commit::tool)
}
