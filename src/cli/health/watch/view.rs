//! Draws the screen of `cmw-health --watch` from the model and the terminal's size.
//!
//! Invariants (each has a test of the same name):
//! * `it_fits_into_every_terminal`, however small, and shows at least some of the instances.
//! * `nothing_that_is_drawn_can_move_the_cursor` (docs/rules.md I14).

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line as Styled;

use crate::cli::cmw::screen;
use crate::cli::health::instance_table;
use crate::cli::style::{Line, Tone};
use crate::domain::audit::violation::{describe_cause, describe_movements};
use crate::domain::util::sanitize;
use crate::domain::util::time::brief;
use crate::domain::work::task::Task;

use crate::cli::health::watch::model::{MailView, MessageRow, Model, Page, Question, View};

/// The least number of instances shown, if there are that many, however small the terminal.
const ROWS_MIN: usize = 3;
/// The keys, as far as there is room.
const KEYS: &str = " Enter pane  m mail  r restart  p pause  f force-release  t thaw  ? help  q quit";
/// The keys while a text is shown.
const SHEET_KEYS: &str = " j/k scroll  any other key: back";
/// The keys while messages are listed.
const MAIL_KEYS: &str = " j/k select  Enter show  Esc back";

/// Whether colours are used; without them problems are bold, and warnings underlined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Whether there are colours.
    pub colours: bool,
}

impl Palette {
    fn of(self, tone: Tone) -> Style {
        match (tone, self.colours) {
            (Tone::Plain, _) => Style::new(),
            (Tone::Warn, true) => Style::new().fg(Color::Yellow),
            (Tone::Bad, true) => Style::new().fg(Color::Red),
            (Tone::Warn, false) => Style::new().add_modifier(Modifier::UNDERLINED),
            (Tone::Bad, false) => Style::new().add_modifier(Modifier::BOLD),
        }
    }
}

/// Draws the model.
pub fn draw(model: &Model, paint: Palette, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.height == 0 || area.width == 0 {
        return;
    }
    match &model.face {
        View::Table | View::Ask(_) => table(model, paint, frame),
        View::Sheet(sheet) => show_sheet(sheet, frame),
        View::Mail(mail) => show_mail(mail, frame),
        View::Letter(_, sheet) => show_sheet(sheet, frame),
    }
}

/// Draws one line at a row of the screen; does nothing outside it.
fn put(frame: &mut Frame<'_>, y: usize, words: &str, style: Style) {
    let area = frame.area();
    let Some(y) = u16::try_from(y).ok().filter(|y| *y < area.height) else { return };
    let line = Rect { y: area.y + y, height: 1, ..area };
    frame.render_widget(Styled::styled(words, style), line);
}

/// Draws the last line: the keys.
fn put_keys(frame: &mut Frame<'_>, keys: &str) {
    let (height, width) = (usize::from(frame.area().height), usize::from(frame.area().width));
    let line = format!("{:<width$}", sanitize::shorten(keys, width));
    put(frame, height - 1, &line, Style::new().add_modifier(Modifier::REVERSED));
}

/// The parts of the screen.
struct Layout {
    head: Vec<Line>,
    /// The first instance shown, and how many.
    first: usize,
    rows: usize,
    foot: Vec<Line>,
}

fn layout(model: &Model) -> Layout {
    let (width, height) = (usize::from(model.size.0), usize::from(model.size.1));
    let foot = foot(model, width);
    let count = model.rows().len();
    // One line for the column headings, one for the keys.
    let room = height.saturating_sub(foot.len() + 2);
    let least = count.min(ROWS_MIN);
    let mut head = head(model, width, room.saturating_sub(count));
    fit(&mut head, room.saturating_sub(least));
    let rows = room.saturating_sub(head.len()).min(count);
    // The selected line stays in the middle while there are others to show on both sides.
    let first = model.at().saturating_sub(rows / 2).min(count - rows);
    Layout { head, first, rows, foot }
}

/// Removes lines until the rest fits, the least severe ones first.
fn fit(lines: &mut Vec<Line>, room: usize) {
    for tone in [Tone::Plain, Tone::Warn, Tone::Bad] {
        while lines.len() > room
            && let Some(last) = lines.iter().rposition(|line| line.tone == tone)
        {
            lines.remove(last);
        }
    }
}

