//! Owns what each event of Claude Code means for us, but for what a tool may do, which git's own hooks help
//! to decide.

use std::io::Write;

use serde_json::json;

use crate::adapters::os::{clock, timezone};
use crate::domain::command::Command;
use crate::domain::health::client::{Activity, Client};
use crate::domain::health::command::Care;
use crate::domain::health::usage_limit;
use crate::domain::session::instance::Phase;
use crate::domain::util::time::Wall;
use crate::store::health::clients;

use crate::app::client::deliver::{When, tell, tell_locked};
use crate::app::client::payload::Said;
use crate::app::client::{Caller, idle_waker};
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::health::beat;

/// Answers an event; gives the exit code, by the client's rules.
///
/// # Errors
/// [`Failure`]: then nothing was said, and the client goes on as if there were no hook.
pub fn answer(caller: &mut Caller<'_>) -> Result<u8, Failure> {
    if caller.said.session.is_empty() || caller.said.is_subagent {
        return Ok(0);
    }
    let event = caller.call.event.as_str();
    if !["SessionStart", "SessionEnd"].contains(&event) {
        caller.be_known()?;
    }
    match event {
        "SessionStart" => return begin(caller).map(|()| 0),
        "wait" => return idle_waker::wait(caller),
        "UserPromptSubmit" => speak(caller, When::Prompt)?,
        "PostToolBatch" | "PostToolUse" => speak(caller, When::Turn)?,
        "Stop" => stop(caller)?,
        "StopFailure" => fail(caller)?,
        "Notification" => notified(caller)?,
        "SessionEnd" => end(caller)?,
        _ => false,
    };
    Ok(0)
}

/// A session begins: it plays its role from now on, and is told what waits.
fn begin(caller: &Caller<'_>) -> Result<(), Failure> {
    // The client makes room in the middle of a turn too.
    let goes_on = caller.said.source == "compact";
    let known = caller.known()?.map(|client| client.activity);
    let activity = known.filter(|_| goes_on).unwrap_or(Activity::Idle);
    {
        // The waiter beside this hook must not take what waits for told in between.
        let _lock = clients::lock(caller.context.store.disk(), &caller.role)?;
        if let Err(other) = caller.claim(activity)? {
            print(&caller.call.event, &second(caller, &other));
            return Ok(());
        }
        tell_locked(caller, When::Beginning, "hook", &mut |text| print(&caller.call.event, text))?;
    }
    register(caller)
}

/// The instance is there as soon as its client is.
fn register(caller: &Caller<'_>) -> Result<(), Failure> {
    let phase = caller.state.instances.get(&caller.role).map(|instance| instance.phase);
    // Somebody who wanted to leave did not.
    if matches!(phase, Some(Phase::Starting | Phase::Stopping)) {
        caller.context.transact(&caller.asker, &Command::Register)?.outcome?;
    }
    beat::sign_of_work(&caller.context, &caller.asker);
    caller.context.refresh_views();
    Ok(())
}

/// What a second session of a role is told.
fn second(caller: &Caller<'_>, other: &Client) -> String {
    format!(
        "cmw: this is a second session of {}; the first one (process {}, session {}) gets its messages, and \
         none are delivered here.\n",
        caller.role, other.process.pid, other.session
    )
}

/// A sign of work, and the mail beside it; says whether anything was told.
fn speak(caller: &Caller<'_>, when: When) -> Result<bool, Failure> {
    if !caller.becomes(&Activity::Working)? {
        return Ok(false);
    }
    goes_on(caller)?;
    beat::sign_of_work(&caller.context, &caller.asker);
    tell(caller, when, "hook", &mut |text| print(&caller.call.event, text))
}

/// A turn is over, unless there is mail.
fn stop(caller: &Caller<'_>) -> Result<bool, Failure> {
    beat::sign_of_work(&caller.context, &caller.asker);
    let told = tell(caller, When::Turn, "hook", &mut |text| print(&caller.call.event, text))?;
    Ok(caller.becomes(if told { &Activity::Working } else { &Activity::Idle })?)
}

