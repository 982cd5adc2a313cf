//! `cmw-work`: creates, assigns and tracks tasks.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::work::tool)
}
