//! `cmw-work`: its arguments, and what each change of a task prints.

pub mod show;
use std::ffi::OsString;
use std::io::Read;

use clap::{Parser, Subcommand};
use serde_json::json;

use crate::domain::command::Command;
use crate::domain::event::Event;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::work::command::{AssignTo, WorkCommand};
use crate::domain::work::event::WorkEvent;
use crate::domain::work::task::{self, NOTE_CHARS_MAX, TITLE_CHARS_MAX, Task};
use crate::store::work::task_bodies::{self, BODY_BYTES_MAX};

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::output::Style;

/// Create, assign and track tasks
///
/// The assignee of a task gets a message (TASK_ASSIGNMENT), its requester gets one when it is done
/// (TASK_COMPLETE). When an instance crashes and does not come back, its tasks go to another one of its kind
/// that is not to review them.
#[derive(Parser, Debug)]
#[command(name = "cmw-work", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List the unfinished tasks, the one you work on first (the default command)
    List {
        /// Also list the last finished ones
        #[arg(long)]
        all: bool,
        /// Only your own
        #[arg(long, conflicts_with = "role")]
        mine: bool,
        /// Only those of this role
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
    },
    /// Assign a new task; prints its number
    Assign {
        /// A role, or a kind such as @dev: the least-loaded developer
        to: String,
        /// The task, in one line
        #[arg(value_parser = parse_title)]
        title: String,
        /// A longer description; - reads it from stdin
        #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
        body: Option<String>,
        /// critical, high, normal or low
        #[arg(long, value_name = "P", default_value = "normal", value_parser = Priority::parse)]
        priority: Priority,
        /// A task that must be done before this one (repeatable)
        #[arg(long, value_name = "ID", value_parser = parse_id)]
        after: Vec<u64>,
        /// A role that is to review it, and so is never assigned it (repeatable)
        #[arg(long, value_name = "ROLE")]
        reviewer: Vec<String>,
    },
    /// Show a task: its text and its history
    Show {
        /// Its number, such as T7
        #[arg(value_parser = parse_id)]
        id: u64,
    },
    /// Start a task of yours (default: the first that can be started)
    Start {
        /// Its number, such as T7
        #[arg(value_parser = parse_id)]
        id: Option<u64>,
    },
    /// Mark a task as done (default: the one you work on)
    Done {
        /// Its number, such as T7
        #[arg(value_parser = parse_id)]
        id: Option<u64>,
        /// The result
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = parse_note)]
        note: String,
    },
    /// Cancel a task
    Cancel {
        /// Its number, such as T7
        #[arg(value_parser = parse_id)]
        id: u64,
        /// Why
        #[arg(long, value_name = "TEXT", value_parser = parse_note)]
        reason: String,
    },
    /// Assign a task to another role
    Reassign {
        /// Its number, such as T7
        #[arg(value_parser = parse_id)]
        id: u64,
        /// A role, or a kind such as @dev
        to: String,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = parse_note)]
        reason: String,
    },
}

fn parse_id(word: &str) -> Result<u64, String> {
    let digits = word.strip_prefix(['T', 't']).unwrap_or(word);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let id = digits.parse().ok().filter(|id| plain && *id > 0);
    id.ok_or_else(|| "expected the number of a task, such as T7".to_owned())
}

fn one_line(words: &str, max: usize, rest: &str) -> Result<String, String> {
    let line = sanitize::line(words.trim());
    match line.chars().count() {
        n if n > max => Err(format!("at most {max} characters; {rest}")),
        _ => Ok(line),
    }
}

fn parse_title(words: &str) -> Result<String, String> {
    let title = one_line(words, TITLE_CHARS_MAX, "put the rest into --body")?;
    if title.is_empty() { Err("a title is required".to_owned()) } else { Ok(title) }
}

fn parse_note(words: &str) -> Result<String, String> {
    one_line(words, NOTE_CHARS_MAX, "put the rest into a message (cmw-send)")
}

