//! The one-screen status: 80×24 for a dozen roles, problems first.
//!
//! Invariants (each has a test of the same name):
//! * `a_dozen_roles_fit_on_one_screen`, with room for the prompt below.
//! * `nothing_on_the_screen_can_move_the_cursor` (docs/rules.md I14).

use crate::domain::audit::violation::{TaintedRef, describe_cause};
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::health::client::Activity;
use crate::domain::health::condition::{Concern, Condition};
use crate::domain::health::liveness::Liveness;
use crate::domain::lock::release::Release;
use crate::domain::session::instance::Session;
use crate::domain::util::sanitize;
use crate::domain::util::time::{WallTime, human};
use crate::domain::work::task::{self, Task};

use crate::app::health::role_status::RoleStatus;
use crate::cli::cmw::status::Status;
use crate::cli::lock::show::{lock_line, waiter_lines};
use crate::cli::style::{Colors, Line, ScreenSize, Tone};

/// How many waiters are listed.
const WAITERS_MAX: usize = 3;
/// The least number of roles shown, however small the terminal.
const ROWS_MIN: usize = 6;

/// Renders the screen.
#[must_use]
pub fn render(status: &Status, size: ScreenSize, ink: Colors) -> String {
    let width = role_width(&status.rows);
    let heading =
        format!("{:<10} {:<width$} {:<5} {:>7} {:>4}  task", "state", "role", "pane", "beat", "mail");
    compose(status, size, ink, &heading, &|row| row_line(row, width))
}

/// Joins head, table and the next command, as far as there is room; `row_line` formats a role.
#[must_use]
pub fn compose(
    status: &Status,
    size: ScreenSize,
    ink: Colors,
    heading: &str,
    row_line: &dyn Fn(&RoleStatus) -> String,
) -> String {
    let mut lines = head(status, size.width, WAITERS_MAX);
    // The last line is left for the prompt, two are for the table's header and the next command.
    let room = size.height.saturating_sub(lines.len() + 3).max(ROWS_MIN);
    let shown = shown(&status.rows, room);
    lines.push(Line::plain(heading));
    lines.extend(shown.iter().map(|row| Line { tone: tone(row), text: row_line(row) }));
    if shown.len() < status.rows.len() {
        lines.push(Line::plain(rest(&status.rows[..], &shown)));
    }
    lines.push(Line::plain(format!("next: {}", status.next)));
    let lines: Vec<String> = lines.iter().map(|line| line.painted(size.width, ink)).collect();
    lines.join("\n")
}

/// Returns the width of the roles' column.
#[must_use]
pub fn role_width(rows: &[RoleStatus]) -> usize {
    rows.iter().map(|row| row.role.as_str().len()).max().unwrap_or(4).clamp(4, 20)
}

/// Returns the lines above the table, with at most so many waiters. Problems of the whole system come first.
#[must_use]
pub fn head(status: &Status, width: usize, waiters_max: usize) -> Vec<Line> {
    let (state, facts) = (&status.state, &status.facts);
    let mut lines: Vec<Line> = status.monitor.iter().map(|why| Line::bad(sanitize::line(why))).collect();
    if let FreezeState::Frozen { by, reason, since, .. } = &state.system {
        lines.push(Line::bad(format!("FROZEN by {by} since {}: {}", since.clock(), sanitize::line(reason))));
    }
    lines.extend(status.pins.iter().map(|look| Line::bad(format!("pins   {}", look.line()))));
    lines.extend(crate::cli::bypass::line(state, facts).map(Line::bad));
    lines.push(place_line(status, width));
    lines.push(hooks_line(status));
    if let Some(first) = state.violations.first() {
        let what = first.refs.first().map_or_else(|| describe_cause(&first.cause), TaintedRef::describe);
        let open = state.violations.len();
        lines.push(Line::bad(format!("VIOLATIONS {open}: V{} {what}", first.id)));
    }
    lines.extend(lock_lines(status, width, waiters_max));
    let late: Vec<String> = status
        .rows
        .iter()
        .filter(|row| row.undelivered > 0)
        .map(|row| format!("{} {}", row.role, row.undelivered))
        .collect();
    if !late.is_empty() {
        lines.push(Line::warn(format!("UNDELIVERED  {}", late.join(", "))));
    }
    lines.extend(work_line(status));
    if status.user_mail > 0 {
        lines.push(Line::plain(format!("mail   {} unread for User", status.user_mail)));
    }
    lines
}

/// Returns the repository, its mode and preset, and the session.
fn place_line(status: &Status, width: usize) -> Line {
    let (state, facts) = (&status.state, &status.facts);
    let policy = &state.policy;
    let (session, is_gone) = match &state.session {
        Session::Down => ("no session".to_owned(), false),
        Session::Up { name, since, .. } if state.session_is_up(facts) => {
            (format!("session {} up since {}", sanitize::line(name), since.clock()), false)
        }
        Session::Up { name, .. } => (format!("session {} is DOWN: tmux ended", sanitize::line(name)), true),
    };
    let setting = format!("  {}, {}  {session}", policy.mode, policy.preset);
    let place = tail(&sanitize::line(&status.place), width.saturating_sub(setting.chars().count()).max(20));
    let tone = if is_gone { Tone::Bad } else { Tone::Plain };
    Line { tone, text: format!("{place}{setting}") }
}

/// Returns whether the hooks are installed, and whether they refused in the last self-test.
fn hooks_line(status: &Status) -> Line {
    let ago = |at: WallTime| human(status.facts.now.wall.ms_since(at));
    match (&status.unguarded, &status.state.self_test) {
        (Some(why), _) => Line::bad(format!("hooks  NOT INSTALLED: {why}")),
        (None, None) => Line::plain("hooks  installed, not tested yet"),
        (None, Some(test)) if test.held => {
            Line::plain(format!("hooks  installed, tested {} ago", ago(test.at)))
        }
        (None, Some(test)) => Line::bad(format!("hooks  FAILED THE TEST {} ago: cmw-doctor", ago(test.at))),
    }
}

