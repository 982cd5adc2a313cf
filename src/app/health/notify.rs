//! Alerts outside tmux: runs `cmw.notify.command` with an event as JSON on its input (docs/rules.md R8.10).
//! The monitor sends them; each event is sent once, and tried three times. Waiting events are on disk: the
//! next monitor continues with them.
//!
//! Invariants, each with a test of the same name in `tests/live/health/monitor`:
//! * `the_person_is_told_once`, also across monitors.
//! * `what_one_monitor_did_not_tell_the_next_one_tells`
//! * `a_command_that_hangs_or_fails_stops_nothing`
//! * `no_shell_reads_the_command`

use std::ops::ControlFlow;
use std::process::{Child, Command as Program, Stdio};

use serde_json::json;

use crate::adapters::os::{clock, process};
use crate::domain::facts::Facts;
use crate::domain::health::alert::{self, Alert};
use crate::domain::health::client::Activity;
use crate::domain::session::instance::InstancePhase;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::{BootTime, human};
use crate::store::audit::reader::AuditReader;
use crate::store::health::clients;
use crate::store::health::monitor::{self, NotifyCursor, PendingAlert};

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::mail::session;
use crate::app::workspace::Context;

/// How long a question to the person may wait before an alert is sent, in milliseconds (docs/rules.md R8.10).
const QUESTION_MS: u64 = 300_000;
/// How long the command may take, in milliseconds.
const COMMAND_MS: u64 = 10_000;
/// How often the command is polled for its end, in milliseconds.
const RUNNING_MS: u64 = 250;
/// How often an event is tried.
const TRIES: u32 = 3;
/// Most waiting events; when there are more, the oldest are dropped, and remain visible elsewhere.
const WAITING_MAX: usize = 50;

/// The waiting alerts, and the command that sends the first of them.
#[derive(Debug, Default)]
pub struct Notifier {
    told: Option<NotifyCursor>,
    running: Option<(Child, BootTime)>,
}

impl Notifier {
    /// Collects new events, and starts the command.
    pub fn check(&mut self, context: &Context<'_>, state: &State, facts: &Facts) {
        let Some(command) = &state.policy.health.notify else { return };
        // Soft: the next pass reads what cannot be read now.
        let _ = self.gather(context, state, facts);
        self.reap(context, &facts.now.boot);
        self.begin(context, command);
    }

    /// Returns in how many milliseconds there is something to do.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        self.running.as_ref().map(|_| RUNNING_MS)
    }

    /// Sends what can be sent now, at the end of a single pass. Failed alerts wait for the next one.
    pub fn finish(&mut self, context: &Context<'_>, command: &str) {
        while let Some((child, _)) = &self.running {
            let _ = process::identify(child.id()).map(|it| process::wait_gone(&[it], COMMAND_MS));
            let late = clock::now().boot.plus(COMMAND_MS);
            if self.reap(context, &late) {
                self.begin(context, command);
            }
        }
    }

    /// Starts the command for the next alert.
    fn begin(&mut self, context: &Context<'_>, command: &str) {
        if self.running.is_some() {
            return;
        }
        let Some(told) = &mut self.told else { return };
        told.waiting.retain(|it| it.tried < TRIES);
        let Some(next) = told.waiting.first_mut() else { return };
        next.tried += 1;
        let alert = next.alert.clone();
        // Recorded first: an alert whose command never ends must not be tried by every later monitor.
        self.note(context);
        match start(context, command, &alert) {
            Ok(child) => self.running = Some((child, clock::now().boot.plus(COMMAND_MS))),
            Err(failure) => {
                context.env.report(&failure.text());
                self.ended(context, false);
            }
        }
    }

    /// Collects the events since the last pass; the very first one starts from now.
    fn gather(&mut self, context: &Context<'_>, state: &State, facts: &Facts) -> Result<(), Failure> {
        let disk = context.store.disk();
        let registry = session::registry(context);
        let (record, message) = (context.store.document()?.seq, registry.last_seq()?);
        if self.told.is_none() {
            self.told = monitor::notify_cursor(disk)?;
        }
        let begins = self.told.is_none();
        let mut told =
            self.told.clone().unwrap_or(NotifyCursor { record, message, ..NotifyCursor::default() });
        let before = told.clone();
        let mut news = Vec::new();
        if record > told.record {
            let mut trail = AuditReader::open(disk)?;
            let mut records = Vec::new();
            while let Some(found) = trail.previous().filter(|found| found.seq > told.record) {
                records.push(found);
            }
            news.extend(records.iter().rev().filter_map(alert::of_record));
            told.record = record;
        }
        if message > told.message {
            registry.scan(told.message + 1, &mut |found| {
                news.extend(alert::of_message(&found.envelope));
                Ok(ControlFlow::Continue(()))
            })?;
            told.message = message;
        }
        for (key, alert) in pending_questions(context, state, facts) {
            if !told.keys.contains(&key) {
                told.keys.push(key);
                news.push(alert);
            }
        }
        told.waiting.extend(news.into_iter().map(|alert| PendingAlert { alert, tried: 0 }));
        // The alert in progress stays the first.
        let at_it = usize::from(self.running.is_some());
        let surplus = told.waiting.len().saturating_sub(WAITING_MAX);
        told.waiting.drain(at_it..at_it + surplus);
        // Recorded with the waiting alerts: the next monitor continues with them.
        if told != before || begins {
            monitor::write_notify_cursor(disk, &told)?;
        }
        self.told = Some(told);
        Ok(())
    }

    /// Checks whether the running command has ended; returns whether it sent an alert.
    fn reap(&mut self, context: &Context<'_>, now: &BootTime) -> bool {
        let Some((child, until)) = &mut self.running else { return false };
        let failed = match child.try_wait() {
            Ok(Some(status)) if status.success() => None,
            Ok(Some(status)) => Some(format!("it ended with {}", status.code().unwrap_or(-1))),
            Ok(None) if !until.has_passed(now) => return false,
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                Some(format!("it took longer than {}", human(COMMAND_MS)))
            }
            Err(error) => Some(error.to_string()),
        };
        self.running = None;
        if let Some(why) = &failed {
            context.env.report(&format!("warning: cmw.notify.command: {why}"));
        }
        self.ended(context, failed.is_none());
        failed.is_none()
    }

    /// Removes the first alert, or counts one more try.
    fn ended(&mut self, context: &Context<'_>, done: bool) {
        let Some(told) = self.told.as_mut().filter(|told| !told.waiting.is_empty()) else { return };
        let it = told.waiting.remove(0);
        if !done && it.tried < TRIES {
            told.waiting.push(it);
        }
        self.note(context);
    }

    /// Records the progress. Soft: an alert that is not recorded is sent again.
    fn note(&self, context: &Context<'_>) {
        let _ = self.told.as_ref().map(|told| monitor::write_notify_cursor(context.store.disk(), told));
    }
}

