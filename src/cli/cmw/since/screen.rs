//! The screen of `cmw since`: 80×24, problems first, each section a few lines.
//!
//! Invariants (each has a test of the same name):
//! * `a_night_of_a_dozen_roles_fits_on_one_screen`, with room for the prompt below.
//! * `nothing_of_the_night_can_move_the_cursor` (docs/rules.md I14).

use crate::domain::audit::record::Record;
use crate::domain::describe::describe;
use crate::domain::event::Event;
use crate::domain::freeze::event::FreezeEvent;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::guard::git_ref::short;
use crate::domain::lock::describe::{ended, removed};
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::write_lock::WriteLock;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::rescue::note::rescue_name;
use crate::domain::util::sanitize;
use crate::domain::util::time::WallTime;
use crate::domain::util::time_arg;

use crate::cli::cmw::since::{LandedCommit, RefusalCount, SinceReport, is_over};
use crate::cli::inbox::list::age;
use crate::cli::lock::show::{lock_line, waiter_lines};
use crate::cli::style::{Colors, ScreenSize, Tone};

/// The most lines of a section.
const LINES_MAX: usize = 5;
/// The most lines of the commits, if there is room: a dozen roles.
const LANDED_MAX: usize = 12;
/// The least number of lines used, however small the terminal.
const ROOM_MIN: usize = 14;
/// The width of the section names.
const LABEL: usize = 10;
/// From this age on a time is shown with its date, in milliseconds.
const DAY_MS: u64 = 86_400_000;

struct Section {
    label: &'static str,
    tone: Tone,
    lines: Vec<String>,
    /// The command that shows the rest.
    more: String,
    max: usize,
    room: usize,
}

/// Renders the screen; one line when there is nothing to report.
#[must_use]
pub fn render(since: &SinceReport, next: &str, size: ScreenSize, ink: Colors) -> String {
    let mut sections = sections(since);
    sections.retain(|section| !section.lines.is_empty());
    let from = time_arg::minute(since.from);
    if sections.is_empty() {
        let log = match since.count {
            0 => String::new(),
            n => format!(" ({}: cmw-audit log --since {})", records(n), since.word),
        };
        return format!("nothing to report since {from}{log}");
    }
    let cut = |line: &str| sanitize::shorten(line.trim_end(), size.width);
    // The first line, the last one, and one for the prompt.
    share(&mut sections, size.height.saturating_sub(3).max(ROOM_MIN));
    let mut lines = vec![cut(&format!("since {from}: {}", records(since.count)))];
    for section in &sections {
        for (i, line) in section.shown().iter().enumerate() {
            let label = if i == 0 { section.label } else { "" };
            let line = cut(&format!("{label:<LABEL$}{line}"));
            lines.push(match section.tone {
                Tone::Bad => ink.red(line),
                Tone::Warn => ink.yellow(line),
                Tone::Plain => line,
            });
        }
    }
    lines.push(cut(&format!("next: {next}")));
    lines.join("\n")
}

fn records(count: usize) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

/// Gives each section one line, then distributes the rest in turns, the first sections first.
fn share(sections: &mut [Section], room: usize) {
    let mut left = room;
    for section in sections.iter_mut() {
        section.room = section.lines.len().min(1);
        left = left.saturating_sub(section.room);
    }
    for most in [2, LINES_MAX, LANDED_MAX] {
        loop {
            let before = left;
            for section in sections.iter_mut() {
                if left > 0 && section.room < section.lines.len().min(section.max).min(most) {
                    section.room += 1;
                    left -= 1;
                }
            }
            if left == before {
                break;
            }
        }
    }
}

impl Section {
    fn new(label: &'static str, tone: Tone, lines: Vec<String>, more: String) -> Self {
        Self { label, tone, lines, more, max: LINES_MAX, room: 0 }
    }

    /// Its lines, as far as there is room; the last one says how many are not shown.
    fn shown(&self) -> Vec<String> {
        let all = self.lines.len();
        if all <= self.room {
            return self.lines.clone();
        }
        let shown = self.room.saturating_sub(1);
        let rest = format!("and {} more: {}", all - shown, self.more);
        self.lines.iter().take(shown).cloned().chain([rest]).collect()
    }
}

fn sections(since: &SinceReport) -> Vec<Section> {
    let (word, now) = (&since.word, since.facts.now.wall);
    let log = |what: &str| format!("cmw-audit log {what} --since {word}");
    let at = |wall: WallTime| {
        if now.ms_since(since.from) > DAY_MS { time_arg::minute(wall) } else { wall.clock() }
    };
    let mut problems: Vec<String> = current(since);
    let new = since.problems.iter().filter(|record| !is_current(record, since));
    problems.extend(new.map(|record| {
        let over = if is_over(record, &since.state) { " (over)" } else { "" };
        format!("{}{over}", problem(record, &at(record.at)))
    }));
    let rescued = since.rescued.iter().map(|record| rescue(record, &at(record.at))).collect();
    let refused = since.refused.iter().map(|one| refusal(one, &at(one.last))).collect();
    let lost = since.lost.iter().map(|record| loss(record, &at(record.at))).collect();
    let landed = since.landed.iter().map(|one| landing(one, &at(one.at))).collect();
    let health = &since.health;
    let mut all = vec![
        Section::new("problems", Tone::Bad, problems, log("--severity high")),
        Section::new("crashes", Tone::Warn, health.crash_lines(&at), log("--event INSTANCE_CRASHED")),
        Section::new("rescued", Tone::Warn, rescued, "cmw-rescue list".to_owned()),
        Section::new("limits", Tone::Plain, health.limit_lines(), log("--event INSTANCE_PARKED")),
        Section::new(
            "unseen",
            Tone::Warn,
            health.undelivered_lines(&at),
            log("--event MESSAGES_UNDELIVERED"),
        ),
        Section::new("work", Tone::Plain, health.work_lines(), "cmw-work".to_owned()),
        Section::new("refused", Tone::Plain, refused, log("--event LOCK_REFUSED")),
        Section::new("lost", Tone::Warn, lost, log("--severity warning")),
        Section::new("mail", Tone::Plain, letters(since, now), "cmw-inbox".to_owned()),
        Section::new("landed", Tone::Plain, landed, log("--event COMMIT_VERIFIED")),
        Section::new("lock", Tone::Plain, lock(since), "cmw-lock queue".to_owned()),
    ];
    for section in all.iter_mut().filter(|section| section.label == "landed") {
        section.max = LANDED_MAX;
    }
    all
}

