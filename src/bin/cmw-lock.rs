//! `cmw-lock`: acquires, releases and shows the write lock.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::lock::tool)
}
