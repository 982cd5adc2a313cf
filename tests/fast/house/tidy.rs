//! Keeps the house: who may import whom, how long files may grow, what stands nowhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// One file of ours.
struct Source {
    /// Relative to the repository, with `/`.
    name: String,
    text: String,
    /// The part that is no test, without comments; lines keep their numbers.
    code: String,
}

impl Source {
    fn read(path: &Path) -> Self {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(path).unwrap();
        let code = code(&name, &text);
        Self { name, text, code }
    }

    /// Where the pattern is found in the code, as `file:line: text`.
    fn hits(&self, pattern: &Regex) -> Vec<String> {
        let lines = self.code.lines().enumerate().filter(|(_, line)| pattern.is_match(line));
        lines.map(|(i, line)| format!("{}:{}: {}", self.name, i + 1, line.trim())).collect()
    }
}

fn code(name: &str, text: &str) -> String {
    if name.ends_with("tests.rs") || name.starts_with("tests/") {
        return String::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let is_test = |i: &usize| {
        let behind = lines[*i..].iter().find(|line| !line.starts_with('#'));
        lines[*i] == "#[cfg(test)]" && behind.is_some_and(|line| line.starts_with("mod "))
    };
    let end = (0..lines.len()).find(is_test).unwrap_or(lines.len());
    let bare = |line: &&str| match line.trim_start().starts_with("//") {
        true => String::new(),
        false => line.split_once(" // ").map_or(*line, |(code, _)| code).to_owned(),
    };
    lines[..end].iter().map(bare).collect::<Vec<_>>().join("\n")
}

fn all_hits(files: &[Source], pattern: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).unwrap();
    files.iter().flat_map(|file| file.hits(&pattern)).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn below(dir: &str) -> Vec<Source> {
    let entries = walkdir::WalkDir::new(root().join(dir)).sort_by_file_name().into_iter();
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|e| e == "rs");
    let paths = entries.map(|entry| entry.unwrap().into_path()).filter(is_rust);
    paths.map(|path| Source::read(&path)).collect()
}

fn programs() -> Vec<Source> {
    all_below(&["src", "hooks"])
}

fn all_below(dirs: &[&str]) -> Vec<Source> {
    dirs.iter().flat_map(|dir| below(dir)).collect()
}

#[track_caller]
fn assert_none(what: &str, hits: &[String]) {
    assert!(hits.is_empty(), "{what}:\n{}", hits.join("\n"));
}

#[test]
fn the_domain_is_pure() {
    let impure = r"\bstd::(fs|env|process|net|io|thread|time)\b|SystemTime|\bInstant\b|\brustix\b|\bclap\b|Utc::now|Local::now|\bunsafe\b";
    assert_none("the rules are given what they know of the world", &all_hits(&below("src/domain"), impure));
}

#[test]
fn each_kind_of_library_has_its_place() {
    for (library, places) in [
        ("clap", &["src/cli/"][..]),
        ("signal_hook", &["src/app/", "src/cli/"]),
        // Another user of it would link it.
        ("ratatui", &["src/cli/health/watch/"]),
        (
            r"rustix::fs::(openat2?|renameat\w*|flock|unlinkat|linkat|ftruncate)",
            &["src/store/", "src/adapters/os/worktree_writer.rs"],
        ),
        ("chrono", &["src/domain/"]),
        ("glob", &["src/domain/lock/claim.rs"]),
        ("tz", &["src/adapters/os/timezone.rs"]),
    ] {
        let mut files = programs();
        files.retain(|file| !places.iter().any(|place| file.name.starts_with(place)));
        let hits = all_hits(&files, &format!(r"\b{library}(::|\()"));
        assert_none(&format!("{library} has its place in {places:?}"), &hits);
    }
}

#[test]
fn app_prints_nothing() {
    let prints = r"\bstdio::|\bstd::io::std(out|err)\(\)\.lock";
    let mut files = below("src/app");
    // What a client's hook tells a model is noted as told only after it was written, under the same lock.
    files.retain(|file| !file.name.starts_with("src/app/client/"));
    assert_none("what the programs say is said by cli and hooks", &all_hits(&files, prints));
}