/// Runs `cmw-work`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    // Listing is allowed to every caller, also to an unidentified one.
    let me = context.caller(&state).ok().and_then(|caller| caller.actor.role().cloned());
    match &cli.verb {
        None => Ok(show::list(&context, &state, me.as_ref(), None, false)),
        Some(Verb::List { all, mine, role }) => {
            let only = match (mine, role) {
                (true, _) => Some(known(me.as_ref())?.clone()),
                (false, Some(name)) => Some(state.policy.roster.resolve(name)?.role.clone()),
                (false, None) => None,
            };
            Ok(show::list(&context, &state, me.as_ref(), only.as_ref(), *all))
        }
        Some(Verb::Show { id }) => show::show(&context, &state, *id),
        Some(Verb::Assign { to, title, body, priority, after, reviewer }) => {
            let (to, title) = (whom(&state, to)?, title.clone());
            let resolve = |name: &String| Ok(state.policy.roster.resolve(name)?.role.clone());
            let reviewers = reviewer.iter().map(resolve).collect::<Result<Vec<Role>, Failure>>()?;
            let text = body.as_deref().map(body_text).transpose()?.filter(|text| !text.is_empty());
            let body = text.map(|text| task_bodies::keep(context.store.disk(), &text)).transpose()?;
            let (priority, after) = (*priority, after.clone());
            act(&context, &state, WorkCommand::Assign { to, title, body, priority, after, reviewers })
        }
        Some(Verb::Start { id }) => {
            let id = id.map_or_else(|| next(&state, me.as_ref()), Ok)?;
            act(&context, &state, WorkCommand::Start(id))
        }
        Some(Verb::Done { id, note }) => {
            let id = id.map_or_else(|| current(&state, me.as_ref()), Ok)?;
            act(&context, &state, WorkCommand::Done { id, note: note.clone() })
        }
        Some(Verb::Cancel { id, reason }) => {
            act(&context, &state, WorkCommand::Cancel { id: *id, reason: reason.clone() })
        }
        Some(Verb::Reassign { id, to, reason }) => {
            let (id, to, reason) = (*id, whom(&state, to)?, reason.clone());
            act(&context, &state, WorkCommand::Reassign { id, to, reason })
        }
    }
}

/// Publishes a change of a task, and returns what it says.
fn act(context: &Context<'_>, state: &State, work: WorkCommand) -> Result<Answer, Failure> {
    let caller = context.caller(state)?;
    let starts = matches!(work, WorkCommand::Start(_));
    let done = context.transact(&caller, &Command::Work(work))?;
    done.outcome?;
    let told = done.events.iter().find_map(event_summary);
    let Some((id, mut words)) = told else {
        return Ok(Answer::done(
            json!({}),
            if starts { "you have already started it" } else { "nothing changed" },
        ));
    };
    let task = done.state.tasks.get(&id);
    if let (true, Some(me)) = (starts, caller.actor.role()) {
        let others = task::pending(&done.state.tasks, me);
        let also = others.iter().filter(|t| t.id != id && t.status == task::TaskStatus::Started);
        let also: Vec<String> = also.map(|t| format!("T{}", t.id)).collect();
        if !also.is_empty() {
            words = format!("{words}; you have also started {}", also.join(", "));
        }
    }
    Ok(Answer::done(json!({"id": id, "task": task}), words))
}

/// Returns the line that an event prints for its author.
fn event_summary(event: &Event) -> Option<(u64, String)> {
    if let Event::Work(WorkEvent::TaskAssigned(task)) = event {
        return Some((
            task.id,
            format!("T{} is assigned to {}: {}", task.id, task.assignee, sanitize::line(&task.title)),
        ));
    }
    if let Event::Work(WorkEvent::TaskStarted(it)) = event {
        return Some((it.id, format!("T{} is started: {}", it.id, sanitize::line(&it.title))));
    }
    if let Event::Work(WorkEvent::TaskDone(it)) = event {
        return Some((it.id, format!("T{} is done: {}", it.id, sanitize::line(&it.title))));
    }
    if let Event::Work(WorkEvent::TaskCancelled(it)) = event {
        return Some((it.id, format!("T{} is cancelled: {}", it.id, sanitize::line(&it.title))));
    }
    if let Event::Work(WorkEvent::TaskReassigned(it)) = event {
        return Some((
            it.id,
            format!("T{} is now assigned to {} (before: {})", it.id, it.assignee, it.former),
        ));
    }
    None
}

