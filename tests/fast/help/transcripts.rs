//! The help of each program and of each of its verbs, as it is shown.

use crate::support::{World, assert_transcript};

/// The verbs that a help text lists.
fn verbs(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    let first = |line: &str| line.trim_start().split(' ').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = names.filter(|line| !line.starts_with("   ")).map(first).collect();
    names.retain(|name| name != "help");
    names
}

#[test]
fn each_program_explains_itself() {
    let world = World::new();
    let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin")).unwrap();
    let mut names: Vec<String> = sources
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(names.contains(&"cmw-lock".to_owned()));
    for name in names {
        let text = world.transcript(|t| {
            let help = t.unidentified(&format!("{name} --help"));
            assert_eq!((help.code, help.stderr.as_str()), (0, ""), "\n{help}");
            for verb in verbs(&help.stdout) {
                let help = t.unidentified(&format!("{name} {verb} --help"));
                assert_eq!((help.code, help.stderr.as_str()), (0, ""), "\n{help}");
                for below in verbs(&help.stdout) {
                    t.unidentified(&format!("{name} {verb} {below} --help")).ignored();
                }
            }
            let version = t.unidentified(&format!("{name} --version"));
            assert_eq!(version.code, 0, "\n{version}");
            t.unidentified(&format!("{name} --no-such-option")).ignored();
        });
        assert_transcript(&format!("help-{name}"), &text);
    }
}
