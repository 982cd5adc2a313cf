//! What the checks found, and how it is shown: problems first, each with its remedy.

use serde_json::{Value, json};

use crate::app::answer::Answer;
use crate::app::error::store_next;
use crate::app::exit::Exit;
use crate::cli::style::Colors;
use crate::domain::util::sanitize;
use crate::store::error::StoreError;

/// How severe an item is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Data on disk cannot be trusted.
    Damage,
    /// Something is wrong, and there is a remedy.
    Finding,
    /// Worth knowing.
    Note,
    /// In order.
    Fine,
}

impl Grade {
    /// Returns the word that is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Finding => "finding",
            Self::Note => "note",
            Self::Fine => "ok",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// How severe it is.
    pub grade: Grade,
    /// The name of the check.
    pub check: &'static str,
    /// What it found; safe to print.
    pub what: String,
    /// What to type.
    pub next: Option<String>,
}

/// The column in which an item's text begins.
const INDENT: usize = 20;

/// How a report is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReportStyle {
    pub(super) ink: Colors,
    /// Lines are wrapped at this width; `None`: not at all.
    pub(super) width: Option<usize>,
    pub(super) quiet: bool,
    pub(super) verbose: bool,
}

/// What all checks found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of the checks.
    pub items: Vec<CheckResult>,
    /// What was repaired or recorded.
    pub done: Vec<String>,
}

impl Report {
    fn add(&mut self, grade: Grade, check: &'static str, what: &str, next: &str) {
        let next = (!next.is_empty()).then(|| sanitize::line(next));
        self.items.push(CheckResult { grade, check, what: sanitize::line(what), next });
    }

    /// Adds that a check found no problem.
    pub(super) fn fine(&mut self, check: &'static str, what: impl AsRef<str>) {
        self.add(Grade::Fine, check, what.as_ref(), "");
    }

    /// Adds something worth knowing.
    pub(super) fn note(&mut self, check: &'static str, what: impl AsRef<str>, next: &str) {
        self.add(Grade::Note, check, what.as_ref(), next);
    }

    /// Adds a problem.
    pub(super) fn finding(&mut self, check: &'static str, what: impl AsRef<str>, next: &str) {
        self.add(Grade::Finding, check, what.as_ref(), next);
    }

    /// Adds that data cannot be trusted.
    pub(super) fn damage(&mut self, check: &'static str, what: impl AsRef<str>, next: &str) {
        self.add(Grade::Damage, check, what.as_ref(), next);
    }

    /// Adds an error of the store: damage, or a finding with its own remedy.
    pub(super) fn store_error(&mut self, check: &'static str, error: &StoreError) {
        let what = crate::app::error::with_causes(error);
        match error {
            StoreError::Damaged { remedy, .. } => self.damage(check, what, remedy),
            StoreError::Io { .. }
            | StoreError::TooLarge { .. }
            | StoreError::Newer { .. }
            | StoreError::Busy { .. }
            | StoreError::NotInitialised
            | StoreError::NotWritten { .. }
            | StoreError::Unconfirmed { .. }
            | StoreError::IdTaken { .. } => {
                let hint = next_of(error);
                self.finding(check, what, if hint == "cmw-doctor" { "" } else { &hint });
            }
        }
    }

    /// Findings and damage, the worst first.
    pub fn problems(&self) -> impl Iterator<Item = &CheckResult> {
        let of = |grade: Grade| self.items.iter().filter(move |item| item.grade == grade);
        of(Grade::Damage).chain(of(Grade::Finding))
    }

    /// Returns whether a gate that every change needs is held.
    pub(super) fn is_locked_out(&self) -> bool {
        self.problems().any(|item| item.check == "gates")
    }

