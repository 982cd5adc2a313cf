//! Checks that the JSON has exactly the fields that docs/health.md documents.

use std::collections::BTreeSet;

use crate::cli::cmw::screen::tests::busy;
use crate::cli::cmw::status_json::*;
use crate::domain::audit::journal_entry::ViolationCause;
use crate::domain::audit::self_test::SelfTest;
use crate::domain::audit::violation::Violation;
use crate::domain::freeze::freeze_state::BreakGlass;
use crate::domain::health::condition::Condition;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::release::Release;
use crate::domain::lock::write_lock::{Offer, Recovery, UnsavedWork, WriteLock};
use crate::domain::mail::priority::Priority;
use crate::domain::session::process::Process;
use crate::domain::util::time::WallTime;
use crate::domain::work::task;

const DOCUMENT: &str = include_str!("../../../docs/health.md");

/// The fields of the document's tables: `| `field` | … |`.
fn documented() -> BTreeSet<String> {
    let field = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    DOCUMENT.lines().filter_map(field).collect()
}

/// The fields of an object, down to those that are documented as a whole.
fn fields(value: &Value, path: &str, known: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    if known.contains(path) {
        found.insert(path.to_owned());
        return;
    }
    let has_more =
        known.iter().any(|k| k.starts_with(&format!("{path}.")) || k.starts_with(&format!("{path}[]")));
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let key = if path == "instances" { "ROLE" } else { key.as_str() };
                let below = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                fields(value, &below, known, found);
            }
        }
        Value::Array(all) if has_more || all.is_empty() => {
            all.iter().for_each(|one| fields(one, &format!("{path}[]"), known, found));
        }
        // A field that has subfields may be null.
        Value::Null if has_more => {}
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            found.insert(path.to_owned());
        }
    }
}

/// Statuses that together contain every field.
fn scenes() -> Vec<Status> {
    let mut full = busy(3, |_| Condition::Working);
    let (boot, process) =
        (full.facts.now.boot.clone(), Process { pid: 9, ..full.facts.dead.first().unwrap().clone() });
    let (until, wall) = (boot.plus(1_000), WallTime(0));
    let dev = full.rows[0].role.clone();
    full.state.self_test = Some(SelfTest { at: wall, held: true });
    full.state.violations =
        vec![Violation { id: 1, found: wall, cause: ViolationCause::Unknown, refs: Vec::new() }];
    full.state.glass =
        Some(BreakGlass { reason: "r".to_owned(), since: wall, until: until.clone(), until_at: wall });
    full.pins = Some(pins::PinStatus {
        wanted: true,
        all: 1,
        missing: Vec::new(),
        left: Vec::new(),
        foreign: Vec::new(),
    });
    let (name, socket, agent) = ("s".to_owned(), None, None);
    full.state.session = Session::Up { name, socket, server: process.clone(), agent, since: wall };
    full.state.tasks.insert(
        7,
        Task {
            id: 7,
            title: "t".to_owned(),
            body: None,
            wanted_by: Actor::User,
            assignee: dev.clone(),
            priority: Priority::Normal,
            after: Vec::new(),
            reviewers: Vec::new(),
            status: task::TaskStatus::Open,
            since: wall,
            made: wall,
            blocked: None,
        },
    );
    let second = Task { id: 8, after: vec![7], ..full.state.tasks[&7].clone() };
    full.state.tasks.insert(8, second);
    let mut offered = full.clone();
    let to = Actor::Role(dev.clone());
    offered.state.lock = WriteLock::Offered(Offer { ticket: 1, to, until: until.clone(), until_at: wall });
    let mut saving = full.clone();
    let files = full.state.held().unwrap().request.files.clone();
    let (former, reason) = (Actor::Role(dev), Release::Expired);
    let unsaved =
        UnsavedWork { token: 1, former, files, work_tree: None, reason, ended_at: wall, index_stays: false };
    saving.state.lock = WriteLock::Recovering(Recovery { unsaved, by: process, until, failure: None });
    vec![full, offered, saving]
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_there() {
    let known = documented();
    assert!(known.len() > 40, "the document was not understood");
    let mut found = BTreeSet::new();
    for status in scenes() {
        fields(&data(&status), "", &known, &mut found);
    }
    assert_eq!(
        known.difference(&found).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "documented and not there"
    );
    assert_eq!(
        found.difference(&known).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "there and not documented"
    );
}
