//! Every event: its record, its log, its severity, what it changes, and which messages it causes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use cmw::domain::audit::record::Record;
use cmw::domain::event;
use cmw::domain::evolve::evolve;
use cmw::domain::notices::notices;
use cmw::domain::state::State;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{compare, golden};
use crate::support::cast::facts;

fn records() -> Vec<Record> {
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("events.jsonl, line {}: {e}", i + 1))
    };
    golden("events.jsonl").lines().enumerate().map(parse).collect()
}

/// The tag as it is on disk.
fn tag(record: &Record) -> String {
    serde_json::to_value(record).unwrap()["event"].as_str().unwrap().to_owned()
}

fn start() -> State {
    serde_json::from_str(golden("state.jsonl").lines().next().unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The line, its severity and its place in the chain follow from number, time, actor and event.
#[test]
fn each_record_reads_and_is_written_back() {
    let (mut text, mut prev) = (String::new(), String::new());
    for record in records() {
        let again = Record::chain(record.seq, record.at, &record.by, record.event, &prev);
        text.push_str(&serde_json::to_string(&again).unwrap());
        text.push('\n');
        prev = again.hash;
    }
    compare("events.jsonl", &text);
    assert!(records().iter().all(Record::is_intact));
}

#[test]
fn every_tag_has_a_record() {
    let tags: BTreeSet<String> = records().iter().map(tag).collect();
    assert_eq!(tags, event::tags().iter().map(|tag| (*tag).to_owned()).collect());
    assert!(records().iter().all(|record| record.event.tag() == tag(record)));
    // Where the parser says which tags it knows, they are these.
    let mut line: Value = serde_json::from_str(golden("events.jsonl").lines().next().unwrap()).unwrap();
    line["event"] = "NO_SUCH_EVENT".into();
    let error = serde_json::from_value::<Record>(line).unwrap_err().to_string();
    if let Some((_, known)) = error.split_once("expected one of ") {
        let known: BTreeSet<String> = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(known, tags);
    }
}

#[test]
fn each_event_has_its_log_and_its_severities() {
    let mut table: BTreeMap<String, (&str, BTreeSet<String>)> = BTreeMap::new();
    for record in records() {
        let severity = serde_json::to_value(record.event.severity()).unwrap();
        let row = table.entry(tag(&record)).or_insert_with(|| (record.event.log(), BTreeSet::new()));
        assert_eq!(row.0, record.event.log());
        row.1.insert(severity.as_str().unwrap().to_owned());
    }
    let row = |(tag, (log, severities)): (&String, &(&str, BTreeSet<String>))| {
        format!("{tag} {log} {}\n", severities.iter().cloned().collect::<Vec<_>>().join(" "))
    };
    compare("logs.txt", &table.iter().map(row).collect::<String>());
}

/// All events, one after another: the digest of each state, what is different in it, and the last state.
#[test]
fn each_event_changes_the_state_as_it_did() {
    let mut state = start();
    let mut text = String::new();
    let fields = |state: &State| -> Map<String, Value> {
        serde_json::to_value(state).unwrap().as_object().unwrap().clone()
    };
    for record in records() {
        let before = fields(&state);
        evolve(&mut state, &record.event, record.at, &record.by);
        let digest = hex(&Sha256::digest(serde_json::to_vec(&state).unwrap()));
        let mut after = fields(&state);
        let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
        let gone: Vec<(String, Value)> = gone.map(|(key, _)| (key.clone(), Value::Null)).collect();
        after.retain(|key, value| before.get(key) != Some(value));
        after.extend(gone);
        writeln!(text, "{} {} {digest} {}", record.seq, tag(&record), Value::Object(after)).unwrap();
    }
    text.push_str(&serde_json::to_string(&state).unwrap());
    text.push('\n');
    compare("states.txt", &text);
}

/// Type, sender, recipient, priority and the keys of the body of every message; not its words.
#[test]
fn each_event_causes_the_messages_that_it_did() {
    let mut state = start();
    let mut text = String::new();
    for record in records() {
        let before = state.clone();
        evolve(&mut state, &record.event, record.at, &record.by);
        let now = facts(1_000_000, record.at.0, &BTreeSet::new());
        writeln!(text, "{} {}", record.seq, tag(&record)).unwrap();
        for notice in notices(&record.event, &record.by, &before, &state, &now) {
            let keys: Vec<&String> = notice.body.as_object().unwrap().keys().collect();
            let (from, to, kind) = (&notice.from, &notice.to, &notice.kind);
            writeln!(text, "  {kind} {} {from} -> {to} {keys:?}", notice.priority).unwrap();
        }
    }
    compare("notices.txt", &text);
}
