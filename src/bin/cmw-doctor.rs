//! `cmw-doctor`: checks the whole installation and gives a remedy for each problem.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::doctor::tool)
}
