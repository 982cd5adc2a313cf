//! `cmw-hook`: the program that stands under each hook's name in `<common>/cmw/hooks`.
//!
//! Git calls it under the hook's name; a person may call `cmw-hook NAME …`. Ours decides first;
//! then the hook that was in effect before runs with the same arguments, environment and input.

#![deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod chain;
mod pre_commit;
mod reference_transaction;
mod scene;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use cmw::cli::env::Env;
use cmw::cli::failure::Failure;

use scene::House;

/// The hooks that decide something; `cmw-init` installs these, and one for each hook it chains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hook {
    PreCommit,
    ReferenceTransaction,
    /// Only there for the sake of the hook that it chains.
    Other,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    let mut name = file_name(&called);
    let mut args: Vec<OsString> = args.collect();
    if name == "cmw-hook" {
        if args.is_empty() {
            cmw::cli::output::write_err(
                "usage: cmw-hook HOOK [ARGUMENTS…]   (git calls it under the hook's name)",
            );
            return ExitCode::from(2);
        }
        name = file_name(&args.remove(0));
    }
    let house = House::new(Env::read(), &called);
    let hook = match name.as_str() {
        "pre-commit" => Hook::PreCommit,
        "reference-transaction" => Hook::ReferenceTransaction,
        _ => Hook::Other,
    };
    let stdin = match decide(hook, &house, &args) {
        Ok(stdin) => stdin,
        Err(failure) => {
            cmw::cli::output::write_err(&format!("cmw: {}", failure.text()));
            return ExitCode::from(1);
        }
    };
    chain::run(&house, &name, &args, stdin)
}

/// Ours: an error is a "no". Gives back what was read from standard input.
fn decide(hook: Hook, house: &House, args: &[OsString]) -> Result<Option<Vec<u8>>, Failure> {
    match hook {
        Hook::PreCommit => pre_commit::check(house).map(|()| None),
        Hook::ReferenceTransaction => reference_transaction::check(house, args).map(Some),
        Hook::Other => Ok(None),
    }
}

fn file_name(path: &OsString) -> String {
    Path::new(path).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
