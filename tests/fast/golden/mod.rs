//! Everything that is written to disk, byte for byte: keys, tags, numbers and digests never change.
//!
//! `tests/fast/golden/files/` holds lines as they are on disk. Each must parse and serialise to the same
//! bytes; the events in it are also applied one after another, and a history of commands is run on a
//! disk in memory. `CMW_BLESS=1` writes the files anew: a difference in them is a change of the format.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::path::PathBuf;

mod events;
mod history;
mod lines;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fast/golden/files").join(name)
}

/// Reads a golden file.
fn golden(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}; CMW_BLESS=1 writes it"))
}

/// Compares with a golden file, or writes it under `CMW_BLESS=1`.
#[expect(clippy::disallowed_methods, reason = "a test writes its own golden files")]
fn compare(name: &str, text: &str) {
    let there = std::fs::read_to_string(path(name)).unwrap_or_default();
    if there == text {
        return;
    }
    if std::env::var_os("CMW_BLESS").is_some() {
        std::fs::write(path(name), text).unwrap();
        return;
    }
    let differs = |(old, new): &(&str, &str)| old != new;
    let pairs = there.lines().zip(text.lines()).enumerate();
    match pairs.map(|(i, pair)| (i + 1, pair)).find(|(_, pair)| differs(pair)) {
        Some((line, (old, new))) => panic!("{name}, line {line}:\n  golden: {old}\n  now:    {new}"),
        None => panic!("{name}: {} lines instead of {}", text.lines().count(), there.lines().count()),
    }
}