/// Returns the lines above the table.
fn head(model: &Model, width: usize, room: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(trouble) = &model.trouble {
        lines.push(Line::bad(format!("CANNOT UPDATE: {}", sanitize::line(trouble))));
    }
    let Some(status) = &model.status else {
        if model.trouble.is_none() {
            lines.push(Line::plain("loading …"));
        }
        return lines;
    };
    if model.trouble.is_some() {
        lines.push(Line::warn(format!("last update {}", status.facts.now.wall.clock())));
    }
    let others = screen::head(status, width, 0).len();
    lines.extend(screen::head(status, width, room.saturating_sub(others + lines.len()).max(3)));
    lines
}

/// Returns the lines below the table, as far as there is room: every violation, and the open tasks.
fn below(model: &Model, room: usize) -> Vec<Line> {
    let Some(status) = &model.status else { return Vec::new() };
    let (state, now) = (&status.state, status.facts.now.wall);
    let mut lines = Vec::new();
    if state.violations.len() > 1 {
        lines.extend(state.violations.iter().map(|violation| {
            let refs = describe_movements(&violation.refs);
            let what = refs.into_iter().next().unwrap_or_else(|| describe_cause(&violation.cause));
            Line::bad(format!(
                "V{:<4} found {} ago: {what}",
                violation.id,
                brief(now.ms_since(violation.found))
            ))
        }));
    }
    let mut tasks: Vec<&Task> = state.tasks.values().filter(|task| task.is_pending()).collect();
    tasks.sort_by_key(|task| (task.blocked.is_none(), task.status, task.priority, task.id));
    lines.extend(tasks.iter().map(|task| {
        let blocked = task.blocked.as_ref().map(|why| format!(" BLOCKED: {}", sanitize::line(why)));
        let (id, since) = (format!("T{}", task.id), brief(now.ms_since(task.since)));
        let tone = if blocked.is_some() { Tone::Warn } else { Tone::Plain };
        let (state, who, title) = (task.status.as_str(), task.assignee.as_str(), sanitize::line(&task.title));
        let text = format!("{id:<5} {state:<7} {who:<12} {since:>4}  {title}{}", blocked.unwrap_or_default());
        Line { tone, text }
    }));
    if lines.len() > room {
        let hidden = lines.len() - room.saturating_sub(1);
        lines.truncate(room.saturating_sub(1));
        lines.extend((room > 0).then(|| Line::plain(format!("and {hidden} more"))));
    }
    lines
}

/// Returns the lines at the bottom: the question, or the running command, its result, or the suggested next
/// step.
fn foot(model: &Model, width: usize) -> Vec<Line> {
    if let View::Ask(question) = &model.face {
        return wrapped(&asked(question), width).into_iter().map(Line::warn).collect();
    }
    let line = match (&model.running, &model.said, &model.status) {
        (Some(running), _, _) => Line::plain(format!("running: {}", sanitize::line(running))),
        (None, Some((tone, said)), _) => Line { tone: *tone, text: sanitize::line(said) },
        (None, None, Some(status)) => Line::plain(format!("next: {}", status.next)),
        (None, None, None) => Line::plain(""),
    };
    vec![line]
}

fn asked(question: &Question) -> String {
    match &question.reason {
        None => format!("{} y: yes; any other key: no", question.what),
        Some(reason) => format!("{} Enter: yes; Esc: no. Reason: {reason}▏", question.what),
    }
}

