//! `cmw-bypass`: the person's way past the write lock in an emergency.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::bypass::tool)
}