/// A limit is over as soon as its client works.
fn goes_on(caller: &Caller<'_>) -> Result<(), Failure> {
    let parked = caller.state.instances.get(&caller.role).is_some_and(|i| i.parked.is_some());
    if parked {
        caller.context.transact(&caller.asker, &Command::Care(Care::Unpark(caller.role.clone())))?;
    }
    Ok(())
}

/// A turn has failed. Whom a limit stops keeps no lock meanwhile, and its work is saved (DOMAIN section 8).
fn fail(caller: &Caller<'_>) -> Result<bool, Failure> {
    let env = caller.context.env;
    let activity = failure(caller.said, |words| end_of_limit(words, env));
    let is_ours = caller.becomes(&activity)?;
    if let Activity::LimitReached { until } = activity
        && is_ours
    {
        let park = Care::Park { role: caller.role.clone(), until };
        caller.context.transact(&caller.asker, &Command::Care(park))?.outcome?;
    }
    Ok(is_ours)
}

/// The session is over. When its person ended it, the end of its process is no crash.
fn end(caller: &Caller<'_>) -> Result<bool, Failure> {
    let is_ours = caller.becomes(&Activity::Ended)?;
    if is_ours && ["prompt_input_exit", "logout"].contains(&caller.said.source.as_str()) {
        let stopping = Care::Stopping(vec![caller.role.clone()]);
        caller.context.transact(&caller.asker, &Command::Care(stopping))?.outcome?;
    }
    Ok(is_ours)
}

/// What a failed turn means. `ends` reads when a limit is over.
fn failure(said: &Said, ends: impl Fn(&str) -> Option<Wall>) -> Activity {
    let limited = ["rate_limit", "usage_limit"].iter().any(|kind| said.error.contains(kind));
    if limited {
        return Activity::LimitReached { until: ends(&said.message).or_else(|| ends(&said.last_words)) };
    }
    Activity::Failed { error: crate::domain::util::sanitize::line(&said.error) }
}

/// When the limit is over that these words tell of, by the machine's zones; only here are they read.
fn end_of_limit(words: &str, env: &Env) -> Option<Wall> {
    let offset = |name: Option<&str>, at| timezone::offset(name, env.get("TZ"), at);
    usage_limit::end_of_limit(words, clock::now().wall, &offset)
}

/// What the client tells its person.
fn notified(caller: &Caller<'_>) -> Result<bool, Failure> {
    let activity = match caller.said.notification.as_str() {
        "permission_prompt" => Activity::NeedsPermission,
        "elicitation_dialog" => Activity::NeedsInput,
        "idle_prompt" => Activity::Idle,
        _ => return Ok(false),
    };
    Ok(caller.becomes(&activity)?)
}

/// Gives the client words for its model; says whether it took them.
fn print(event: &str, text: &str) -> bool {
    let answer = json!({"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}").and_then(|()| out.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_from_an_error_and_its_end_is_read() {
        let ends = |words: &str| words.strip_prefix("ends ").and_then(|ms| ms.parse().ok()).map(Wall);
        let said = |error: &str, message: &str, last: &str| Said {
            error: error.to_owned(),
            message: message.to_owned(),
            last_words: last.to_owned(),
            ..Said::default()
        };
        for (error, message, last, until) in [
            ("rate_limit", "ends 7", "ends 8", Some(Wall(7))),
            ("usage_limit", "429", "ends 8", Some(Wall(8))),
            ("rate_limit", "try again later", "", None),
        ] {
            let told = failure(&said(error, message, last), ends);
            assert_eq!(told, Activity::LimitReached { until }, "{message}");
        }
        let failed = failure(&said("overloaded\u{1b}[2J", "ends 7", ""), ends);
        assert_eq!(failed, Activity::Failed { error: "overloaded\\u{1b}[2J".to_owned() });
    }
}
