//! Each kind of record that has a form of its own on disk: parsed and serialised, it is the same bytes.

use std::collections::BTreeSet;
use std::fmt::Write;

use cmw::domain::audit::anchor::Anchor;
use cmw::domain::audit::journal_entry::JournalEntry;
use cmw::domain::health::client::Client;
use cmw::domain::identity::actor::Actor;
use cmw::domain::mail::message::{Draft, Envelope};
use cmw::domain::mail::receipt::Receipt;
use cmw::domain::state::State;
use cmw::domain::util::time::WallTime;
use cmw::store::document::Document;
use cmw::store::freeze::pins::PinMarker;
use cmw::store::guard::edits::Edit;
use cmw::store::health::heartbeats::Heartbeat;
use cmw::store::health::monitor::{MonitorRecord, NotifyCursor, PaneEnd};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{compare, golden};

/// Every line of a file, parsed and serialised.
fn same<T: Serialize + DeserializeOwned>(name: &str) -> Vec<T> {
    let file = format!("{name}.jsonl");
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{file}, line {}: {e}", i + 1))
    };
    let all: Vec<T> = golden(&file).lines().enumerate().map(parse).collect();
    let text: String = all.iter().map(|one| serde_json::to_string(one).unwrap() + "\n").collect();
    compare(&file, &text);
    all
}

#[test]
fn each_record_reads_and_is_written_back() {
    same::<State>("state");
    same::<JournalEntry>("journal");
    same::<Receipt>("receipts");
    same::<Heartbeat>("beats");
    same::<Client>("clients");
    same::<Edit>("edits");
    same::<MonitorRecord>("watchers");
    same::<PaneEnd>("ended");
    same::<NotifyCursor>("told");
    same::<PinMarker>("pin-markers");
    same::<Anchor>("anchors");
}

/// The document of a new repository, whose last record has the digest of its state.
#[test]
fn a_document_reads_and_is_written_back() {
    let state = serde_json::from_str(golden("state.jsonl").lines().next().unwrap()).unwrap();
    let first = Document::new(state, WallTime(1_763_337_601_007), &Actor::User);
    let text = serde_json::to_string(&first).unwrap() + "\n";
    compare("documents.jsonl", &text);
    let read = Document::parse(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap() + "\n", text);
}

/// The canonical bytes of each message with their digest, and the file in a mailbox.
#[test]
fn each_message_has_the_same_canonical_bytes_and_file() {
    let mut text = String::new();
    for (seq, draft) in (1..).zip(same::<Draft>("messages")) {
        let sealed = draft.seal().unwrap();
        let file = sealed.numbered(seq).to_file();
        assert_eq!(Envelope::from_file(&file).unwrap().to_file(), file);
        let canonical = sealed.canonical();
        assert_eq!(Draft::from_canonical(canonical).unwrap().seal().unwrap().canonical(), canonical);
        write!(text, "{} {canonical}\n{file}", sealed.sha256()).unwrap();
    }
    compare("messages-sealed.txt", &text);
}

/// A kind of entry that is new does not compile until it is named here, and needs a line.
#[test]
fn the_journal_has_each_kind_of_entry() {
    let kind = |entry: &JournalEntry| match entry {
        JournalEntry::Intent { .. } => "intent",
        JournalEntry::Observed { .. } => "observed",
        JournalEntry::Aborted { .. } => "aborted",
        JournalEntry::Refused { .. } => "refused",
        JournalEntry::Warned { .. } => "warned",
        JournalEntry::Baseline { .. } => "baseline",
        JournalEntry::Strayed { .. } => "strayed",
    };
    let kinds: BTreeSet<&str> = same::<JournalEntry>("journal").iter().map(kind).collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}
