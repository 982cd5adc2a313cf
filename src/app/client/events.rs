//! Answers each event of Claude Code, except for tool use, which `hooks/tool_use.rs` judges.

use std::io::Write;

use serde_json::json;

use crate::adapters::os::{clock, timezone};
use crate::domain::command::Command;
use crate::domain::health::client::{Activity, Client};
use crate::domain::health::command::HealthCommand;
use crate::domain::health::usage_limit;
use crate::domain::session::instance::InstancePhase;
use crate::domain::util::sanitize::printed;
use crate::domain::util::time::WallTime;
use crate::store::health::clients;

use crate::app::client::deliver::{DeliveryPoint, deliver_mail, deliver_mail_locked};
use crate::app::client::payload::HookPayload;
use crate::app::client::{ClientHook, idle_waker};
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::health::beat;

/// Answers an event; returns the exit code, by the client's rules.
///
/// # Errors
/// [`Failure`]: nothing was said then, and the client continues as if there were no hook.
pub fn answer(client_hook: &mut ClientHook<'_>) -> Result<u8, Failure> {
    if client_hook.payload.session.is_empty() || client_hook.payload.is_subagent {
        return Ok(0);
    }
    let event = client_hook.call.event.as_str();
    if !["SessionStart", "SessionEnd"].contains(&event) {
        client_hook.ensure_registered()?;
    }
    match event {
        "SessionStart" => return begin(client_hook).map(|()| 0),
        "wait" => return idle_waker::wait(client_hook),
        "UserPromptSubmit" => deliver_and_beat(client_hook, DeliveryPoint::Prompt)?,
        "PostToolBatch" | "PostToolUse" => deliver_and_beat(client_hook, DeliveryPoint::Turn)?,
        "Stop" => stop(client_hook)?,
        "StopFailure" => fail(client_hook)?,
        "Notification" => notified(client_hook)?,
        "SessionEnd" => end(client_hook)?,
        _ => false,
    };
    Ok(0)
}

/// Begins a session: it plays its role from now on, and is told the waiting mail.
fn begin(client_hook: &ClientHook<'_>) -> Result<(), Failure> {
    // The client also compacts its context in the middle of a turn.
    let goes_on = client_hook.payload.source == "compact";
    let known = client_hook.record()?.map(|client| client.activity);
    let activity = known.filter(|_| goes_on).unwrap_or(Activity::Idle);
    {
        // The waiter that runs at the same time must not regard the waiting mail as told in between.
        let _lock = clients::lock(client_hook.context.store.disk(), &client_hook.role)?;
        if let Err(other) = client_hook.claim(activity)? {
            print(&client_hook.call.event, &second(client_hook, &other));
            return Ok(());
        }
        deliver_mail_locked(client_hook, DeliveryPoint::Beginning, "hook", &mut |text| {
            print(&client_hook.call.event, text)
        })?;
    }
    register(client_hook)
}

/// Registers the instance as soon as its client is there.
fn register(client_hook: &ClientHook<'_>) -> Result<(), Failure> {
    let phase = client_hook.state.instances.get(&client_hook.role).map(|instance| instance.phase);
    // An instance that was to stop, and begins a session, did not stop.
    if matches!(phase, Some(InstancePhase::Starting | InstancePhase::Stopping)) {
        client_hook.context.transact(&client_hook.caller, &Command::Register)?.outcome?;
    }
    beat::record_activity(&client_hook.context, &client_hook.caller);
    client_hook.context.refresh_views();
    Ok(())
}

/// Returns the text for a second session of a role.
fn second(client_hook: &ClientHook<'_>, other: &Client) -> String {
    format!(
        "cmw: this is a second session of {}; the first one (process {}, session {}) gets its messages, and \
         none are delivered here.\n",
        client_hook.role, other.process.pid, other.session
    )
}

/// Records a sign of work and delivers mail; returns whether any was delivered.
fn deliver_and_beat(client_hook: &ClientHook<'_>, when: DeliveryPoint) -> Result<bool, Failure> {
    if !client_hook.set_activity(&Activity::Working)? {
        return Ok(false);
    }
    continue_after_stop(client_hook)?;
    beat::record_activity(&client_hook.context, &client_hook.caller);
    deliver_mail(client_hook, when, "hook", &mut |text| print(&client_hook.call.event, text))
}

