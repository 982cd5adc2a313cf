//! Owns what Codex says when a turn is complete (`cmw-hook codex --repo PATH JSON`): that it is idle. The
//! doorbell may ring from then on.

use std::ffi::OsString;

use cmw::app::client::payload::Said;
use cmw::app::client::{Call, Caller};
use cmw::app::env::Env;
use cmw::app::error::Failure;
use cmw::domain::health::client::Activity;
use cmw::store::health::clients;

/// Takes it in; the exit code means nothing to Codex.
pub(crate) fn run(env: &Env, args: &[OsString]) -> u8 {
    let Some((json, args)) = args.split_last() else { return 0 };
    let call = Call::parse(args);
    let _ = json.to_str().and_then(|json| Some(note(env, &call, &Said::parse(json.as_bytes())?)));
    0
}

fn note(env: &Env, call: &Call, said: &Said) -> Result<(), Failure> {
    if said.kind != "agent-turn-complete" {
        return Ok(());
    }
    let Some(caller) = Caller::of(env, call, said, "codex")? else { return Ok(()) };
    // One turn after the other ends, and each is news. Another session of the same role is no concern of a
    // bell: it looks at the pane.
    caller.becomes(&Activity::Working)?;
    if !caller.becomes(&Activity::Idle)? {
        let _lock = clients::lock(caller.context.store.disk(), &caller.role)?;
        let _ = caller.claim(Activity::Idle)?;
    }
    Ok(())
}