/// Returns the clients' questions that have waited too long for the person, each with a key of its own.
fn pending_questions(context: &Context<'_>, state: &State, facts: &Facts) -> Vec<(String, Alert)> {
    let mut all = Vec::new();
    let ready = state
        .instances
        .iter()
        .filter(|(_, i)| i.phase == InstancePhase::Ready && !facts.dead.contains(&i.process));
    for (role, _) in ready {
        let Some(client) = clients::read(context.store.disk(), role).ok().flatten() else { continue };
        let kind = match client.activity {
            Activity::NeedsPermission => "permission",
            Activity::NeedsInput => "input",
            Activity::Working
            | Activity::Idle
            | Activity::LimitReached { .. }
            | Activity::Failed { .. }
            | Activity::Ended => continue,
        };
        let waits = facts.now.boot.ms_since(&client.since_boot);
        if waits < QUESTION_MS {
            continue;
        }
        let subject = format!("{role} {} since {}", client.activity.words(), client.since.clock());
        let alert = Alert::new(kind, Some(role.to_string()), &subject, "cmw-session attach", facts.now.wall);
        all.push((format!("{kind} {role} {}", client.since.0), alert));
    }
    all
}

/// Starts the command with an event on its input.
fn start(context: &Context<'_>, command: &str, alert: &Alert) -> Result<Child, Failure> {
    use std::io::Write;
    let unusable = |why: &str| {
        let what = format!("cmw.notify.command: {}", sanitize::line(why));
        Failure::with_next_step(
            Exit::Config,
            what,
            "git config cmw.notify.command 'PROGRAM ARGUMENTS' && cmw-init",
        )
    };
    let words = shlex::split(command).ok_or_else(|| unusable("it cannot be parsed"))?;
    let (program, args) = words.split_first().ok_or_else(|| unusable("it names no program"))?;
    let repository = context.repo.work_tree.as_ref().unwrap_or(&context.repo.common_dir);
    let event = json!({"v": 1, "event": alert.kind, "role": alert.role, "subject": alert.subject,
        "next": alert.next, "at": alert.at, "repository": repository.display().to_string()});
    let mut child = Program::new(program)
        .args(args)
        .current_dir(repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| unusable(&format!("cannot run {program}: {e}")))?;
    if let Some(mut input) = child.stdin.take() {
        // One line fits into the pipe; a command that does not read it gets no event.
        let _ = input.write_all(format!("{}\n", sanitize::ascii_safe_json(&event.to_string())).as_bytes());
    }
    Ok(child)
}

/// Tests the command, and returns its result.
///
/// # Errors
/// [`Failure`]: 78 without a command, or when it cannot be run; 75 when it fails or hangs.
pub fn send_test_alert(context: &Context<'_>) -> Result<Answer, Failure> {
    let state = context.state()?;
    let Some(command) = &state.policy.health.notify else {
        let next = "git config cmw.notify.command 'PROGRAM ARGUMENTS' && cmw-init";
        return Err(Failure::with_next_step(Exit::Config, "there is no cmw.notify.command", next));
    };
    let alert = Alert::new("test", None, "this is only a test", "cmw", clock::now().wall);
    let mut child = start(context, command, &alert)?;
    let left =
        process::identify(child.id()).is_some_and(|it| !process::wait_gone(&[it], COMMAND_MS).is_empty());
    if left {
        let _ = child.kill();
    }
    let status = child.wait().ok().and_then(|status| status.code());
    let what = match (left, status) {
        (false, Some(0)) => return Ok(Answer::done(json!({"told": true}), "the command took a test event")),
        (true, _) => format!("it took longer than {}", human(COMMAND_MS)),
        (false, status) => format!("it ended with {}", status.unwrap_or(-1)),
    };
    Err(Failure::with_next_step(
        Exit::Busy,
        format!("cmw.notify.command: {what}"),
        "git config cmw.notify.command",
    ))
}
