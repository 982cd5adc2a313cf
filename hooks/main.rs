//! `cmw-hook`: the program that is installed under each hook's name in `<common>/cmw/hooks`.
//!
//! Git calls it under the hook's name; a person may call `cmw-hook NAME …`. Our hook decides first; then the
//! chained hook, the one that was in effect before, runs with the same arguments, environment and input.
//! `cmw-init` installs the hooks that decide something, and one for each chained hook.

#![deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod auto_lock;
mod chain;
mod claude;
mod codex;
mod context;
mod guard;
mod merge_precheck;
mod post_hooks;
mod pre_commit;
mod pre_push;
mod pre_receive;
mod reference_transaction;
mod reflog_restore;
mod taint;
mod tool_use;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use cmw::app::env::Env;

use crate::context::HookInvocation;
use crate::pre_commit::CommitStage;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let called = args.next().unwrap_or_default();
    let mut name = file_name(&called);
    let mut args: Vec<OsString> = args.collect();
    if name == "cmw-hook" {
        if args.is_empty() {
            cmw::adapters::os::stdio::write_err(
                "usage: cmw-hook HOOK [ARGUMENTS…]   (git calls it under the hook's name)\n       cmw-hook guard EVENT         (git runs it in addition to the hooks; refuses when those are not cmw's)\n       cmw-hook claude EVENT        (the client calls it, with the event on standard input)\n       cmw-hook codex JSON          (the client calls it when a turn is complete)",
            );
            return ExitCode::from(2);
        }
        name = file_name(&args.remove(0));
    }
    if name == "claude" {
        return ExitCode::from(claude::run(Env::read(cmw::adapters::os::stdio::write_err), &called, &args));
    }
    if name == "codex" {
        return ExitCode::from(codex::run(&Env::read(cmw::adapters::os::stdio::write_err), &args));
    }
    let invocation = HookInvocation::new(Env::read(cmw::adapters::os::stdio::write_err), &called);
    let guards = name == "guard" && !args.is_empty();
    if guards {
        name = file_name(&args.remove(0));
    }
    let call = chain::GitHookCall { invocation: &invocation, name: &name, args: &args };
    let ended = match name.as_str() {
        event if guards => guard::check(&invocation, event, &args).map(|()| 0),
        "pre-commit" => {
            pre_commit::commit(&invocation, CommitStage::Commit).and_then(|()| call.become_chained())
        }
        "pre-merge-commit" => {
            pre_commit::commit(&invocation, CommitStage::Merge).and_then(|()| call.become_chained())
        }
        "applypatch-msg" => {
            pre_commit::commit(&invocation, CommitStage::Patch).and_then(|()| call.become_chained())
        }
        "prepare-commit-msg" => {
            pre_commit::commit(&invocation, CommitStage::Message).and_then(|()| call.become_chained())
        }
        "pre-rebase" => pre_commit::rebase(&invocation, &args).and_then(|()| call.become_chained()),
        "pre-push" => pre_push::run(&call),
        "pre-receive" => pre_receive::run(&call),
        "post-commit" | "post-merge" | "post-rewrite" => {
            post_hooks::check(&invocation);
            call.become_chained()
        }
        "reference-transaction" => reference_transaction::run(&call),
        _ => call.become_chained(),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            context::note_refusal(&invocation, &name, &failure);
            cmw::adapters::os::stdio::write_err(&format!("cmw: {}", context::text(&invocation, &failure)));
            ExitCode::from(1)
        }
    }
}

fn file_name(path: &OsString) -> String {
    Path::new(path).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
