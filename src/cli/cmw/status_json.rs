//! The JSON of `cmw` and `cmw-health`. docs/health.md documents each field.
//!
//! Invariant: `every_field_is_documented_and_every_documented_field_is_there` (tests below).

use serde_json::{Map, Value, json};

use crate::domain::freeze::break_glass;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::session::instance::Session;
use crate::domain::work::task::Task;

use crate::app::freeze::pins;
use crate::app::health::role_status::RoleStatus;
use crate::cli::cmw::status::Status;
use crate::cli::lock::show;

/// Builds the object that docs/health.md documents, field by field.
#[must_use]
pub fn data(status: &Status) -> Value {
    let (state, facts) = (&status.state, &status.facts);
    let instances: Map<String, Value> =
        status.rows.iter().map(|row| (row.role.to_string(), row_data(row))).collect();
    let frozen = match &state.system {
        FreezeState::Running => Value::Null,
        FreezeState::Frozen { by, reason, since, .. } => {
            json!({"by": by, "reason": reason, "since": since, "hard": state.pinned() > 0})
        }
    };
    let session = match &state.session {
        Session::Down => Value::Null,
        Session::Up { name, since, .. } => {
            json!({"name": name, "since": since, "up": state.session_is_up(facts)})
        }
    };
    let pending = state.tasks.values().filter(|task| task.is_pending());
    let tasks: Vec<Value> = pending.map(|task| task_data(task, status)).collect();
    json!({
        "timestamp": facts.now.wall,
        "instances": instances,
        "system_status": if state.system == FreezeState::Running { "RUNNING" } else { "FROZEN" },
        "repository": status.place,
        "mode": state.policy.mode,
        "preset": state.policy.preset,
        "session": session,
        "frozen": frozen,
        "pins": status.pins.as_ref().map(pins::PinStatus::data),
        "break_glass": break_glass::active(state, facts),
        "unguarded": status.unguarded,
        "monitor": status.monitor,
        "self_test": state.self_test,
        "violations": state.violations,
        "lock": show::lock_data(state, facts, false),
        "tasks": tasks,
        "user_unread": status.user_mail,
    })
}

/// Returns the fields of one role.
fn row_data(row: &RoleStatus) -> Value {
    json!({
        "status": row.liveness(),
        "last_heartbeat": row.last_beat,
        "pending_work": row.tasks,
        "current_task": row.task,
        "condition": row.condition,
        "for_s": row.for_ms.map(|ms| ms / 1_000),
        "kind": row.kind,
        "pane_id": row.pane,
        "beat_age_s": row.beat_age_ms.map(|ms| ms / 1_000),
        "unread": row.mail.map(|mail| mail.new),
        "holds_lock": row.holds,
        "paused": row.paused,
        "activity": row.activity.as_ref().map(|(activity, _)| activity),
        "limit_until": row.until,
        "activity_s": row.activity.as_ref().map(|(_, ms)| ms / 1_000),
        "undelivered": row.undelivered,
    })
}

/// Returns the fields of an unfinished task.
fn task_data(task: &Task, status: &Status) -> Value {
    let waits_for = task.waits_for(&status.state.tasks).into_iter().map(|id| format!("T{id}"));
    json!({
        "id": format!("T{}", task.id),
        "title": task.title,
        "status": task.status,
        "assignee": task.assignee,
        "wanted_by": task.wanted_by,
        "priority": task.priority,
        "waits_for": waits_for.collect::<Vec<String>>(),
        "since": task.since,
        "blocked": task.blocked,
    })
}

#[cfg(test)]
#[path = "status_json_tests.rs"]
mod tests;
