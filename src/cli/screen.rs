//! Owns how the one-screen status looks: 80×24 for a dozen roles, problems first.
//!
//! Invariants (each has a test of the same name):
//! * `a_dozen_roles_fit_on_one_screen`, with room for the prompt below.
//! * `nothing_on_the_screen_can_move_the_cursor` (I14).

use crate::domain::client::Activity;
use crate::domain::event::Release;
use crate::domain::liveness::Liveness;
use crate::domain::state::{Session, System};
use crate::domain::text;
use crate::domain::time::human;
use crate::domain::violation::{Tainted, told};

use super::env::Env;
use super::lock_show::{lock_line, waiter_lines};
use super::status::{Row, Status};

/// How many waiters are named.
const WAITERS_MAX: usize = 3;
/// However low the terminal is, this many roles are shown.
const ROWS_MIN: usize = 6;

/// How much room there is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

impl Size {
    /// What is promised to fit.
    pub const USUAL: Self = Self { width: 80, height: 24 };

    /// The terminal's size; the usual one where there is none.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        let found = env.stdout_is_terminal.then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok());
        match found.flatten() {
            Some(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Self { width: usize::from(size.ws_col).clamp(40, 160), height: usize::from(size.ws_row) }
            }
            Some(_) | None => Self::USUAL,
        }
    }
}

/// Whether colours are used, and which there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink(bool);

impl Ink {
    /// No colours.
    pub const NONE: Self = Self(false);

    /// Colours on a terminal, unless `NO_COLOR` says otherwise.
    #[must_use]
    pub fn of(env: &Env) -> Self {
        Self(env.stdout_is_terminal && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb"))
    }

    /// For what stops somebody.
    #[must_use]
    pub fn red(self, line: String) -> String {
        if self.0 { format!("\x1b[31m{line}\x1b[0m") } else { line }
    }

    /// For what may become a problem.
    #[must_use]
    pub fn yellow(self, line: String) -> String {
        if self.0 { format!("\x1b[33m{line}\x1b[0m") } else { line }
    }
}

/// The screen.
#[must_use]
pub fn render(status: &Status, size: Size, ink: Ink) -> String {
    let cut = |line: &str| text::shorten(line.trim_end(), size.width);
    let mut lines = head(status, size, ink);
    // The last line is left to the prompt, two to the table's header and to what comes next.
    let room = size.height.saturating_sub(lines.len() + 3).max(ROWS_MIN);
    let shown = shown(&status.rows, room);
    let width = status.rows.iter().map(|row| row.role.as_str().len()).max().unwrap_or(4).clamp(4, 20);
    lines.push(cut(&format!(
        "{:<10} {:<width$} {:<5} {:>7} {:>4}  task",
        "state", "role", "pane", "beat", "mail"
    )));
    lines.extend(shown.iter().map(|row| paint(row, cut(&row_line(row, width)), ink)));
    if shown.len() < status.rows.len() {
        lines.push(cut(&rest(&status.rows[..], &shown)));
    }
    lines.push(cut(&format!("next: {}", status.next)));
    lines.join("\n")
}

/// Everything above the table.
fn head(status: &Status, size: Size, ink: Ink) -> Vec<String> {
    let (state, facts) = (&status.state, &status.facts);
    let cut = |line: String| text::shorten(&line, size.width);
    let mut lines = Vec::new();
    if let System::Frozen { by, reason, since, .. } = &state.system {
        lines.push(ink.red(cut(format!("FROZEN by {by} since {}: {}", since.clock(), text::line(reason)))));
    }
    lines.extend(status.pins.iter().map(|look| ink.red(cut(format!("pins   {}", look.line())))));
    lines.extend(super::bypass::line(state, facts).map(|line| ink.red(cut(line))));
    let policy = &state.policy;
    let (session, is_gone) = match &state.session {
        Session::Down => ("no session".to_owned(), false),
        Session::Up { name, since, .. } if state.session_is_up(facts) => {
            (format!("session {} up since {}", text::line(name), since.clock()), false)
        }
        Session::Up { name, .. } => (format!("session {} is GONE: tmux ended", text::line(name)), true),
    };
    let setting = format!("  {}, {}  {session}", policy.mode, policy.preset);
    let place = tail(&text::line(&status.place), size.width.saturating_sub(setting.chars().count()).max(20));
    let first = cut(format!("{place}{setting}"));
    lines.push(if is_gone { ink.red(first) } else { first });
    lines.push(match &status.unguarded {
        Some(why) => ink.red(cut(format!("hooks  NOT IN PLACE: {why}"))),
        None => match &state.self_test {
            None => "hooks  in place, not tried yet".to_owned(),
            Some(test) if test.held => cut(format!(
                "hooks  in place, held when tried {} ago",
                human(facts.now.wall.ms_since(test.at))
            )),
            Some(test) => {
                let ago = human(facts.now.wall.ms_since(test.at));
                ink.red(cut(format!("hooks  DID NOT HOLD when tried {ago} ago: cmw-doctor")))
            }
        },
    });
    if let Some(first) = state.violations.first() {
        let what = first.refs.first().map_or_else(|| told(&first.cause), Tainted::told);
        let open = state.violations.len();
        lines.push(ink.red(cut(format!("VIOLATIONS {open}: V{} {what}", first.id))));
    }
    let over = crate::domain::decide::lapsed(state, facts);
    let lapsed = over.is_some_and(|reason| reason != Release::CommandEnded) || state.recovery().is_some();
    let lock = cut(format!("lock   {}", lock_line(state, facts)));
    lines.push(if lapsed { ink.yellow(lock) } else { lock });
    let waiters = waiter_lines(state, facts);
    lines.extend(waiters.iter().take(WAITERS_MAX).map(|line| cut(format!("     {line}"))));
    if waiters.len() > WAITERS_MAX {
        let last = lines.last_mut().expect("the lock has a line");
        let more = format!(" (and {} more)", waiters.len() - WAITERS_MAX);
        *last = format!("{}{more}", text::shorten(last, size.width - more.len()));
    }
    let late: Vec<String> = status
        .rows
        .iter()
        .filter(|row| row.undelivered > 0)
        .map(|row| format!("{} {}", row.role, row.undelivered))
        .collect();
    if !late.is_empty() {
        lines.push(ink.yellow(cut(format!("UNDELIVERED  {}", late.join(", ")))));
    }
    if status.user_mail > 0 {
        lines.push(format!("mail   {} unread for User", status.user_mail));
    }
    lines
}

/// The rows for which there is room: problems first, then who holds the lock or has mail, in the
/// order of the screen.
fn shown(rows: &[Row], room: usize) -> Vec<&Row> {
    if rows.len() <= room {
        return rows.iter().collect();
    }
    let is_problem =
        |row: &Row| matches!(row.liveness, Liveness::Crashed | Liveness::Stale | Liveness::Restarting);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|i| {
        let row = &rows[*i];
        let mail = row.mail.is_some_and(|mail| mail.new > 0);
        (!is_problem(row), !row.holds, !mail, *i)
    });
    // One line says how many are not shown.
    order.truncate(room - 1);
    order.sort_unstable();
    order.into_iter().map(|i| &rows[i]).collect()
}

