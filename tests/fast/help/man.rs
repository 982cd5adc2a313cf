//! The man pages are made from the definitions of the command lines; `CMW_BLESS=1` writes them anew.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "what a test cannot do ends it")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use cmw::cli::cmw::tools;

/// One law for the whole suite (docs/rules.md R12.1).
const EXITS: [(&str, &str); 9] = [
    ("0", "done"),
    ("1", "refused: the rules say no"),
    ("2", "the command line is wrong"),
    ("65", "data on disk is damaged"),
    ("69", "something that is needed is not there"),
    ("70", "a bug"),
    ("75", "busy, or the time is over; trying again is safe"),
    ("77", "not permitted for this role"),
    ("78", "the set-up or the configuration is wrong"),
];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The options of a command as the generator gives them, under its headings.
fn options(command: &Command) -> String {
    let mut text = Vec::new();
    Man::new(command.clone()).render_options_section(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The same for a verb, which has no headings of its own.
fn verb_options(verb: &Command) -> String {
    let is_text = |line: &&str| ![".SH", ".ie", ".el"].iter().any(|start| line.starts_with(start));
    options(verb).lines().filter(is_text).map(|line| format!("{line}\n")).collect()
}

/// A tool's one page: what it does, its options, every verb with its own, how it ends.
fn page(command: Command, others: &[String]) -> String {
    let command = command.disable_help_subcommand(true).disable_help_flag(true).disable_version_flag(true);
    let name = command.get_name().to_owned();
    let man = Man::new(command.clone()).manual("cmw").source(format!("cmw {}", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    write!(page, "{}", options(&command)).unwrap();
    if command.has_subcommands() {
        writeln!(page, ".SH VERBS").unwrap();
    }
    for verb in command.get_subcommands() {
        let mut verb = verb.clone().disable_help_flag(true);
        let usage = verb.render_usage().to_string().replace("Usage: ", "").replace('-', "\\-");
        writeln!(page, ".SS \"{} {}\"", name.replace('-', "\\-"), usage.replace('"', "\\(dq")).unwrap();
        let about = verb.get_long_about().or(verb.get_about()).map(ToString::to_string).unwrap_or_default();
        writeln!(page, "{}.", about.replace('-', "\\-")).unwrap();
        write!(page, "{}", verb_options(&verb)).unwrap();
    }
    if name == "cmw" {
        writeln!(page, ".SH TOOLS").unwrap();
        for (tool, about) in tools::listed() {
            writeln!(page, ".TP\n\\fB{}\\fR\n{about}", tool.replace('-', "\\-")).unwrap();
        }
    }
    if let Some(notes) = command.get_after_help() {
        let notes = notes.to_string().replace('\\', "\\e").replace('-', "\\-");
        writeln!(page, ".SH NOTES\n.nf\n{notes}\n.fi").unwrap();
    }
    writeln!(page, ".SH \"EXIT STATUS\"").unwrap();
    for (code, means) in EXITS {
        writeln!(page, ".TP\n\\fB{code}\\fR\n{means}").unwrap();
    }
    let others: Vec<String> = others
        .iter()
        .filter(|o| **o != name)
        .map(|o| format!("\\fB{}\\fR(1)", o.replace('-', "\\-")))
        .collect();
    writeln!(page, ".SH \"SEE ALSO\"\n{}", others.join(",\n")).unwrap();
    String::from_utf8(page).unwrap()
}

/// Every page by its file's name.
fn pages() -> BTreeMap<String, String> {
    let all = tools::all();
    let names: Vec<String> = all.iter().map(|command| command.get_name().to_owned()).collect();
    let mut pages: BTreeMap<String, String> =
        all.into_iter().map(|command| (format!("{}.1", command.get_name()), page(command, &names))).collect();
    pages.insert("git-cmw.1".to_owned(), ".so man1/cmw.1\n".to_owned());
    pages
}

#[test]
fn the_man_pages_are_current() {
    let dir = root("man");
    let pages = pages();
    if std::env::var_os("CMW_BLESS").is_some() {
        std::fs::create_dir_all(&dir).unwrap();
        for (file, text) in &pages {
            std::fs::write(dir.join(file), text).unwrap();
        }
    }
    for (file, text) in &pages {
        let there = std::fs::read_to_string(dir.join(file)).unwrap_or_default();
        assert!(there == *text, "man/{file} is not current; CMW_BLESS=1 cargo t --test fast help::");
    }
    let there: BTreeSet<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let known: BTreeSet<String> = pages.into_keys().collect();
    assert_eq!(there, known, "a page for each program, and no other");
}

#[test]
fn every_program_is_in_the_list_of_tools() {
    let bins = std::fs::read_dir(root("src/bin")).unwrap();
    let mut programs: BTreeSet<String> =
        bins.map(|e| e.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(programs.remove("git-cmw"), "git-cmw is cmw under the name that git looks for");
    programs.insert("cmw-hook".to_owned());
    let listed: BTreeSet<String> = tools::all().iter().map(|c| c.get_name().to_owned()).collect();
    assert_eq!(programs, listed);
    assert_eq!(tools::all().len(), listed.len(), "each once");
    for (name, about) in tools::listed() {
        assert!((10..=66).contains(&about.chars().count()), "{name}: one line: {about:?}");
    }
}

#[test]
fn every_command_line_is_well_defined() {
    for command in tools::all() {
        command.debug_assert();
    }
}
