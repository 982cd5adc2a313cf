//! `git-cmw`: the same as `cmw`, so that git runs it as `git cmw`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cmw::cli::main(cmw::cli::cmw::tool)
}
