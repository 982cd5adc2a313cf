//! A test of a client that dies while only the monitor runs.

use cmw::domain::event::Event;
use cmw::domain::health::event::HealthEvent;
use cmw::store::audit::reader::AuditReader;
use cmw::store::disk::RealDisk;

use super::lab::Lab;

fn restarted(lab: &Lab) -> usize {
    let disk = RealDisk::open(&lab.repo.join(".git")).unwrap();
    let mut trail = AuditReader::open(&disk).unwrap();
    let all = std::iter::from_fn(|| trail.previous());
    all.filter(|record| matches!(record.event, Event::Health(HealthEvent::InstanceRestarted(_)))).count()
}

/// Whether the client's record of a conversation has these words.
fn is_written(lab: &Lab, session: &str, words: &str) -> bool {
    let projects = std::fs::read_dir(lab.at("home/.claude/projects")).into_iter().flatten().flatten();
    let records = projects.map(|project| project.path().join(format!("{session}.jsonl")));
    records.filter_map(|record| std::fs::read_to_string(record).ok()).any(|text| text.contains(words))
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn short_who_crashes_is_brought_back_with_its_conversation() {
    let lab = Lab::watched(&["Orchestrator"], &["Dev-A"]);
    lab.turn("Dev-A", "RUN: echo before the crash");
    lab.until_shown("Dev-A", "idle");
    let session = lab.session("Dev-A");
    // The client writes its conversation some time after it was answered; without it there is nothing to resume.
    lab.wait("Dev-A", "its conversation to be on the disk", || {
        is_written(&lab, &session, "before the crash")
    });
    let had = lab.model.requests("Dev-A").len();
    lab.kill("Dev-A");
    lab.send("Orchestrator", "Dev-A", &[], "while it was gone");
    lab.wait("Dev-A", "it to be back", || restarted(&lab) == 1);
    lab.until_ready("Dev-A");
    assert_eq!(lab.session("Dev-A"), session, "the same conversation goes on");
    assert_eq!(lab.events("Dev-A", "SessionStart").pop().unwrap()["source"], "resume");
    lab.turn("Dev-A", "RUN: echo after the crash");
    let after = &lab.model.requests("Dev-A")[had..];
    assert!(
        after.iter().any(|request| request.all().contains("before the crash")),
        "{}",
        lab.report("Dev-A")
    );
    assert!(after.iter().any(|request| request.tells(": while it was gone (")), "{}", lab.report("Dev-A"));
}