/// `and 28 more: 26 ALIVE, 2 STARTING`.
fn rest(rows: &[Row], shown: &[&Row]) -> String {
    let hidden: Vec<&Row> =
        rows.iter().filter(|row| !shown.iter().any(|other| other.role == row.role)).collect();
    let mut kinds: Vec<Liveness> = hidden.iter().map(|row| row.liveness).collect();
    kinds.dedup();
    let count =
        |kind: &Liveness| format!("{} {kind}", hidden.iter().filter(|row| row.liveness == *kind).count());
    let counts: Vec<String> = kinds.iter().map(count).collect();
    format!("and {} more: {}", hidden.len(), counts.join(", "))
}

fn row_line(row: &Row, width: usize) -> String {
    let role = text::shorten(row.role.as_str(), width);
    let pane = text::line(row.pane.as_deref().unwrap_or("-"));
    let beat = row.beat_age_ms.map_or_else(|| "-".to_owned(), human);
    let mail = match row.mail {
        None => "?".to_owned(),
        Some(mail) if mail.new == 0 => "-".to_owned(),
        Some(mail) => mail.new.to_string(),
    };
    let lock = if row.holds { "[lock] " } else { "" };
    let paused = if row.paused { "[paused] " } else { "" };
    let task = row.task.as_deref().map(text::line).unwrap_or_default();
    let activity = match &row.activity {
        None | Some((Activity::Working, _)) => String::new(),
        Some((activity, ms)) => format!("[{} {}] ", text::line(&activity.words()), human(*ms)),
    };
    format!(
        "{:<10} {role:<width$} {pane:<5} {beat:>7} {mail:>4}  {paused}{lock}{activity}{task}",
        row.liveness
    )
}

fn paint(row: &Row, line: String, ink: Ink) -> String {
    let waits = matches!(
        row.activity,
        Some((Activity::NeedsPermission | Activity::NeedsInput | Activity::LimitReached { .. }, _))
    );
    match row.liveness {
        Liveness::Crashed => ink.red(line),
        Liveness::Stale | Liveness::Restarting => ink.yellow(line),
        Liveness::Alive if waits => ink.yellow(line),
        Liveness::NeverSeen | Liveness::Starting | Liveness::Alive | Liveness::Shutdown => line,
    }
}

/// The end of a text that is too long: of a path that is what tells.
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
mod tests;
