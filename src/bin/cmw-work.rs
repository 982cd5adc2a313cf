//! `cmw-work`: what is to be done, by whom, and whether it is.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::work::tool)
}