#[test]
fn the_first_line_says_what_a_file_is_for() {
    let all = all_below(&["src", "hooks", "tests"]);
    let hits: Vec<String> =
        all.iter().filter(|f| !f.text.starts_with("//! ")).map(|f| f.name.clone()).collect();
    assert_none("no //! in the first line", &hits);
    let owners = programs().into_iter().filter(|f| f.text.starts_with("//! Owns ")).map(|f| f.name);
    assert_none("a first line says what a file is for, in plain words", &owners.collect::<Vec<_>>());
}

/// The most lines that a file may have.
const LINES_MAX: usize = 450;
/// Files that are longer, how long they may be, and why. The list only shrinks.
const LONGER: &[(&str, usize, &str)] = &[
    ("src/store/disk.rs", 580, "the trait, its one real implementation and their tests"),
    ("tests/fast/store/bad_input.rs", 520, "one table and its helpers"),
    ("tests/fast/git/adapter.rs", 665, "one world for all questions to git"),
    ("tests/support/crash_disk.rs", 560, "the whole model of a disk that crashes"),
];

#[test]
fn files_stay_short() {
    for file in all_below(&["src", "hooks", "tests"]) {
        let lines = file.text.lines().count();
        let longer = LONGER.iter().find(|(name, ..)| *name == file.name);
        let most = longer.map_or(LINES_MAX, |(_, most, _)| *most);
        assert!(lines <= most, "{} has {lines} lines, and may have {most}: split it by noun", file.name);
        assert!(longer.is_none() || lines > LINES_MAX, "{} is short again: take it off the list", file.name);
        if file.name.starts_with("src/bin/") {
            assert!(lines <= 20, "{} has {lines} lines; a program's words belong into cli/", file.name);
        }
    }
    for (name, ..) in LONGER {
        assert!(root().join(name).exists(), "{name} is gone: take it off the list");
    }
}

#[test]
fn what_stands_nowhere() {
    let programs = programs();
    for (what, pattern) in [
        ("unwrap in a program", r"\.unwrap\(\)"),
        ("an expectation that lies", r"\.expect\(\s*\x22\x22\s*\)"),
        ("unfinished work", r"\b(todo|unimplemented)!|\bTODO\b|\bFIXME\b|\bXXX\b|@nocommit"),
        ("words past the handles", r"\be?print(ln)?!|\bdbg!"),
        ("a lint switched off", r"#!?\[allow\("),
        ("unsafe code", r"\bunsafe (fn|impl|\{)"),
    ] {
        assert_none(what, &all_hits(&programs, pattern));
    }
    let me = "tests/fast/house/tidy.rs";
    let nowhere = Regex::new(r"@nocommit|\bTODO\b|\bFIXME\b|#!?\[allow\(").unwrap();
    for file in all_below(&["src", "hooks", "tests"]).iter().filter(|file| file.name != me) {
        let line = file.text.lines().find(|line| nowhere.is_match(line));
        assert!(line.is_none(), "{}: {}", file.name, line.unwrap_or_default());
    }
}

#[test]
fn each_expected_lint_has_a_reason() {
    let expectation = Regex::new(r"(?s)#!?\[expect\(.*?\)\]").unwrap();
    for file in all_below(&["src", "hooks", "tests"]).iter().filter(|f| f.name != "tests/fast/house/tidy.rs")
    {
        for found in expectation.find_iter(&file.text) {
            assert!(found.as_str().contains("reason = \""), "{}: {}", file.name, found.as_str());
        }
    }
}

/// Names of dependencies, with the line before each.
fn dependencies() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut inside = false;
    for (i, line) in lines.iter().enumerate() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.push((name.to_owned(), lines[i - 1].to_owned()));
        }
    }
    found
}

#[test]
fn each_dependency_says_what_for_and_is_used() {
    let all = all_below(&["src", "hooks", "tests"]);
    let dependencies = dependencies();
    assert!(dependencies.len() > 10, "Cargo.toml was not understood");
    for (name, before) in dependencies {
        assert!(before.starts_with("# ") && before.ends_with('.'), "{name}: no sentence says what for");
        let used = Regex::new(&format!(r"\b{}(::|;)", name.replace('-', "_"))).unwrap();
        let in_derive = name == "thiserror" || name == "serde";
        assert!(in_derive || all.iter().any(|file| used.is_match(&file.text)), "{name} is used nowhere");
    }
}

