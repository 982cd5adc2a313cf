//! README and guide as tests: every command block runs on a fresh repository, and what it shows is compared.
//!
//! A document is run from its first block to its last one in one repository without cmw, a clone that a person has just
//! made, so that later blocks find what earlier ones left. What its blocks say to this test:
//!
//! * ` ```console `: lines `$ COMMAND` are typed by the person at a terminal, lines `Dev-A$ COMMAND` by that role. What
//!   follows is all that the command shows; `[exit 75]` at the end, how it ended when not with 0.
//! * ` ```sh `: a script of the person's, run as a whole; it must succeed, and what it shows is not compared.
//! * ` ```sh no-run `: not run, because it needs a network, a terminal to look at, or a quarter of an hour. Few.
//! * ` ```text `: shows something, and holds no command.
//! * `<!-- $ COMMAND -->` on a line of its own: run like those of a console, and must succeed; readers do not see it.
//!   `<!-- until$ COMMAND -->` runs it again and again until it succeeds.
//!
//! Times, ages, ids and process numbers may differ. An id in a command stands for the one shown at that place in this
//! run. `CMW_BLESS=1` writes what is shown now into the documents, where it differs.
#![cfg(feature = "test-clock")]
#![expect(
    clippy::disallowed_methods,
    reason = "CMW_BLESS=1 has this test write documents, which are no state of cmw"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::{World, gits};
use regex_lite::Regex;

/// Where the documents pretend that the repository and the programs are.
const SHOWN_REPO: &str = "/home/me/project";
const SHOWN_TOOLS: &str = "/usr/local/bin";

/// How often `sh no-run` may stand in all documents together.
const NOT_RUN_MAX: usize = 8;

const README_WORDS_MAX: usize = 900;
const WIDTH_MAX: usize = 100;

/// The documents whose blocks run, each in its own test below.
const RUN: [&str; 9] = [
    "README.md",
    "docs/guide/README.md",
    "docs/guide/1-overview.md",
    "docs/guide/2-tmux.md",
    "docs/guide/3-start-up.md",
    "docs/guide/4-health.md",
    "docs/guide/5-emergency.md",
    "docs/guide/6-troubleshooting.md",
    "docs/guide/7-maintenance.md",
];

#[test]
fn the_readme_runs() {
    run_document(RUN[0]);
}

#[test]
fn the_guides_front_page_runs() {
    run_document(RUN[1]);
}

#[test]
fn chapter_1_overview_runs() {
    run_document(RUN[2]);
}

#[test]
fn chapter_2_tmux_runs() {
    run_document(RUN[3]);
}

#[test]
fn chapter_3_start_up_runs() {
    run_document(RUN[4]);
}

#[test]
fn chapter_4_health_runs() {
    run_document(RUN[5]);
}

#[test]
fn chapter_5_emergency_runs() {
    run_document(RUN[6]);
}

#[test]
fn chapter_6_troubleshooting_runs() {
    run_document(RUN[7]);
}

#[test]
fn chapter_7_maintenance_runs() {
    run_document(RUN[8]);
}

#[test]
fn no_chapter_is_forgotten() {
    let entries = std::fs::read_dir(path_of("docs/guide")).unwrap();
    let found: BTreeSet<String> =
        entries.map(|entry| format!("docs/guide/{}", entry.unwrap().file_name().display())).collect();
    let run: BTreeSet<String> = RUN[1..].iter().map(|&name| name.to_owned()).collect();
    assert_eq!(found, run);
}

#[test]
fn the_readme_is_short_and_names_the_two_scripts() {
    let text = read(RUN[0]);
    let words = text.split_whitespace().count();
    assert!(words <= README_WORDS_MAX, "README.md has {words} words, {README_WORDS_MAX} are allowed");
    for script in ["./scripts/quickstart.sh", "./scripts/test.sh"] {
        assert!(text.contains(script), "README.md does not name {script}");
    }
}

