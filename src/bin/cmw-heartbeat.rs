//! `cmw-heartbeat`: registers an instance and sends its heartbeats.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::heartbeat::tool)
}