/// Files whose words are for the person who sets up and repairs.
const FOR_THE_PERSON: [&str; 4] =
    ["src/cli/init", "src/app/guard/hook_chain.rs", "src/cli/doctor", "src/app/guard/hook_check.rs"];

#[test]
fn no_text_names_a_way_around() {
    let literal = Regex::new(r#""([^"\\]|\\.)*""#).unwrap();
    for file in programs() {
        if FOR_THE_PERSON.iter().any(|name| file.name.starts_with(name)) {
            continue;
        }
        for text in literal.find_iter(&file.code).map(|found| found.as_str().to_owned()) {
            // The key itself is asked for in places, and the option looked for; neither is a text.
            let is_looked_for = ["\"core.hooksPath\"", "\"--no-verify\""].contains(&text.as_str());
            let names_it = (text.contains("no-verify") || text.contains("ooksPath")) && !is_looked_for;
            assert!(!names_it, "{} says {text}", file.name);
        }
        let documented = file.text.lines().filter(|line| line.trim_start().starts_with("/// "));
        let is_help = file.name.starts_with("src/cli/");
        let hit = documented.into_iter().find(|line| is_help && line.contains("no-verify"));
        assert_eq!(hit, None, "{}: this may become help", file.name);
    }
}

/// Notes the files of a module and of those below it.
fn take_in_modules(file: &Path, found: &mut BTreeSet<PathBuf>) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    found.insert(file.canonicalize().unwrap());
    let is_root = file.ends_with("main.rs") || file.ends_with("mod.rs");
    let below = if is_root { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    let declared =
        Regex::new(r#"(?m)^(?:#\[path = "([^"]+)"\]\n)?(?:pub(?:\(crate\))? )?mod (\w+);"#).unwrap();
    for module in declared.captures_iter(&text) {
        let (path, name) = (module.get(1), &module[2]);
        let places = match path {
            Some(path) => vec![file.parent().unwrap().join(path.as_str())],
            None => vec![below.join(format!("{name}.rs")), below.join(name).join("mod.rs")],
        };
        let place = places.iter().find(|place| place.exists());
        take_in_modules(place.unwrap_or_else(|| panic!("{name} of {}", file.display())), found);
    }
}

/// Cargo looks for no tests by itself here, so that a file that no `mod` names would be forgotten.
#[test]
fn no_test_is_forgotten() {
    let mut found = BTreeSet::new();
    for name in ["fast", "live", "soak"] {
        take_in_modules(&root().join("tests").join(name).join("main.rs"), &mut found);
    }
    let all = below("tests");
    assert!(all.len() > 100, "the tests are not where they were looked for");
    let forgotten = all
        .iter()
        .map(|file| &file.name)
        .filter(|name| !found.contains(&root().join(name).canonicalize().unwrap()));
    assert_none("no crate of tests has it", &forgotten.cloned().collect::<Vec<_>>());
    let cargo = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for entry in std::fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let is_built =
            || cargo.contains(&format!("path = \"tests/{}/main.rs\"", path.file_name().unwrap().display()));
        assert!(!path.join("main.rs").exists() || is_built(), "Cargo.toml does not name {}", path.display());
    }
}

#[test]
fn each_program_has_a_transcript_of_its_help() {
    let transcripts = walkdir::WalkDir::new(root().join("tests/transcripts")).into_iter();
    let files = transcripts.map(|entry| entry.unwrap().into_path()).filter(|path| path.is_file());
    let all: Vec<String> = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for bin in below("src/bin") {
        let name = bin.name.trim_start_matches("src/bin/").trim_end_matches(".rs");
        let line = Regex::new(&format!(r"(?m)^\S+\$ {name} --help$")).unwrap();
        assert!(all.iter().any(|text| line.is_match(text)), "no transcript shows {name} --help");
    }
}
