//! `cmw-lock`: take, give back and look at the write lock.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::lock::tool)
}
