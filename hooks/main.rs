//! `cmw-hook`: the program that stands under each hook's name in `<common>/cmw/hooks`.
//!
//! Git calls it under the hook's name; a person may call `cmw-hook NAME …`. Ours decides first;
//! then the hook that was in effect before runs with the same arguments, environment and input.
//! `cmw-init` installs the hooks that decide something, and one for each hook that is chained.

#![deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod auto;
mod chain;
mod claude;
mod pre_commit;
mod reference_transaction;
mod scene;
mod taint;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use cmw::cli::env::Env;

use scene::House;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    let mut name = file_name(&called);
    let mut args: Vec<OsString> = args.collect();
    if name == "cmw-hook" {
        if args.is_empty() {
            cmw::cli::output::write_err(
                "usage: cmw-hook HOOK [ARGUMENTS…]   (git calls it under the hook's name)\n       cmw-hook claude EVENT        (the client calls it; what happened stands on its input)",
            );
            return ExitCode::from(2);
        }
        name = file_name(&args.remove(0));
    }
    if name == "claude" {
        let event = args.first().map(file_name).unwrap_or_default();
        return ExitCode::from(claude::run(Env::read(), &called, &event));
    }
    let house = House::new(Env::read(), &called);
    let call = chain::Call { house: &house, name: &name, args: &args };
    let ended = match name.as_str() {
        "pre-commit" => pre_commit::check(&house).and_then(|()| call.become_chained()),
        "reference-transaction" => reference_transaction::run(&call),
        _ => call.become_chained(),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            scene::note_refusal(&house, &name, &failure);
            cmw::cli::output::write_err(&format!("cmw: {}", scene::text(&house, &failure)));
            ExitCode::from(1)
        }
    }
}

fn file_name(path: &OsString) -> String {
    Path::new(path).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