/// Ends a turn, unless there is mail.
fn stop(client_hook: &ClientHook<'_>) -> Result<bool, Failure> {
    beat::record_activity(&client_hook.context, &client_hook.caller);
    let told = deliver_mail(client_hook, DeliveryPoint::Turn, "hook", &mut |text| {
        print(&client_hook.call.event, text)
    })?;
    Ok(client_hook.set_activity(if told { &Activity::Working } else { &Activity::Idle })?)
}

/// Ends a usage limit as soon as the client works.
fn continue_after_stop(client_hook: &ClientHook<'_>) -> Result<(), Failure> {
    let parked = client_hook.state.instances.get(&client_hook.role).is_some_and(|i| i.parked.is_some());
    if parked {
        client_hook
            .context
            .transact(&client_hook.caller, &Command::Care(HealthCommand::Unpark(client_hook.role.clone())))?;
    }
    Ok(())
}

/// Records a failed turn. A role that a limit stops keeps no lock meanwhile, and its work is saved
/// (docs/rules.md R8.9).
fn fail(client_hook: &ClientHook<'_>) -> Result<bool, Failure> {
    let env = client_hook.context.env;
    let activity = failure(client_hook.payload, |words| end_of_limit(words, env));
    let is_ours = client_hook.set_activity(&activity)?;
    if let Activity::LimitReached { until } = activity
        && is_ours
    {
        let park = HealthCommand::Park { role: client_hook.role.clone(), until };
        client_hook.context.transact(&client_hook.caller, &Command::Care(park))?.outcome?;
    }
    Ok(is_ours)
}

/// Ends the session. If the person ended it, the end of its process is no crash.
fn end(client_hook: &ClientHook<'_>) -> Result<bool, Failure> {
    let is_ours = client_hook.set_activity(&Activity::Ended)?;
    if is_ours && ["prompt_input_exit", "logout"].contains(&client_hook.payload.source.as_str()) {
        let stopping = HealthCommand::Stopping(vec![client_hook.role.clone()]);
        client_hook.context.transact(&client_hook.caller, &Command::Care(stopping))?.outcome?;
    }
    Ok(is_ours)
}

/// Returns the activity after a failed turn. `ends` reads the end of a limit.
fn failure(payload: &HookPayload, ends: impl Fn(&str) -> Option<WallTime>) -> Activity {
    let limited = ["rate_limit", "usage_limit"].iter().any(|kind| payload.error.contains(kind));
    if limited {
        return Activity::LimitReached {
            until: ends(&payload.message).or_else(|| ends(&payload.last_words)),
        };
    }
    Activity::Failed { error: crate::domain::util::sanitize::line(&payload.error) }
}

/// Returns the end of the limit that this text reports. The machine's time zones are read only here.
fn end_of_limit(words: &str, env: &Env) -> Option<WallTime> {
    let offset = |name: Option<&str>, at| timezone::offset(name, env.get("TZ"), at);
    usage_limit::end_of_limit(words, clock::now().wall, &offset)
}

/// Records what the client notifies its person of.
fn notified(client_hook: &ClientHook<'_>) -> Result<bool, Failure> {
    let activity = match client_hook.payload.notification.as_str() {
        "permission_prompt" => Activity::NeedsPermission,
        "elicitation_dialog" => Activity::NeedsInput,
        "idle_prompt" => Activity::Idle,
        _ => return Ok(false),
    };
    Ok(client_hook.set_activity(&activity)?)
}

/// Prints a text for the client's model; returns whether the client took it.
fn print(event: &str, text: &str) -> bool {
    let answer = json!({"hookSpecificOutput": {"hookEventName": event, "additionalContext": printed(text)}});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}").and_then(|()| out.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_from_an_error_and_its_end_is_read() {
        let ends = |words: &str| words.strip_prefix("ends ").and_then(|ms| ms.parse().ok()).map(WallTime);
        let payload = |error: &str, message: &str, last: &str| HookPayload {
            error: error.to_owned(),
            message: message.to_owned(),
            last_words: last.to_owned(),
            ..HookPayload::default()
        };
        for (error, message, last, until) in [
            ("rate_limit", "ends 7", "ends 8", Some(WallTime(7))),
            ("usage_limit", "429", "ends 8", Some(WallTime(8))),
            ("rate_limit", "try again later", "", None),
        ] {
            let told = failure(&payload(error, message, last), ends);
            assert_eq!(told, Activity::LimitReached { until }, "{message}");
        }
        let failed = failure(&payload("overloaded\u{1b}[2J", "ends 7", ""), ends);
        assert_eq!(failed, Activity::Failed { error: "overloaded\\u{1b}[2J".to_owned() });
    }
}
