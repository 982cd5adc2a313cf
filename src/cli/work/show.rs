//! How tasks are shown: the list, and the details of one.

use serde_json::{Value, json};

use crate::domain::audit::record::Record;
use crate::domain::describe;
use crate::domain::event::Event;
use crate::domain::identity::role::Role;
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::{WallTime, brief};
use crate::domain::util::time_arg;
use crate::domain::work::event::WorkEvent;
use crate::domain::work::task::{Task, TaskStatus};
use crate::store::audit::reader::AuditReader;
use crate::store::work::task_bodies;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::workspace::Context;
use crate::cli::work::wanted_by;

/// The width of a list, in characters.
const WIDTH: usize = 80;

/// Lists the tasks: those of `me` first, started ones before urgent ones; those of others with blocked ones
/// first.
#[must_use]
pub fn list(
    context: &Context<'_>,
    state: &State,
    me: Option<&Role>,
    only: Option<&Role>,
    all: bool,
) -> Answer {
    let now = context.facts(state).now.wall;
    let wanted = |task: &&Task| (all || task.is_pending()) && only.is_none_or(|role| task.assignee == *role);
    let mut tasks: Vec<&Task> = state.tasks.values().filter(wanted).collect();
    tasks.sort_by_key(|task| {
        let mine = me.is_some_and(|me| task.assignee == *me);
        (!task.is_pending(), !mine, task.blocked.is_none(), task.status, task.priority, task.id)
    });
    let data: Vec<Value> = tasks.iter().map(|task| data(task, state)).collect();
    if tasks.is_empty() {
        return Answer::done(json!({"tasks": data}), "no open tasks");
    }
    let width = tasks.iter().map(|task| task.assignee.as_str().len()).max().unwrap_or(4).clamp(4, 20);
    let head = format!("{:<6} {:<width$} {:<9} {:>4}  what", "task", "who", "state", "for");
    let lines = tasks.iter().map(|task| line(task, state, now, width));
    let text: Vec<String> =
        std::iter::once(head).chain(lines).map(|line| sanitize::shorten(line.trim_end(), WIDTH)).collect();
    Answer::done(json!({"tasks": data}), text.join("\n"))
}

fn line(task: &Task, state: &State, now: WallTime, width: usize) -> String {
    let id = format!("T{}", task.id);
    let waits: Vec<String> = task.waits_for(&state.tasks).iter().map(|id| format!("T{id}")).collect();
    let waits = if waits.is_empty() { String::new() } else { format!("[after {}] ", waits.join(", ")) };
    let urgent = match task.priority {
        Priority::Critical | Priority::High => format!("[{}] ", task.priority),
        Priority::Normal | Priority::Low => String::new(),
    };
    let word = if task.blocked.is_some() { "BLOCKED" } else { task.status.as_str() };
    let (age, who) = (brief(now.ms_since(task.since)), sanitize::shorten(task.assignee.as_str(), width));
    format!("{id:<6} {who:<width$} {word:<9} {age:>4}  {urgent}{waits}{}", sanitize::line(&task.title))
}

/// Returns a task as JSON.
fn data(task: &Task, state: &State) -> Value {
    let mut value = json!(task);
    value["waits_for"] = json!(task.waits_for(&state.tasks));
    value
}

/// Returns the details of a task, also of one that is no longer in the state.
///
/// # Errors
/// [`Failure`]: no task has this number (1); its text is damaged (65).
pub fn show(context: &Context<'_>, state: &State, id: u64) -> Result<Answer, Failure> {
    let disk = context.store.disk();
    let mut trail = AuditReader::open(disk)?;
    let mut history: Vec<Record> = Vec::new();
    let mut assigned = None;
    if id > 0 && id <= state.last.task {
        while let Some(record) = trail.previous() {
            if let Event::Work(WorkEvent::TaskAssigned(task)) = &record.event
                && task.id == id
            {
                assigned = Some((**task).clone());
                history.push(record);
                break;
            }
            if is_about(&record.event, id) {
                history.push(record);
            }
        }
    }
    history.reverse();
    let known = state.tasks.get(&id).cloned();
    let Some(task) = known.clone().or(assigned) else {
        let what = format!("task T{id} not found");
        return Err(Failure::with_next_step(Exit::Refused, what, "cmw-work list --all"));
    };
    let body = task.body.as_deref().map(|digest| task_bodies::read(disk, digest)).transpose()?;
    let text = told(&task, known.is_some(), state, body.as_deref(), &history);
    let events: Vec<Value> =
        history.iter().map(|r| json!({"seq": r.seq, "at": r.at, "by": r.by, "event": r.event.tag(), "told": describe::describe(r)})).collect();
    let shown = json!({"task": data(&task, state), "body": body, "history": events});
    Ok(Answer::done(shown, text))
}

fn told(task: &Task, is_known: bool, state: &State, body: Option<&str>, history: &[Record]) -> String {
    let ids = |ids: &[u64]| ids.iter().map(|id| format!("T{id}")).collect::<Vec<_>>().join(", ");
    let status = match (&task.blocked, is_known) {
        (Some(why), _) => format!("BLOCKED: {}", sanitize::line(why)),
        (None, true) => format!("{} since {}", task.status.as_str(), time_arg::minute(task.since)),
        // Its result is at the end of its history.
        (None, false) => "finished long ago".to_owned(),
    };
    let mut lines =
        vec![format!("T{}  {}", task.id, sanitize::line(&task.title)), format!("  state     {status}")];
    lines.push(format!("  for       {} ({})", task.assignee, task.priority));
    lines.push(format!("  wanted by {}", wanted_by(task)));
    if !task.after.is_empty() {
        let open = task.waits_for(&state.tasks);
        let open = if open.is_empty() { "all done".to_owned() } else { format!("waits for {}", ids(&open)) };
        lines.push(format!("  after     {} ({open})", ids(&task.after)));
    }
    if !task.reviewers.is_empty() {
        let names: Vec<&str> = task.reviewers.iter().map(Role::as_str).collect();
        lines.push(format!("  review by {}", names.join(", ")));
    }
    if let Some(body) = body {
        lines.push(String::new());
        lines.push(sanitize::block(body).trim_end().to_owned());
    }
    if !history.is_empty() {
        lines.push(String::new());
    }
    lines.extend(history.iter().map(|record| format!("  {}", describe::line(record))));
    if task.is_pending() && task.status == TaskStatus::Open && is_known {
        lines.push(format!("next: cmw-work start T{}", task.id));
    }
    lines.join("\n")
}

/// Returns whether an event is about this task.
fn is_about(event: &Event, id: u64) -> bool {
    if let Event::Work(WorkEvent::TaskStarted(it)) = event {
        return it.id == id;
    }
    if let Event::Work(WorkEvent::TaskDone(it)) | Event::Work(WorkEvent::TaskCancelled(it)) = event {
        return it.id == id;
    }
    if let Event::Work(WorkEvent::TaskReassigned(it)) = event {
        return it.id == id;
    }
    matches!(event, Event::Work(WorkEvent::WorkBlocked(blocked)) if blocked.tasks.contains(&id))
}
