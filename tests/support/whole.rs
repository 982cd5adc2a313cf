//! Checks of the work of demo agents that hold after every fault: nothing lost, nothing torn.

use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::rescue::event::RescueEvent;

use super::session::World;

/// No commit holds another role's file, and no commit takes a line back; gives how many commits there are.
pub(crate) fn no_commit_holds_the_file_of_another(world: &World) -> usize {
    let log = world.git(&["log", "--format=%an", "--name-only", "main", "--author=cmw.invalid"]);
    let mut author = "";
    let mut commits = 0;
    for line in log.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("demo/").and_then(|file| file.strip_suffix(".md")) {
            Some(owner) => assert_eq!(owner, author, "{log}"),
            None => {
                author = line;
                commits += 1;
            }
        }
    }
    // Each line was written once, by its role, and is in its file still.
    let files = world.git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "demo/"]);
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let role = file.strip_prefix("demo/").and_then(|f| f.strip_suffix(".md")).unwrap();
        let text = std::fs::read_to_string(world.repo.join(file)).unwrap();
        assert!(text.lines().all(|line| line.starts_with(&format!("{role} round "))), "{file}:\n{text}");
        let committed = world.git(&["log", "--format=", "-p", "main", "--", file]);
        let removed = committed.lines().filter(|l| l.starts_with('-') && !l.starts_with("---")).count();
        assert_eq!(removed, 0, "no commit takes a line back: {file}");
    }
    commits
}

/// Every snapshot of what a holder left is there, and whole; gives how many there are.
pub(crate) fn nothing_that_was_saved_is_missing(world: &World, records: &[Record]) -> usize {
    let mut rescued = 0;
    for record in records {
        if let Event::Rescue(RescueEvent::WorkRescued { reference: Some(reference), skipped, .. }) =
            &record.event
        {
            assert!(skipped.is_empty(), "{record:?}");
            world.git(&["rev-parse", "--verify", "--quiet", &format!("{reference}^{{tree}}")]);
            rescued += 1;
        }
        if let Event::Rescue(RescueEvent::RecoveryFailed { .. }) = &record.event {
            panic!("{record:?}");
        }
    }
    rescued
}