#[test]
fn prose_is_wrapped_and_few_blocks_are_not_run() {
    let mut not_run = 0;
    for name in RUN {
        for piece in pieces(&read(name)) {
            match piece {
                Piece::Prose(line) => {
                    let fits =
                        line.chars().count() <= WIDTH_MAX || line.starts_with('|') || line.starts_with('!');
                    assert!(fits, "{name}: longer than {WIDTH_MAX}: {line}");
                }
                Piece::Text(lines) => {
                    let holds_command = lines.iter().any(|line| command(line).is_some());
                    assert!(!holds_command, "{name}: a command that is not run: {lines:?}");
                }
                Piece::NotRun(_) => not_run += 1,
                Piece::Console(_) | Piece::Script(_) | Piece::Hidden { .. } => {}
            }
        }
    }
    assert!(not_run <= NOT_RUN_MAX, "{not_run} blocks are not run, {NOT_RUN_MAX} are allowed");
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)#:]*)(#[^)]*)?\)").unwrap();
    for name in RUN {
        for found in link.captures_iter(&read(name)) {
            let (path, anchor) = (&found[1], found.get(2).map(|anchor| &anchor.as_str()[1..]));
            let base = path_of(name);
            let target = if path.is_empty() { base } else { base.parent().unwrap().join(path) };
            assert!(target.exists(), "{name}: {path} does not exist");
            let Some(anchor) = anchor else { continue };
            let text = std::fs::read_to_string(&target).unwrap();
            let has = text.lines().any(|line| line.starts_with('#') && anchor_of(line) == anchor);
            assert!(has, "{name}: {path} has no heading for #{anchor}");
        }
    }
}

/// The anchor of a heading, as it is made where documents are shown.
fn anchor_of(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A part of a document.
enum Piece {
    /// A line outside of every block.
    Prose(String),
    /// The lines of a ` ```console ` block.
    Console(Vec<String>),
    /// The lines of a ` ```sh ` block.
    Script(Vec<String>),
    /// The lines of a ` ```sh no-run ` block.
    NotRun(Vec<String>),
    /// The lines of a ` ```text ` block.
    Text(Vec<String>),
    /// A command that readers do not see, as the line that holds it.
    Hidden { line: String, command: String },
}

/// Splits a document. A block in a language that this test does not know fails it.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            let hidden = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            pieces.push(match hidden {
                Some(command) => Piece::Hidden { line: line.to_owned(), command: command.to_owned() },
                None => Piece::Prose(line.to_owned()),
            });
            continue;
        };
        let mut inside = Vec::new();
        loop {
            match lines.next().expect("every block ends") {
                "```" => break,
                line => inside.push(line.to_owned()),
            }
        }
        pieces.push(match info {
            "console" => Piece::Console(inside),
            "sh" => Piece::Script(inside),
            "sh no-run" => Piece::NotRun(inside),
            "text" => Piece::Text(inside),
            other => panic!("a block of an unknown sort: ```{other}"),
        });
    }
    pieces
}

/// Who types which command, if this line of a console block is a command: `Dev-A$ cmw`.
fn command(line: &str) -> Option<(&str, &str)> {
    let (who, command) = line.split_once("$ ")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    who.chars().all(is_name).then_some((who, command))
}

/// One document on its way through a fresh repository.
struct Run {
    name: &'static str,
    world: World,
    /// The ids that the document shows, and those of this run in their place.
    ids: BTreeMap<String, String>,
    differences: Vec<String>,
    document: String,
}

/// Runs a document, and compares or blesses it.
fn run_document(name: &'static str) {
    // Where two gits are on PATH, the doctor says so; the last one is alone on its own.
    let world = World::with(&gits()[gits().len() - 1]);
    world.write_program("home/notify", "#!/bin/sh\ncat >>\"$HOME/notified\"\n");
    let mut run = Run { name, world, ids: BTreeMap::new(), differences: Vec::new(), document: String::new() };
    for piece in pieces(&read(name)) {
        run.piece(&piece);
    }
    if std::env::var_os("CMW_BLESS").is_some() {
        std::fs::write(path_of(name), &run.document).unwrap();
    } else {
        let differences = run.differences.join("\n");
        assert!(run.differences.is_empty(), "{name}; CMW_BLESS=1 writes it anew\n{differences}");
    }
}

