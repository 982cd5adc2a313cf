//! Descriptions of events for people: one sentence for each, in its subject's folder.
//!
//! Invariants (each has a test of the same name):
//! * `every_event_is_told_in_one_safe_line` (docs/rules.md I14)
//! * `the_list_of_tags_is_whole`

use crate::domain::audit;
use crate::domain::audit::record::Record;
use crate::domain::audit::severity::Severity;
use crate::domain::event::Event;
use crate::domain::freeze;
use crate::domain::health;
use crate::domain::lock;
use crate::domain::mail;
use crate::domain::policy;
use crate::domain::rescue;
use crate::domain::session;
use crate::domain::util::time_arg;
use crate::domain::work;

/// Returns what happened, in one sentence that follows who caused it and its tag.
#[must_use]
pub fn describe(record: &Record) -> String {
    let by = &record.by;
    match &record.event {
        Event::Policy(event) => policy::describe::describe(event, by),
        Event::Session(event) => session::describe::describe(event, by),
        Event::Health(event) => health::describe::describe(event),
        Event::Work(event) => work::describe::describe(event),
        Event::Lock(event) => lock::describe::describe(event, by),
        Event::Rescue(event) => rescue::describe::describe(event),
        Event::Freeze(event) => freeze::describe::describe(event),
        Event::Audit(event) => audit::describe::describe(event, by),
        Event::Mail(event) => mail::describe::describe(event),
    }
}

/// Returns one line of a log: number, time, a mark when it needs attention, who, the tag, and the sentence.
#[must_use]
pub fn line(record: &Record) -> String {
    let (at, mark) = (time_arg::minute(record.at), mark(record.severity));
    let (tag, told) = (record.event.tag(), describe(record));
    format!("{} {at} {mark}{} {tag} {told}", record.seq, record.by).trim_end().to_owned()
}

/// Returns a mark that is visible without colours too.
#[must_use]
pub fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "",
        Severity::Warning => "! ",
        Severity::High => "!! ",
    }
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
