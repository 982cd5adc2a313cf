//! The usual case of a client's hook: there is nothing to say. Decided by a few small reads, without looking
//! for the repository or reading the state, because a hook runs at each use of a tool.
//!
//! The caller was identified when its session began: the record names that very process. Any other case is
//! left to the full path.

use std::path::Path;

use crate::adapters::os::{clock, process};
use crate::domain::health::client::Activity;
use crate::domain::identity::role::Role;
use crate::store::disk::RealDisk;
use crate::store::health::{clients, heartbeats};
use crate::store::mail::registry::Registry;

use crate::app::client::HookArgs;
use crate::app::client::payload::HookPayload;
use crate::app::env::Env;

/// How old the last sign of work may be, in milliseconds: a lease lasts minutes.
const SIGN_MS: u64 = 10_000;

/// Returns whether nothing has changed since the client's last event: no new message, the same work.
#[must_use]
pub fn nothing_to_do(env: &Env, call: &HookArgs, payload: &HookPayload) -> bool {
    let only_goes_on = call.event == "PostToolBatch" || call.event == "PostToolUse" && !payload.is_edit();
    let common_dir = call.common_dir.as_deref().filter(|_| only_goes_on && !payload.is_subagent);
    common_dir.and_then(|dir| is_as_usual(dir, env.get("CLAUDE_ROLE")?, payload)).unwrap_or(false)
}

fn is_as_usual(common_dir: &Path, role: &str, payload: &HookPayload) -> Option<bool> {
    let role = Role::parse(role).ok()?;
    let disk = RealDisk::open(common_dir).ok()?;
    let client = clients::read(&disk, &role).ok()??;
    let parent = process::identify(process::parent_id())?;
    let is_it = client.session == payload.session && client.process == parent;
    if !is_it || client.activity != Activity::Working || !client.ahead.is_empty() {
        return Some(false);
    }
    let beat = heartbeats::read(&disk, &role).ok()??;
    if clock::now().boot.ms_since(&beat.active) > SIGN_MS {
        return Some(false);
    }
    Some(Registry::new(&disk, clock::boot_id()).last_seq().ok()? <= client.told)
}
