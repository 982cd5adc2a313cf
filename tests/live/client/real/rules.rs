//! Tests of the tool uses that are refused to a model, with the reason, and of what stops it for a while.

use super::lab::Lab;

/// A turn with one instruction; what the model reads of it says all of these.
#[track_caller]
fn refused(lab: &Lab, role: &str, instruction: &str, words: &[&str]) {
    let had = lab.model.requests(role).len();
    lab.turn(role, instruction);
    let all = lab.model.requests(role);
    let results = all[had..].iter().map(|request| request.news()).collect::<Vec<_>>().join("\n");
    assert!(results.contains("cmw: refused"), "{instruction}\n{results}");
    for word in words {
        assert!(results.contains(word), "{instruction}: {word:?} is not in\n{results}");
    }
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn short_what_harms_every_role_is_refused_and_the_model_reads_why() {
    let lab = Lab::up(&["Orchestrator", "Dev-B"], &["Dev-A"]);
    let before = lab.git(&["rev-parse", "main"]);
    let hook = lab.repo.join(".git/hooks/pre-commit");
    let was = std::fs::read(&hook).ok();
    std::fs::write(lab.repo.join("others"), "of others\n").unwrap();
    for (instruction, words) in [
        (
            "RUN: git commit --no-verify --allow-empty -m x",
            &["apply to agents too", "next: cmw-commit -m 'what was done' -- PATHS"][..],
        ),
        ("RUN: git add -A", &["the work of others", "next: git add -- YOUR/FILES"]),
        (
            &format!("WRITE: {}|#!/bin/sh\\nexit 0\\n", hook.display()),
            &["belongs to git and cmw", "not written by hand"],
        ),
        ("RUN: tmux send-keys -t 0 y Enter", &["panes of others", "next: cmw-send ROLE"]),
    ] {
        refused(&lab, "Dev-A", instruction, words);
    }
    assert_eq!(lab.git(&["rev-parse", "main"]), before);
    assert_eq!(std::fs::read(&hook).ok(), was, "the hook is as it was");
    assert_eq!(lab.git(&["diff", "--cached", "--name-only"]), "", "nothing is staged");
    // Harmless commands go on.
    lab.turn(
        "Dev-A",
        "RUN: git add -- others && git status --short; tmux list-panes >/dev/null; echo done $?",
    );
    assert!(lab.until_done("Dev-A", "done 0").brings("A  others"));
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn who_is_paused_changes_nothing_and_goes_on_when_resumed() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    let file = lab.repo.join("notes");
    std::fs::write(&file, "old\n").unwrap();
    lab.turn("Dev-A", &format!("READ: {}", file.display()));
    lab.tool("cmw", &["pause", "Dev-A", "--reason", "lunch"]).ok();
    let edit = format!("EDIT: {}|old|new", file.display());
    refused(&lab, "Dev-A", &edit, &["paused", "lunch"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old\n");
    // What reads still does, and mail of the others does not wake it.
    lab.turn("Dev-A", "RUN: cmw-inbox list");
    let turns = lab.events("Dev-A", "Stop").len();
    lab.send("Orchestrator", "Dev-A", &[], &format!("go on with it\n{edit}"));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(lab.model.count_containing("Dev-A", "go on with it"), 0, "{}", lab.report("Dev-A"));
    assert_eq!(lab.events("Dev-A", "Stop").len(), turns);
    lab.tool("cmw", &["resume", "Dev-A"]).ok();
    lab.until_told("Dev-A", "INSTANCE_RESUMED");
    lab.until_told("Dev-A", "go on with it");
    lab.wait("Dev-A", "the edit", || std::fs::read_to_string(&file).unwrap() == "new\n");
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn a_freeze_reaches_an_idle_agent_and_other_mail_waits_for_the_thaw() {
    let lab = Lab::up(&["Librarian", "Orchestrator"], &["Dev-A"]);
    lab.turn("Dev-A", "SAY: idle");
    lab.as_role("Librarian", "cmw-freeze now --reason 'the build is red'").ok();
    let told = lab.until_told("Dev-A", "SYSTEM_FREEZE");
    assert!(told.tells("the build is red"), "{}", told.news());
    lab.until_turns("Dev-A", 2);
    lab.send("Orchestrator", "Dev-A", &[], "after the thaw");
    lab.turn("Dev-A", "RUN: git commit --allow-empty -m x; echo \"git said $?\"");
    let told = lab.until_done("Dev-A", "cmw: refused");
    assert!(told.brings("the build is red"), "{}", told.news());
    assert_eq!(lab.model.count_containing("Dev-A", "after the thaw"), 0, "{}", lab.report("Dev-A"));
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn what_the_clients_tools_edit_is_its_roles_and_no_other_role_commits_it() {
    let lab = Lab::up(&["Orchestrator", "Dev-B"], &["Dev-A"]);
    let file = lab.repo.join("mine.txt");
    lab.turn("Dev-A", &format!("WRITE: {}|first\\n\nEDIT: {0}|first|second", file.display()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "second\n");
    // Beside something of its own, staged in the index that all share.
    let other = lab.as_role("Dev-B", "echo b >b.txt; git add -- b.txt mine.txt; git commit -m both");
    println!("the other's commit ends with {}: {}", other.code, other.err);
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.err.contains("cmw: refused") && other.err.contains("mine.txt"), "{other:?}");
    assert!(other.err.contains("Dev-A"), "whose it is, is said: {other:?}");
    let other = lab.as_role("Dev-B", "git reset -q; cmw-commit -m everything -- .");
    assert!(other.code == 1 && other.err.contains("Dev-A"), "{other:?}");
    lab.turn("Dev-A", "RUN: cmw-commit -m 'my own' -- mine.txt; echo \"cmw-commit said $?\"");
    lab.until_done("Dev-A", "cmw-commit said 0");
    assert_eq!(lab.git(&["log", "-1", "--format=%s", "--", "mine.txt"]).trim(), "my own");
}
