//! `cmw-demo-agent`: a scripted agent without a language model, to demonstrate the system.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::demo_agent::tool)
}
