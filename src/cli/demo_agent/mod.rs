//! The demo agent: does in its pane, with the same tools, what a language model would do.
//!
//! Invariants, each with a test of the same name in `tests/live/session/agents.rs`:
//! * `twelve_agents_work_side_by_side`: each commits only its own file, only under the write lock.
//! * `an_agent_ends_by_itself_when_told`: its lock and its place in the queue are released.
//! * `a_heartbeat_that_is_killed_comes_back`

pub mod mail;
pub mod tools;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;

use crate::adapters::os::clock;
use crate::domain::identity::role::RoleKind;
use crate::domain::identity::roster::{Member, Roster};
use crate::domain::util::sanitize;
use crate::domain::util::time::parse_duration_ms;

use crate::adapters::os::stdio::write_out;
use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::cli::Common;
use crate::cli::demo_agent::mail::MailSummary;
use crate::cli::demo_agent::tools::Tools;
use crate::cli::output::Style;

/// How often the lock is awaited, in slices, so that mail is read in between.
const LOCK_WAIT_SLICES: u32 = 12;
/// Every how many rounds the Librarian checks the setup, and the Orchestrator assigns a task.
const NOW_AND_THEN: u32 = 4;
/// The width of a line, in characters, without a terminal.
const COLUMNS: usize = 100;
/// How long mail is awaited at most in one go.
const MAIL_WAIT_MS: u64 = 5_000;

/// A scripted agent without a language model, to try out the system
///
/// It registers, sends heartbeats, reads and answers its mail, acquires the write lock, appends a line to its
/// own file, commits, releases the lock and reports; until SHUTDOWN_REQUEST, SIGTERM or SIGHUP.
#[derive(Parser, Debug)]
#[command(name = "cmw-demo-agent", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// Approximate interval between two pieces of work
    #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "5s")]
    every: u64,
    /// End after this many pieces of work; with 0 it only answers its mail
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// The directory of the agents' files, in the work tree
    #[arg(long, value_name = "DIR", value_parser = parse_task_dir, default_value = "demo")]
    task_dir: String,
}