/// Current problems, whenever they began.
fn current(since: &SinceReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let FreezeState::Frozen { by, reason, since, .. } = &since.state.system {
        lines.push(format!("FROZEN by {by} since {}: {}", since.clock(), sanitize::line(reason)));
    }
    lines.extend(crate::cli::bypass::line(&since.state, &since.facts));
    lines.extend(since.damage.iter().cloned());
    if let Some(why) = &since.unguarded {
        lines.push(format!("hooks NOT INSTALLED: {}", sanitize::line(why)));
    }
    lines
}

/// Returns whether a record is about the freeze that is listed already as a current problem.
fn is_current(record: &Record, night: &SinceReport) -> bool {
    let FreezeState::Frozen { since, .. } = &night.state.system else { return false };
    matches!(record.event, Event::Freeze(FreezeEvent::SystemFrozen { .. })) && record.at == *since
}

fn problem(record: &Record, at: &str) -> String {
    format!("{at} {} {} {}", record.by, record.event.tag(), describe(record))
}

fn rescue(record: &Record, at: &str) -> String {
    let Event::Rescue(RescueEvent::WorkRescued { former, reference, files, skipped, .. }) = &record.event
    else {
        return String::new();
    };
    let count = sanitize::files(usize::try_from(*files).unwrap_or(usize::MAX));
    let not_all = if skipped.is_empty() { "" } else { ", NOT ALL" };
    let show = reference.as_ref().map(|name| format!(": cmw-rescue show {}", rescue_name(name)));
    format!("{at} {former} ({count}{not_all}){}", show.unwrap_or_default())
}

fn refusal(one: &RefusalCount, at: &str) -> String {
    let warned = if one.warned { ", only warned" } else { "" };
    format!("{}x {}: {} (last {at} {}{warned})", one.count, one.who, one.reason, one.action)
}

fn loss(record: &Record, at: &str) -> String {
    if let Event::Lock(LockEvent::LockReleased { lock_id, holder, reason, .. }) = &record.event {
        let holder = holder.in_sentence();
        return format!("{at} {holder} lost {}: {}", sanitize::line(lock_id), ended(reason));
    }
    if let Event::Lock(LockEvent::OfferMissed { waiter }) = &record.event {
        return format!("{at} {} missed an offer of the lock ({})", waiter.actor, waiter.missed);
    }
    let Event::Lock(LockEvent::WaiterRemoved { waiter, reason, .. }) = &record.event else {
        return String::new();
    };
    format!("{at} {waiter} {}", removed(*reason))
}

fn letters(since: &SinceReport, now: WallTime) -> Vec<String> {
    let line = |envelope: &crate::domain::mail::message::Envelope| {
        let (id, from) = (envelope.id.short(), envelope.sender());
        let (age, subject) = (age(now, envelope.created_at), sanitize::line(&envelope.subject));
        format!("{id} {from}, {}, {age} ago: {subject}", envelope.priority)
    };
    let mut lines: Vec<String> = since.mail.iter().map(line).collect();
    // A message that cannot be found is still new; reading the mailbox reports it.
    let new = since.mailbox.as_ref().map_or(0, |(_, new)| *new);
    if lines.is_empty() && new > 0 {
        lines.push(format!("{new} new: cmw-inbox"));
    }
    lines
}

fn landing(one: &LandedCommit, at: &str) -> String {
    let commits = if one.commits == 1 { "1 commit".to_owned() } else { format!("{} commits", one.commits) };
    let files = one.files.map_or_else(String::new, |count| format!(", {}", sanitize::files(count)));
    let newest = match &one.subject {
        Some(subject) => sanitize::line(subject),
        None => short(&one.newest).unwrap_or_default(),
    };
    format!("{}: {commits}{files}; {at} {newest}", one.who)
}

/// Returns the lock and its queue; nothing when it is free and the queue is empty.
fn lock(since: &SinceReport) -> Vec<String> {
    let (state, facts) = (&since.state, &since.facts);
    if state.lock == WriteLock::Free && state.queue.is_empty() {
        return Vec::new();
    }
    let waiters = waiter_lines(state, facts);
    std::iter::once(lock_line(state, facts))
        .chain(waiters.iter().map(|line| line.trim().to_owned()))
        .collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
