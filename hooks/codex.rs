//! `cmw-hook codex --repo PATH JSON`, called by Codex when a turn is complete: the client is idle, and the
//! doorbell may ring.

use std::ffi::OsString;

use cmw::app::client::payload::HookPayload;
use cmw::app::client::{ClientHook, HookArgs};
use cmw::app::env::Env;
use cmw::app::error::Failure;
use cmw::domain::health::client::Activity;
use cmw::store::health::clients;

/// Records the event; Codex ignores the exit code.
pub(crate) fn run(env: &Env, args: &[OsString]) -> u8 {
    let Some((json, args)) = args.split_last() else { return 0 };
    let call = HookArgs::parse(args);
    let _ = json.to_str().and_then(|json| Some(note(env, &call, &HookPayload::parse(json.as_bytes())?)));
    0
}

fn note(env: &Env, call: &HookArgs, payload: &HookPayload) -> Result<(), Failure> {
    if payload.kind != "agent-turn-complete" {
        return Ok(());
    }
    let Some(client_hook) = ClientHook::of(env, call, payload, "codex")? else { return Ok(()) };
    // Each completed turn is recorded as a change. Another session of the same role does not matter to the
    // doorbell, which looks at the pane.
    client_hook.set_activity(&Activity::Working)?;
    if !client_hook.set_activity(&Activity::Idle)? {
        let _lock = clients::lock(client_hook.context.store.disk(), &client_hook.role)?;
        let _ = client_hook.claim(Activity::Idle)?;
    }
    Ok(())
}