/// Returns the role or kind that a word names.
fn whom(state: &State, word: &str) -> Result<AssignTo, Failure> {
    let Some(name) = word.strip_prefix('@') else {
        return Ok(AssignTo::Role(state.policy.roster.resolve(word)?.role.clone()));
    };
    let kind = RoleKind::parse(name).ok();
    let known = kind.filter(|kind| state.policy.roster.members().iter().any(|m| m.kind == *kind));
    known.map(AssignTo::Kind).ok_or_else(|| {
        let what = format!("no role in the roster is of kind {}", sanitize::line(name));
        Failure::with_next_step(Exit::Refused, what, "cmw-session status")
    })
}

fn known(me: Option<&Role>) -> Result<&Role, Failure> {
    let what = "only roles have tasks of their own, and you are not a role";
    me.ok_or_else(|| Failure::with_next_step(Exit::NotPermitted, what, "cmw-work list"))
}

/// Returns the first task of a role that can be started.
fn next(state: &State, me: Option<&Role>) -> Result<u64, Failure> {
    let its = task::pending(&state.tasks, known(me)?);
    let can =
        |task: &&&Task| task.status == task::TaskStatus::Open && task.waits_for(&state.tasks).is_empty();
    its.iter().find(can).map(|task| task.id).ok_or_else(|| {
        Failure::with_next_step(
            Exit::Refused,
            "none of your tasks can be started now",
            "cmw-work list --mine",
        )
    })
}

/// Returns the task that a role works on.
fn current(state: &State, me: Option<&Role>) -> Result<u64, Failure> {
    task::current(&state.tasks, known(me)?).map(|task| task.id).ok_or_else(|| {
        Failure::with_next_step(
            Exit::Refused,
            "you have no started task; name the one that is done",
            "cmw-work list --mine",
        )
    })
}

/// Returns the text of a task: the argument, or stdin.
fn body_text(given: &str) -> Result<String, Failure> {
    let mut bytes = given.as_bytes().to_vec();
    if given == "-" {
        bytes.clear();
        let limit = BODY_BYTES_MAX as u64 + 1;
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(|e| {
            Failure::with_next_step(
                Exit::Unavailable,
                format!("cannot read stdin: {e}"),
                "cmw-work assign --help",
            )
        })?;
    }
    if bytes.len() > BODY_BYTES_MAX {
        let what = format!("the text has more than {BODY_BYTES_MAX} bytes");
        return Err(Failure::with_next_step(Exit::Usage, what, "put it into a file, and name the file"));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::with_next_step(Exit::Usage, "the text is not UTF-8", "put it into a file, and name the file")
    })
}

/// Returns the requester of a task, as text.
#[must_use]
pub fn wanted_by(task: &Task) -> String {
    match &task.wanted_by {
        Actor::Unproven => "an unidentified process at a terminal".to_owned(),
        other @ (Actor::Role(_) | Actor::User | Actor::System) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_in_any_way_and_nothing_else_is() {
        for good in ["7", "T7", "t7", "007"] {
            assert_eq!(parse_id(good), Ok(7), "{good}");
        }
        for bad in ["", "T", "0", "T0", "-7", "+7", "7a", "TT7", "7 ", "99999999999999999999"] {
            assert!(parse_id(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_title_is_one_line_without_control_characters() {
        assert_eq!(parse_title(" a\u{1b}[2J "), Ok("a\\u{1b}[2J".to_owned()));
        assert!(parse_title(" \n ").is_err() || !parse_title(" \n ").unwrap().contains('\n'));
        assert!(parse_title(&"x".repeat(TITLE_CHARS_MAX)).is_ok());
        assert!(parse_title(&"x".repeat(TITLE_CHARS_MAX + 1)).is_err());
    }
}