fn table(model: &Model, paint: Palette, frame: &mut Frame<'_>) {
    let Layout { head, first, rows, foot } = layout(model);
    let width = usize::from(frame.area().width);
    let mut y = 0;
    for line in &head {
        put(frame, y, &sanitize::shorten(&line.text, width), paint.of(line.tone));
        y += 1;
    }
    let role_width = screen::role_width(model.rows());
    put(frame, y, &instance_table::heading(role_width), Style::new().add_modifier(Modifier::BOLD));
    for (i, row) in model.rows().iter().enumerate().skip(first).take(rows) {
        y += 1;
        let style = paint.of(screen::tone(row));
        let style = if i == model.at() { style.add_modifier(Modifier::REVERSED) } else { style };
        put(frame, y, &format!("{:<width$}", instance_table::line(row, role_width)), style);
    }
    let above = usize::from(frame.area().height).saturating_sub(foot.len() + 1);
    // Between the instances and the foot, with an empty line on both sides.
    let room = above.saturating_sub(y + 3);
    for (i, line) in below(model, room).iter().enumerate() {
        put(frame, y + 2 + i, &sanitize::shorten(&line.text, width), paint.of(line.tone));
    }
    for (i, line) in foot.iter().enumerate() {
        put(frame, above + i, &line.text, paint.of(line.tone));
    }
    let hidden = model.rows().len() - rows;
    let keys = if hidden > 0 { format!(" {hidden} more {KEYS}") } else { KEYS.to_owned() };
    put_keys(frame, &keys);
}

/// Returns the instance at this row of the screen.
#[must_use]
pub fn row_at(model: &Model, y: u16) -> Option<usize> {
    let Layout { head, first, rows, .. } = layout(model);
    let at = usize::from(y).checked_sub(head.len() + 1)?;
    (at < rows).then_some(first + at)
}

/// Returns how many lines of a sheet fit: all but its title and the keys.
fn sheet_room(height: u16) -> usize {
    usize::from(height).saturating_sub(2).max(1)
}

/// Returns how far a sheet can be scrolled.
#[must_use]
pub fn last_top(sheet: &Page, (width, height): (u16, u16)) -> usize {
    wrapped(&sheet.words, usize::from(width)).len().saturating_sub(sheet_room(height))
}

fn show_sheet(sheet: &Page, frame: &mut Frame<'_>) {
    let area = frame.area();
    let lines = wrapped(&sheet.words, usize::from(area.width));
    let room = sheet_room(area.height);
    let top = sheet.top.min(lines.len().saturating_sub(room));
    put(frame, 0, &sanitize::line(&sheet.title), Style::new().add_modifier(Modifier::BOLD));
    for (i, line) in lines.iter().skip(top).take(room).enumerate() {
        put(frame, i + 1, line, Style::new());
    }
    let below = lines.len().saturating_sub(top + room);
    let more = if below > 0 { format!(" {below} more lines") } else { String::new() };
    put_keys(frame, &format!("{more}{SHEET_KEYS}"));
}

fn show_mail(mail: &MailView, frame: &mut Frame<'_>) {
    let area = frame.area();
    let room = sheet_room(area.height);
    let new = mail.letters.iter().filter(|letter| letter.is_new).count();
    let title = format!("{}: {new} unread (*), {} taken up", mail.role, mail.letters.len() - new);
    put(frame, 0, &title, Style::new().add_modifier(Modifier::BOLD));
    let first = mail.at.saturating_sub(room / 2).min(mail.letters.len().saturating_sub(room));
    let width = usize::from(area.width);
    for (i, letter) in mail.letters.iter().enumerate().skip(first).take(room) {
        let MessageRow { line, is_new, .. } = letter;
        let line = sanitize::line(&format!("{} {line}", if *is_new { '*' } else { ' ' }));
        let style = if i == mail.at { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        put(frame, i - first + 1, &format!("{:<width$}", sanitize::shorten(&line, width)), style);
    }
    put_keys(frame, MAIL_KEYS);
    frame.set_cursor_position(Position { x: 0, y: area.height - 1 });
}

/// Wraps a text to a width, between words where possible; safe to write.
#[must_use]
pub fn wrapped(words: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for line in sanitize::block(words).lines() {
        let line = line.replace('\t', "    ");
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > width {
            // The space at which a line is broken belongs to neither line.
            let space = rest[..=width].iter().rposition(|c| *c == ' ').filter(|at| *at > 0);
            let end = space.unwrap_or(width);
            lines.push(rest[..end].iter().collect::<String>().trim_end().to_owned());
            rest.drain(..end + usize::from(space.is_some()));
        }
        lines.push(rest.into_iter().collect());
    }
    lines
}
