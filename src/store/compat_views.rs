//! Writes the views `locks/write-lock.json` and `instance-registry.json` (docs/rules.md R9.4).
//!
//! The views are derived and never read by cmw. They have a lock of their own and are always rebuilt from the
//! current document and the beats, never from an older copy (docs/decisions.md D11).

use serde_json::{Map, Value, json};

use crate::domain::facts::Facts;
use crate::domain::lock::lease::expiry_at;
use crate::domain::lock::queue;
use crate::domain::state::State;
use crate::domain::util::sanitize::ascii_safe_json;
use crate::domain::work::task;

use crate::store::disk::Disk;
use crate::store::document::Document;
use crate::store::error::StoreError;
use crate::store::health::heartbeats;
use crate::store::layout;

/// Rebuilds both views. A view that cannot be written is left as it is: nothing depends on it.
///
/// # Errors
/// [`StoreError`] of reading the document; writing is best effort.
pub fn refresh<D: Disk>(disk: &D, facts: &dyn Fn(&State) -> Facts) -> Result<(), StoreError> {
    let Ok(_lock) = crate::store::gate::take(disk, layout::VIEWS_LOCK, 1_000) else { return Ok(()) };
    let state = Document::load(disk)?.state;
    let facts = facts(&state);
    replace(disk, layout::LOCK_VIEW, &lock_view(&state, &facts));
    replace(disk, layout::REGISTRY_VIEW, &registry_view(disk, &state));
    Ok(())
}

fn replace<D: Disk>(disk: &D, file: &str, value: &Value) {
    let pretty = serde_json::to_string_pretty(value).expect("a value prints");
    let bytes = format!("{}\n", ascii_safe_json(&pretty)).into_bytes();
    if disk.read(file, 4 << 20).is_ok_and(|old| old.as_ref() == Some(&bytes)) {
        return;
    }
    let tmp = format!("{file}.tmp");
    // A view that cannot be written is no error: the next command writes it again.
    let _ =
        disk.remove(&tmp).and_then(|()| disk.create_new(&tmp, &bytes)).and_then(|()| disk.rename(&tmp, file));
}

/// Returns `{current_lock, queue}`, with the field names that scripts read (docs/decisions.md S14).
fn lock_view(state: &State, facts: &Facts) -> Value {
    let current = state.held().map(|held| {
        json!({
            "lock_id": held.lock_id(),
            "fencing_token": held.token,
            "holder": held.holder,
            "purpose": held.request.purpose,
            "files": held.request.files,
            "claimed_loc": held.request.loc,
            "priority": held.request.priority,
            "estimated_time": held.request.estimate_ms.map(|ms| ms / 1_000),
            "granted_at": held.granted_at,
            "expires_at": expiry_at(held, state, facts),
        })
    });
    let waiter = |(i, w): (usize, &crate::domain::lock::request::Waiter)| {
        json!({
            "position": i + 1,
            "requester": w.actor,
            "ticket": w.ticket,
            "files": w.request.files,
            "purpose": w.request.purpose,
            "priority": w.request.priority,
            "estimated_time": w.request.estimate_ms.map(|ms| ms / 1_000),
            "requested_at": w.requested_at,
            "waiting": queue::is_calling(w, facts),
        })
    };
    let queue: Vec<Value> = state.queue.iter().enumerate().map(waiter).collect();
    json!({"current_lock": current, "queue": queue})
}

/// Returns `{instances, last_heartbeat}`.
fn registry_view<D: Disk>(disk: &D, state: &State) -> Value {
    let mut beats_by_role = Map::new();
    let mut instances = Vec::new();
    for (role, instance) in &state.instances {
        let beat = heartbeats::read(disk, role).ok().flatten();
        if let Some(beat) = &beat {
            beats_by_role.insert(role.to_string(), json!(beat.at));
        }
        instances.push(json!({
            "role": role,
            "kind": state.policy.roster.kind(role),
            "pane": instance.pane,
            "pane_id": instance.pane_id,
            "pid": instance.process.pid,
            "status": instance.phase,
            "registered_at": instance.since,
            "current_task": task::current(&state.tasks, role)
                .map(|task| task.title.clone())
                .or_else(|| beat.and_then(|b| b.task)),
        }));
    }
    json!({"instances": instances, "last_heartbeat": beats_by_role})
}
