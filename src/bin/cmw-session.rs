//! `cmw-session`: starts, stops and shows the tmux session in which the instances run.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::session::tool)
}