/// Parses a directory below the work tree, without glob characters.
fn parse_task_dir(text: &str) -> Result<String, String> {
    let below = Path::new(text).components().all(|c| matches!(c, Component::Normal(_)));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if !text.is_empty() && !text.starts_with('-') && below && text.chars().all(plain) {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err("expected a directory below the work tree (letters, digits, '-', '_', '.', '/')".to_owned())
}

/// Runs `cmw-demo-agent`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

/// The running agent.
struct Agent {
    tools: Tools,
    me: Member,
    roster: Roster,
    /// Its file, relative to the work tree.
    file: String,
    workspace: PathBuf,
    every_ms: u64,
    round: u32,
    reports: u32,
    /// Whether it may have tasks: at the start, and after a message about one.
    may_have_tasks: bool,
    dice: u64,
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    let caller = context.caller(&state)?;
    let me = caller.actor.role().and_then(|role| state.policy.roster.member(role)).cloned();
    let me = me.ok_or_else(|| {
        let what = format!("this is {}, but an agent needs a role", caller.actor.in_sentence());
        Failure::with_next_step(Exit::Config, what, "CLAUDE_ROLE=Dev-A cmw-demo-agent")
    })?;
    let workspace = crate::app::session::launch::workspace(&context)?;
    let mut agent = Agent {
        tools: Tools::new(workspace.clone(), me.role.as_str())?,
        file: format!("{}/{}.md", cli.task_dir, me.role),
        roster: state.policy.roster,
        me,
        workspace,
        every_ms: cli.every.max(100),
        round: 0,
        reports: 0,
        may_have_tasks: true,
        dice: u64::from(std::process::id()) ^ clock::now().boot.ms.rotate_left(32),
    };
    agent.live(cli.rounds)
}

impl Agent {
    fn live(&mut self, rounds: Option<u32>) -> Result<Answer, Failure> {
        let registered = self.tools.run("cmw-heartbeat", &["register"], true);
        // If it was asked to stop meanwhile it may be registered all the same; it deregisters below.
        if !registered.is_ok() && !self.tools.stopped() {
            let what = format!("cannot register: {}", registered.first_output_line());
            return Err(Failure::with_next_step(Exit::Unavailable, what, "cmw-session status"));
        }
        self.say(&registered.first_output_line());
        let mut beats = self.beats();
        let mut next = Instant::now() + self.pause() / 2;
        while !self.tools.stopped() && !(rounds.is_some_and(|n| n > 0 && self.round >= n)) {
            // A killed heartbeat process must be replaced, or the agent would count as silent.
            if beats.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                beats = self.beats();
            }
            let brought = self.read_mail();
            let works = rounds != Some(0);
            if works && (brought.tasks > 0 || Instant::now() >= next) && !self.tools.stopped() {
                self.work();
                next = Instant::now() + self.pause();
            }
            self.wait_for_mail(next.saturating_duration_since(Instant::now()), brought);
        }
        self.say("ending");
        // A closed terminal is not a request to stop: as for any agent, it is a crash.
        let gone = (!self.tools.hung_up()).then(|| self.tools.run("cmw-heartbeat", &["deregister"], false));
        if let Some(gone) = gone.filter(|gone| !gone.is_ok()) {
            // The stop command may have deregistered it already.
            self.say(&gone.first_output_line());
        }
        if let Some(mut child) = beats {
            // The heartbeat ends with the role as well; the order does not matter.
            let _ = child.kill();
            let _ = child.wait();
        }
        Ok(Answer::done(json!({"role": self.me.role, "rounds": self.round}), ""))
    }

    /// Starts its heartbeat process.
    fn beats(&self) -> Option<Child> {
        let beats = self.tools.start("cmw-heartbeat", &["run", "--every", "30s"]);
        if let Err(error) = &beats {
            self.say(&format!("no heartbeat: {error}"));
        }
        beats.ok()
    }

    /// Prints one line, cut to the width of the pane.
    fn say(&self, what: &str) {
        let time = clock::now().wall.to_string();
        let time = time.get(11..19).unwrap_or_default();
        let size = rustix::termios::tcgetwinsize(std::io::stdout());
        let columns = size.map_or(COLUMNS, |size| usize::from(size.ws_col)).max(20);
        // The line is only for a person who looks at the pane; the work does not depend on it.
        let _ = write_out(&sanitize::shorten(&format!("{time} {}", sanitize::line(what)), columns - 1));
    }

    /// Returns the time until the next piece of work: jittered, so that twelve agents do not work in step.
    fn pause(&mut self) -> Duration {
        // The steps of a linear congruential generator (Knuth's MMIX): any spread will do.
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (self.dice >> 33) % 1_000;
        Duration::from_millis(self.every_ms / 2 + self.every_ms * share / 1_000)
    }

    fn read_mail(&mut self) -> MailSummary {
        let brought = mail::read_all(&self.tools, &self.roster, &|line| self.say(line));
        self.reports += brought.reports;
        self.may_have_tasks |= brought.tasks > 0;
        brought
    }

    /// Waits for mail or for the next piece of work, with `cmw-inbox wait`.
    fn wait_for_mail(&self, until: Duration, brought: MailSummary) {
        let ms = u64::try_from(until.as_millis()).unwrap_or(MAIL_WAIT_MS).clamp(100, MAIL_WAIT_MS);
        let began = Instant::now();
        let woken = self.tools.run("cmw-inbox", &["wait", "--timeout", &format!("{ms}ms")], true);
        // If that tool is missing, or wakes for something `next` does not return: no busy loop.
        let at_once = began.elapsed() < Duration::from_millis(50);
        if at_once && (brought.letters == 0 || !woken.is_ok()) {
            self.tools.sleep(ms.min(500));
        }
    }

    fn work(&mut self) {
        self.round += 1;
        let task = format!("round {}", self.round);
        let _ = self.tools.run("cmw-heartbeat", &["beat", "--task", &task], false);
        if self.me.kind.is_librarian() {
            self.verify();
        } else if self.me.kind.is_orchestrator() {
            self.coordinate();
        } else {
            self.write_a_line();
        }
    }

    /// Does the Librarian's work: it only reads, and checks the setup.
    fn verify(&self) {
        if self.round % NOW_AND_THEN != 1 || !self.tools.has("cmw-doctor") {
            return self.say("watching");
        }
        let found = self.tools.run("cmw-doctor", &["--json"], true);
        self.say(&if found.is_ok() {
            "the setup has no problems".to_owned()
        } else {
            format!("cmw-doctor: exit {}", found.code)
        });
    }

    /// Does the Orchestrator's work: counts reports, and from time to time assigns a task.
    fn coordinate(&self) {
        self.say(&format!("{} reports so far", self.reports));
        let writes = |kind: &RoleKind| !kind.is_orchestrator() && !kind.is_librarian();
        let writers: Vec<&Member> = self.roster.members().iter().filter(|m| writes(&m.kind)).collect();
        if !self.round.is_multiple_of(NOW_AND_THEN) || writers.is_empty() {
            return;
        }
        let turn = usize::try_from(self.round / NOW_AND_THEN).unwrap_or(0) % writers.len();
        let to = writers[turn].role.as_str();
        let body = "Please add a line to your file.";
        let args = ["assign", to, "one more line", "--body", body];
        let sent = self.tools.run("cmw-work", &args, false);
        self.say(&if sent.is_ok() { format!("assigned a line to {to}") } else { sent.first_output_line() });
    }

    /// Starts a task of its own that it can do now: the one already started, else the first.
    fn begin_task(&mut self) -> Option<u64> {
        if !self.may_have_tasks {
            return None;
        }
        let listed = self.tools.run("cmw-work", &["list", "--mine", "--json"], false);
        let found = serde_json::from_str::<serde_json::Value>(&listed.stdout).unwrap_or_default();
        let tasks = found["data"]["tasks"].as_array().cloned().unwrap_or_default();
        self.may_have_tasks = !tasks.is_empty();
        let can = tasks.iter().find(|task| task["waits_for"].as_array().is_some_and(Vec::is_empty))?;
        let id = can["id"].as_u64()?;
        if can["status"] == "OPEN" {
            let begun = self.tools.run("cmw-work", &["start", &id.to_string()], false);
            self.say(&begun.first_output_line());
            return begun.is_ok().then_some(id);
        }
        Some(id)
    }

    /// Does the work of all other roles: lock, edit, commit, release, report; every other time in one call.
    fn write_a_line(&mut self) {
        let task = self.begin_task();
        if let Some(commit) = self.write_and_commit() {
            self.report(&commit, task);
        }
    }

    fn write_and_commit(&mut self) -> Option<String> {
        if self.round.is_multiple_of(2) {
            let done = self.edit().and_then(|()| self.commit_in_one_call());
            return done.map_err(|why| self.say(&why)).ok();
        }
        if !self.take_lock() {
            return None;
        }
        let done = self.edit_and_commit();
        let released = self.tools.run("cmw-lock", &["release"], false);
        if !released.is_ok() {
            self.say(&released.first_output_line());
        }
        done.map_err(|why| self.say(&why)).ok()
    }

    /// Waits for the lock in slices; the place in the queue is kept between them.
    fn take_lock(&mut self) -> bool {
        let purpose = format!("{} writes line {}", self.me.role, self.round);
        let file = self.file.clone();
        for slice in 0..LOCK_WAIT_SLICES {
            let args = ["acquire", "--files", &file, "--purpose", &purpose, "--wait", "5s"];
            let asked = self.tools.run("cmw-lock", &args, true);
            if asked.is_ok() {
                self.say(asked.stdout.lines().next().unwrap_or("the lock was acquired"));
                return true;
            }
            if slice == 0 || asked.code != i32::from(Exit::Busy.code()) {
                self.say(&asked.first_output_line());
            }
            if asked.code != i32::from(Exit::Busy.code()) || self.tools.stopped() {
                return false;
            }
            self.read_mail();
        }
        self.say("no lock within a minute; trying again later");
        let _ = self.tools.run("cmw-lock", &["cancel"], false);
        false
    }

    /// Appends the line.
    fn edit(&self) -> Result<(), String> {
        let path = self.workspace.join(&self.file);
        let line = format!("{} round {} at {}\n", self.me.role, self.round, clock::now().wall);
        append(&path, &line).map_err(|e| format!("cannot write {}: {e}", self.file))?;
        // The client's hooks would report the author of the edit; here the agent does it itself.
        self.tools.edited(&path);
        Ok(())
    }

    fn message(&self) -> String {
        format!("demo: {} round {}", self.me.role, self.round)
    }

    /// Commits the file under the lock with one command; what is not committed now is in the next round.
    fn commit_in_one_call(&self) -> Result<String, String> {
        let args = ["-m", &self.message(), "--wait", "30s", "--", &self.file];
        let ran = self.tools.run("cmw-commit", &args, true);
        if !ran.is_ok() {
            return Err(ran.first_output_line());
        }
        let head = self.tools.git(&["log", "-1", "--format=%h", "--", &self.file]);
        Ok(sanitize::shorten(head.stdout.trim(), 40))
    }

    /// Appends the line and commits only that file; returns the commit's short id.
    fn edit_and_commit(&self) -> Result<String, String> {
        self.edit()?;
        let message = self.message();
        for args in [&["add", "--", &self.file][..], &["commit", "-q", "-m", &message, "--", &self.file]] {
            let ran = self.tools.git(args);
            if !ran.is_ok() {
                return Err(ran.first_output_line());
            }
        }
        let head = self.tools.git(&["rev-parse", "--short", "HEAD"]);
        Ok(sanitize::shorten(head.stdout.trim(), 40))
    }

    /// Reports that it is done; ending a task notifies its requester.
    fn report(&self, commit: &str, task: Option<u64>) {
        if let Some(id) = task {
            let args = ["done", &id.to_string(), "--note", &format!("committed as {commit}")];
            let done = self.tools.run("cmw-work", &args, false);
            return self.say(&done.first_output_line());
        }
        let superior = mail::superior(&self.roster);
        let subject = format!("round {} committed as {commit}", self.round);
        let args = [superior.as_str(), "--type", "TASK_COMPLETE", "--subject", &subject, &subject];
        let sent = self.tools.run("cmw-send", &args, false);
        self.say(&if sent.is_ok() {
            format!("committed {commit}, notified {superior}")
        } else {
            sent.first_output_line()
        });
    }
}

/// Appends to a file of the work tree; never through a symbolic link.
fn append(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let mut file = OpenOptions::new().append(true).create(true).custom_flags(nofollow).open(path)?;
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_stay_below_the_work_tree() {
        for good in ["demo", "a/b-c", "x.d"] {
            assert!(parse_task_dir(good).is_ok(), "{good}");
        }
        for bad in ["", "/tmp", "../x", "a/../..", ".", "-x", "a*b", "a b", "ä", "$(x)"] {
            assert!(parse_task_dir(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nothing_is_appended_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("d/link"), dir.path().join("target"));
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(append(&link, "x\n").is_err());
        assert!(!target.exists());
        append(&dir.path().join("d/e/file"), "x\n").unwrap();
        append(&dir.path().join("d/e/file"), "y\n").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("d/e/file")).unwrap(), "x\ny\n");
    }
}
