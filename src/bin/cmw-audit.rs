//! `cmw-audit`: reads the audit log, verifies it, and lists and adopts violations.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::audit::tool)
}
