//! `cmw-heartbeat`: say that an instance is there, and that it lives.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::heartbeat::tool)
}
