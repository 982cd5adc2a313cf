//! `cmw-bypass`: emergency override of the write lock, for the User only.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::bypass::tool)
}
