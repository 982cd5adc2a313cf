//! The one harness of all tests that run the built programs: a [`World`] and its transcripts.
//!
//! A transcript is what a terminal would show: the command, what it says, how it ends. All of it is
//! compared with `tests/transcripts/<name>.txt`; `CMW_BLESS=1` writes those files anew.

#![expect(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "each test file uses a part of the harness, and what it cannot do ends the test"
)]

pub(crate) mod agent;
pub(crate) mod cast;
pub(crate) mod damage;
pub(crate) mod programs;
pub(crate) mod session;
pub(crate) mod wait;
pub(crate) mod whole;
pub(crate) mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex_lite::{Captures, Regex};

pub(crate) use agent::{Agent, Output, Pending};
pub(crate) use world::{World, gits};

/// These keep the expectations above true in a test file that uses everything.
const USED_BY_NOBODY: () = ();
use std::fmt::Debug as _;

/// A transcript in the making.
pub(crate) struct Transcript<'a> {
    world: &'a World,
    text: String,
}

impl<'a> Transcript<'a> {
    /// An empty one.
    pub(crate) fn of(world: &'a World) -> Self {
        Self { world, text: String::new() }
    }

    /// A role types a command.
    pub(crate) fn agent(&mut self, role: &str, line: &str) -> Output {
        let output = self.world.agent(role).run(line);
        self.show(&output);
        output
    }

    /// The person types a command at a terminal.
    pub(crate) fn person(&mut self, line: &str) -> Output {
        let output = self.world.person().run(line);
        self.show(&output);
        output
    }

    /// A command runs somewhere without a role and without a terminal.
    pub(crate) fn unidentified(&mut self, line: &str) -> Output {
        let output = self.world.unidentified().run(line);
        self.show(&output);
        output
    }

    /// Adds what was run elsewhere, such as a [`Pending`] command that has ended.
    pub(crate) fn show(&mut self, output: &Output) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&output.to_string());
    }

    /// A line of explanation.
    pub(crate) fn note(&mut self, words: &str) {
        self.text.push_str(&format!("\n# {words}\n"));
    }

    /// The whole text, comparable.
    pub(crate) fn text(&self) -> String {
        normalised(&self.text, self.world)
    }
}

/// Compares a transcript with `tests/transcripts/<name>.txt`, or writes it under `CMW_BLESS=1`.
pub(crate) fn assert_transcript(name: &str, text: &str) {
    let path: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(format!("{name}.txt"));
    if std::env::var_os("CMW_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; CMW_BLESS=1 writes it. It would be:\n{text}", path.display()));
    if let Some((i, (was, is))) = expected.lines().zip(text.lines()).enumerate().find(|(_, (a, b))| a != b) {
        panic!("{} differs in line {}\n  was: {was}\n  is:  {is}\nall of it:\n{text}", path.display(), i + 1);
    }
    assert_eq!(expected, text, "{} has more or fewer lines", path.display());
}

/// Replaces what differs from run to run.
pub(crate) fn normalised(text: &str, world: &World) -> String {
    let text = text.replace(&world.root().display().to_string(), "[DIR]");
    let text = text.replace(&world.tools().display().to_string(), "[TOOLS]");
    let text = numbered(&text, r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "ULID");
    let text = replaced(&text, r"\b[0-9a-f]{64}\b", "[HASH]");
    let text = numbered(&text, r"\b[0-9a-f]{40}\b", "OID");
    let text = replaced(&text, r#""boot":"[0-9a-f-]{36}""#, r#""boot":"[BOOT]""#);
    let text = replaced(&text, r"\b\d{4}-\d\d-\d\dT\d\d:?\d\d:?\d\d(\.\d+)?Z(-\d+)?", "[TIME]");
    let text = replaced(&text, r"\b\d\d:\d\dZ", "[HH:MM]");
    let text = replaced(&text, r"\b\d+[smhd]( \d+[smhd])? left", "[LEFT] left");
    let text = replaced(&text, r"\b(waiting for|away for|after) \d+[smhd]( \d+[smhd])?", "$1 [AGE]");
    let text = replaced(&text, r#""(left_s|estimate_s|ticks|start_ticks|pid)":( ?)\d+"#, "\"$1\":$2[N]");
    replaced(&text, r"\b(process|pid) \(?\d+\)?", "$1 [PID]")
}

fn replaced(text: &str, pattern: &str, by: &str) -> String {
    Regex::new(pattern).unwrap().replace_all(text, by).into_owned()
}

/// Replaces each different match by `[NAME-n]`, in order of appearance.
fn numbered(text: &str, pattern: &str, name: &str) -> String {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let number = |found: &Captures<'_>| {
        let next = seen.len() + 1;
        format!("[{name}-{}]", *seen.entry(found[0].to_owned()).or_insert(next))
    };
    Regex::new(pattern).unwrap().replace_all(text, number).into_owned()
}