    /// Returns the report as a tool's answer.
    pub(super) fn answer(&self, show: ReportStyle) -> Answer {
        let count = |grade: Grade| self.items.iter().filter(|item| item.grade == grade).count();
        let (damage, findings) = (count(Grade::Damage), count(Grade::Finding));
        let mut lines: Vec<String> = self.done.iter().map(|done| format!("done     {done}")).collect();
        let of = |grade: Grade| self.items.iter().filter(move |i| i.grade == grade).map(|i| shown(i, show));
        lines.extend(of(Grade::Damage).chain(of(Grade::Finding)));
        if !show.quiet {
            lines.extend(of(Grade::Note));
        }
        match (show.quiet, show.verbose) {
            (true, _) => {}
            (false, true) => lines.extend(of(Grade::Fine)),
            (false, false) => lines.push(wrapped(&format!("ok       {}", self.fine_checks()), 9, show.width)),
        }
        let exit = match (damage, findings) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::Refused,
            (_, _) => Exit::Damaged,
        };
        let first = self.problems().find_map(|item| item.next.clone());
        let mut answer = Answer::done(self.data(), lines.join("\n")).exiting(exit);
        let summary = match (damage, findings) {
            (0, 0) => format!("no problems found ({} checks)", self.items.len()),
            (0, n) => plural(n, "finding"),
            (d, 0) => format!("{d} × damage"),
            (d, n) => format!("{d} × damage, {}", plural(n, "finding")),
        };
        answer.note = match &first {
            Some(next) => format!("{summary}\nnext: {next}"),
            None => summary,
        };
        answer.hint = first;
        answer
    }

    /// Returns the checks that found nothing, by name.
    fn fine_checks(&self) -> String {
        let of = |check: &str, grade: Grade| self.items.iter().any(|i| i.check == check && i.grade == grade);
        let is_wrong = |check: &str| of(check, Grade::Damage) || of(check, Grade::Finding);
        let is_fine = |check: &&str| of(check, Grade::Fine) && !is_wrong(check);
        let mut names: Vec<&str> = self.items.iter().map(|i| i.check).filter(is_fine).collect();
        names.dedup();
        names.join(" ")
    }

    fn data(&self) -> Value {
        let item = |item: &CheckResult| json!({"grade": item.grade.as_str(), "check": item.check, "what": item.what, "next": item.next});
        json!({"items": self.items.iter().map(item).collect::<Vec<_>>(), "done": self.done})
    }
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

fn shown(item: &CheckResult, show: ReportStyle) -> String {
    let line = format!("{:<8} {:<10} {}", item.grade.as_str(), item.check, item.what);
    let line = wrapped(&line, INDENT, show.width);
    let line = match item.grade {
        Grade::Damage => show.ink.red(line),
        Grade::Finding => show.ink.yellow(line),
        Grade::Note | Grade::Fine => line,
    };
    match &item.next {
        // A command is never wrapped: it is to be copied.
        Some(next) => format!("{line}\n{:INDENT$}→ {next}", ""),
        None => line,
    }
}

/// Wraps a line between words; words that are longer than a line stay whole.
fn wrapped(line: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| line.chars().count() > *width) else { return line.to_owned() };
    let mut out = String::new();
    let mut column = 0;
    for word in line.split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if column > indent && column + length > width {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        }
        out.push_str(word);
        column += word.chars().count();
    }
    out
}

/// Returns the command to type after an error of the store.
fn next_of(error: &StoreError) -> String {
    let text = store_next(error);
    text.lines().last().unwrap_or_default().trim_start_matches("next: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_first_each_with_its_remedy() {
        let mut report = Report::default();
        report.fine("git", "2.47");
        report.finding("hooks", "pre-commit \x1b[2J is missing", "cmw-doctor --fix");
        report.fine("hooks", "the others are there");
        report.damage("audit", "broken", "");
        report.note("fsync", "unset", "");
        let show = ReportStyle { ink: Colors::NONE, width: None, quiet: false, verbose: false };
        let answer = report.answer(show);
        let expected = "damage   audit      broken\n\
                        finding  hooks      pre-commit \\u{1b}[2J is missing\n                    \
                        → cmw-doctor --fix\nnote     fsync      unset\nok       git";
        assert_eq!(answer.text, expected);
        assert_eq!(answer.note, "1 × damage, 1 finding\nnext: cmw-doctor --fix");
        assert_eq!(answer.exit, Exit::Damaged);
        assert!(
            report
                .answer(ReportStyle { verbose: true, ..show })
                .text
                .ends_with("hooks      the others are there")
        );
        assert!(!report.answer(ReportStyle { quiet: true, ..show }).text.contains("\nok "));
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("ok  aa bb cc", 4, Some(7)), "ok  aa\n    bb\n    cc");
        assert_eq!(wrapped("ok  a-very-long-word b", 4, Some(9)), "ok  a-very-long-word\n    b");
        assert_eq!(wrapped("ok  aa bb", 4, None), "ok  aa bb");
    }
}
