//! `cmw-demo-agent`: an agent without a language model, to see the system at work.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::demo_agent::tool)
}