impl Run {
    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Prose(line) => self.put(line),
            Piece::Console(lines) => self.fenced("console", |run| run.console(lines)),
            Piece::Script(lines) => self.fenced("sh", |run| {
                run.must_succeed("", &lines.join("\n"));
                lines.iter().for_each(|line| run.put(line));
            }),
            Piece::NotRun(lines) => {
                self.fenced("sh no-run", |run| lines.iter().for_each(|line| run.put(line)));
            }
            Piece::Text(lines) => self.fenced("text", |run| lines.iter().for_each(|line| run.put(line))),
            Piece::Hidden { line, command: hidden } => {
                let (who, line_run) = command(hidden).expect("a comment of this form holds a command");
                match who {
                    "until" => self.until(line_run),
                    who => self.must_succeed(who, line_run),
                }
                self.put(line);
            }
        }
    }

    fn put(&mut self, line: &str) {
        self.document.push_str(line);
        self.document.push('\n');
    }

    fn fenced(&mut self, info: &str, inside: impl FnOnce(&mut Self)) {
        self.put(&format!("```{info}"));
        inside(self);
        self.put("```");
    }

    /// Runs the commands of a block, each with what the document shows of it.
    fn console(&mut self, lines: &[String]) {
        let mut lines = lines.iter().peekable();
        while let Some(line) = lines.next() {
            let (who, command_line) = command(line).expect("a block begins with a command");
            let mut shown = Vec::new();
            while let Some(line) = lines.next_if(|line| command(line).is_none()) {
                shown.push(line.as_str());
            }
            self.compare(line, who, command_line, &shown.join("\n"));
        }
    }

    fn compare(&mut self, line: &str, who: &str, command_line: &str, shown: &str) {
        let (output, code) = self.type_in(who, &with_ids(command_line, &self.ids));
        let mut now = self.as_shown(&output);
        if code != 0 {
            now.push_str(&format!("\n[exit {code}]"));
        }
        let now = now.trim_start_matches('\n');
        let same = self.comparable(now) == self.comparable(shown);
        self.learn(&ids(shown), &ids(now));
        self.put(line);
        if same {
            self.put_lines(shown);
            return;
        }
        let written: BTreeMap<String, String> =
            self.ids.iter().map(|(a, b)| (b.clone(), a.clone())).collect();
        self.put_lines(&with_ids(now, &written));
        self.differences.push(format!("{line}\n--- the document:\n{shown}\n--- this run:\n{now}\n"));
    }

    /// Notes which ids of this run stand for those that the document shows in their place.
    fn learn(&mut self, shown: &[String], now: &[String]) {
        if shown.len() != now.len() {
            return;
        }
        for (shown, now) in shown.iter().zip(now) {
            self.ids.insert(shown.clone(), now.clone());
            // Lists show a message's last eight characters.
            if shown.len() == 26 && now.len() == 26 {
                self.ids.insert(shown[18..].to_owned(), now[18..].to_owned());
            }
        }
    }

    fn put_lines(&mut self, text: &str) {
        text.lines().for_each(|line| self.put(line));
    }

    /// Runs a command line; gives all that it shows, in its order, and its exit code.
    fn type_in(&self, who: &str, line: &str) -> (String, i32) {
        let agent = if who.is_empty() { self.world.person() } else { self.world.agent(who) };
        let output = agent.run(&format!("{{ {line}\n}} 2>&1"));
        (output.stdout, output.code)
    }

    fn must_succeed(&self, who: &str, line: &str) {
        let (said, code) = self.type_in(who, &with_ids(line, &self.ids));
        assert_eq!(code, 0, "{}: {line}\n{said}", self.name);
    }

    fn until(&self, line: &str) {
        let start = Instant::now();
        loop {
            let (said, code) = self.type_in("", line);
            if code == 0 {
                return;
            }
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(120), "{}: waited in vain: {line}\n{said}", self.name);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What a reader sees: the paths of a project at home, and no blanks at the ends of lines.
    fn as_shown(&self, text: &str) -> String {
        let home = self.world.at("home").display().to_string();
        let text = text.replace(&self.world.at("repo").display().to_string(), SHOWN_REPO);
        let text =
            text.replace(&self.world.tools().display().to_string(), SHOWN_TOOLS).replace(&home, "/home/me");
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// A text without what differs from run to run.
    fn comparable(&self, text: &str) -> String {
        let text = self.world.normalised(text);
        let text = replaced(&text, r"\b[0-9a-f]{32}\b", "[ID]");
        let text = replaced(&text, r"\b(\d{8}T\d{6}|\d{4}-\d\d-\d\dT\d{6}\.\d+)Z\b", "[STAMP]");
        let text = replaced(&text, r"\b\d\d:\d\d:\d\d\b", "[TIME]");
        let text = replaced(&text, r"\b(\d{4}-\d\d-\d\d|(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+)\b", "[DAY]");
        let text = replaced(&text, r"\b[0-9A-HJKMNP-TV-Z]{8}\b", "[ID]");
        let text = replaced(&text, r"(  |: |, |\()\d+[smhd]( \d+[smhd])?\b", "$1[AGE]");
        let text = replaced(&text, r"\b\d+[smhd]( \d+[smhd])? (ago|old)\b", "[AGE] $2");
        let text = replaced(&text, r"\b(process|PID) +\d+\b", "$1 [PID]");
        let text = replaced(&text, r"(?m)^\d+ \[DAY\] \[HH:MM\]", "[N] [DAY] [HH:MM]");
        let text = replaced(&text, r"(?m)^(since .*): \d+ records$", "$1: [N] records");
        let text = in_any_order(&text, " is ready");
        // A table's columns are as wide as what stands in them.
        replaced(&text, " +", " ")
    }
}

/// The ids in a text, in their order: of messages, of objects, of rescues.
fn ids(text: &str) -> Vec<String> {
    let id = r"\b([0-9A-HJKMNP-TV-Z]{26}|[0-9A-HJKMNP-TV-Z]{8}|[0-9a-f]{40}|\d{8}T\d{6}Z)\b";
    let id = Regex::new(id).unwrap();
    id.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// A text with the ids of the document replaced by those of this run.
fn with_ids(text: &str, ids: &BTreeMap<String, String>) -> String {
    ids.iter().fold(text.to_owned(), |text, (shown, now)| text.replace(shown, now))
}

/// A text with neighbouring lines that end so in the order of the alphabet: roles start side by side.
fn in_any_order(text: &str, end: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.chunk_by_mut(|a, b| a.ends_with(end) && b.ends_with(end)).for_each(<[&str]>::sort_unstable);
    lines.join("\n")
}

fn replaced(text: &str, pattern: &str, by: &str) -> String {
    Regex::new(pattern).unwrap().replace_all(text, by).into_owned()
}

fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path_of(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn the_guides_troubleshooting_lines_work() {
    let world = World::ready();
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev.ok("cmw-heartbeat register && cmw-heartbeat beat --task parsing");
    other.ok("cmw-heartbeat register");
    dev.ok("cmw-lock acquire --files 'src/**' --purpose parser");
    let refused = other.fails(75, "cmw-lock acquire --files docs --priority high");
    assert!(refused.stderr.contains("number 1 in the queue"), "{refused}");
    let seen = |line: &str| other.ok(line).trim().to_owned();
    assert_eq!(seen("cat .git/instance-registry.json | jq -c '[.instances[].role]'"), r#"["Dev-A","Dev-B"]"#);
    assert_eq!(
        seen("cat .git/instance-registry.json | jq -c '.last_heartbeat | keys'"),
        r#"["Dev-A","Dev-B"]"#
    );
    assert_eq!(seen("jq -r '.instances[0].current_task' .git/instance-registry.json"), "parsing");
    assert_eq!(seen("cat .git/locks/write-lock.json | jq -r '.current_lock.holder'"), "Dev-A");
    assert_eq!(seen("cat .git/locks/write-lock.json | jq -c '.current_lock.files'"), r#"["src/**"]"#);
    assert_eq!(
        seen("cat .git/locks/write-lock.json | jq -r '.queue[0] | .requester + \" \" + .priority'"),
        "Dev-B HIGH"
    );
    assert!(seen("cat .git/audit/write-lock-intents.json").lines().count() >= 2);
    assert!(seen("ls .git/messages/ | wc -l").parse::<u32>().unwrap() >= 2);
    assert!(!seen("tail -n 3 .git/audit/orchestrator-startup.log").is_empty());
    dev.ok("cmw-lock release");
    assert_eq!(seen("jq -c '.current_lock' .git/locks/write-lock.json"), "null");
}