/// Returns the number of open tasks, if any, and the first blocked one.
fn work_line(status: &Status) -> Option<Line> {
    let pending: Vec<&Task> = status.state.tasks.values().filter(|task| task.is_pending()).collect();
    let started = pending.iter().filter(|task| task.status == task::TaskStatus::Started).count();
    let blocked: Vec<&&Task> = pending.iter().filter(|task| task.blocked.is_some()).collect();
    let line = format!("work   {started} started, {} open", pending.len() - started);
    let Some(first) = blocked.first() else { return (!pending.is_empty()).then(|| Line::plain(line)) };
    let (id, why) = (first.id, first.blocked.as_deref().unwrap_or_default());
    Some(Line::warn(format!("{line}, {} BLOCKED: T{id} {}", blocked.len(), sanitize::line(why))))
}

/// Returns the lock and its queue.
fn lock_lines(status: &Status, width: usize, waiters_max: usize) -> Vec<Line> {
    let (state, facts) = (&status.state, &status.facts);
    let over = crate::domain::lock::lease::expiry_reason(state, facts);
    let lapsed = over.is_some_and(|reason| reason != Release::CommandEnded) || state.recovery().is_some();
    let tone = if lapsed { Tone::Warn } else { Tone::Plain };
    let mut lines = vec![Line { tone, text: format!("lock   {}", lock_line(state, facts)) }];
    let waiters = waiter_lines(state, facts);
    lines.extend(waiters.iter().take(waiters_max).map(|line| Line::plain(format!("     {line}"))));
    if waiters.len() > waiters_max {
        let last = lines.last_mut().expect("the lock has a line");
        let more = format!(" (and {} more)", waiters.len() - waiters_max);
        last.text = format!("{}{more}", sanitize::shorten(&last.text, width.saturating_sub(more.len())));
    }
    lines
}

/// Returns the rows that fit: problems first, then the holder and roles with mail; in screen order.
fn shown(rows: &[RoleStatus], room: usize) -> Vec<&RoleStatus> {
    if rows.len() <= room {
        return rows.iter().collect();
    }
    let is_problem = |row: &RoleStatus| {
        matches!(row.liveness(), Liveness::Crashed | Liveness::Stale | Liveness::Restarting)
    };
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|i| {
        let row = &rows[*i];
        let mail = row.mail.is_some_and(|mail| mail.new > 0);
        (!is_problem(row), !row.holds, !mail, *i)
    });
    // One line is for the number of hidden rows.
    order.truncate(room - 1);
    order.sort_unstable();
    order.into_iter().map(|i| &rows[i]).collect()
}

/// `and 28 more: 26 ALIVE, 2 STARTING`.
fn rest(rows: &[RoleStatus], shown: &[&RoleStatus]) -> String {
    let hidden: Vec<&RoleStatus> =
        rows.iter().filter(|row| !shown.iter().any(|other| other.role == row.role)).collect();
    let mut kinds: Vec<Liveness> = hidden.iter().map(|row| row.liveness()).collect();
    kinds.dedup();
    let count =
        |kind: &Liveness| format!("{} {kind}", hidden.iter().filter(|row| row.liveness() == *kind).count());
    let counts: Vec<String> = kinds.iter().map(count).collect();
    format!("and {} more: {}", hidden.len(), counts.join(", "))
}

fn row_line(row: &RoleStatus, width: usize) -> String {
    let role = sanitize::shorten(row.role.as_str(), width);
    let pane = sanitize::line(row.pane.as_deref().unwrap_or("-"));
    let beat = row.beat_age_ms.map_or_else(|| "-".to_owned(), human);
    let activity = match &row.activity {
        None | Some((Activity::Working, _)) => String::new(),
        Some((activity, ms)) => format!("[{} {}] ", sanitize::line(&activity.words()), human(*ms)),
    };
    format!(
        "{:<10} {role:<width$} {pane:<5} {beat:>7} {:>4}  {}{activity}{}",
        row.liveness(),
        unread(row),
        badges(row),
        task(row)
    )
}

/// Returns the number of unread messages, as a cell.
#[must_use]
pub fn unread(row: &RoleStatus) -> String {
    match row.mail {
        None => "?".to_owned(),
        Some(mail) if mail.new == 0 => "-".to_owned(),
        Some(mail) => mail.new.to_string(),
    }
}

/// Returns the badges of a role: paused, or holding the lock.
#[must_use]
pub fn badges(row: &RoleStatus) -> String {
    let paused = if row.paused { "[paused] " } else { "" };
    let lock = if row.holds { "[lock] " } else { "" };
    format!("{paused}{lock}")
}

/// Returns the current task, safe to write.
#[must_use]
pub fn task(row: &RoleStatus) -> String {
    row.task.as_deref().map(sanitize::line).unwrap_or_default()
}

/// Returns the severity of a role's line.
#[must_use]
pub fn tone(row: &RoleStatus) -> Tone {
    match (row.condition, row.condition.concern()) {
        (Condition::Crashed, _) => Tone::Bad,
        (_, Concern::Problem | Concern::Attention) => Tone::Warn,
        (_, Concern::None) => Tone::Plain,
    }
}

/// Cuts a text at its beginning: the end of a path says more.
fn tail(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count - (max - 1)).collect();
    format!("…{end}")
}

#[cfg(test)]
#[path = "screen_tests.rs"]
pub(crate) mod tests;
