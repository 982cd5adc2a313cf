//! The write lock as an agent meets it.

use std::time::{Duration, Instant};

use super::lab::Lab;
use super::sight::is_slow_run;

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn short_a_commit_without_the_lock_is_refused_and_the_model_reads_why() {
    let lab = Lab::up(&["Dev-B"], &["Dev-A"]);
    lab.as_role("Dev-B", "cmw-lock acquire --purpose 'the long one'").ok();
    let before = lab.git(&["rev-parse", "main"]);
    lab.turn("Dev-A", "RUN: echo x >x; git add x; git commit -m x; echo \"git said $?\"");
    // Before the shell runs anything of the line.
    let told = lab.until_done("Dev-A", "cmw: refused");
    for words in [
        "Dev-B has the write lock",
        "the long one",
        "number 1 in the queue",
        "nothing is lost",
        "next: cmw-lock run -- git commit -m x",
    ] {
        assert!(told.brings(words), "{words:?} is not in\n{}", told.news());
    }
    assert!(!lab.repo.join("x").exists(), "the shell has not run");
    assert_eq!(lab.model.count_containing("Dev-A", "git said 1"), 0, "{}", lab.report("Dev-A"));
    assert_eq!(lab.git(&["rev-parse", "main"]), before, "nothing was committed");
    // Handed over: who is idle now is woken by the offer, and commits.
    let released = Instant::now();
    lab.as_role("Dev-B", "cmw-lock release").ok();
    let told = lab.until_told("Dev-A", "WRITE_LOCK_OFFERED");
    println!("the offer, after the release began: {} ms", (told.at - released).as_millis());
    lab.until_turns("Dev-A", 2);
    lab.turn("Dev-A", "RUN: echo x >x; git add x; git commit -m x; echo \"at last git said $?\"");
    lab.until_done("Dev-A", "at last git said 0");
    assert_ne!(lab.git(&["rev-parse", "main"]), before);
    assert_eq!(lab.git(&["log", "-1", "--format=%an", "main"]).trim(), "Test");
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn who_waits_idle_for_the_lock_for_long_is_still_offered_it() {
    const IDLE: Duration = Duration::from_secs(75);
    if !is_slow_run("eighty seconds") {
        return;
    }
    let lab = Lab::up(&["Dev-B"], &["Dev-A"]);
    lab.as_role("Dev-B", "cmw-lock acquire --purpose 'the long one'").ok();
    lab.turn("Dev-A", "RUN: git commit --allow-empty -m x; echo \"git said $?\"");
    lab.until_done("Dev-A", "number 1 in the queue");
    std::thread::sleep(IDLE);
    lab.as_role("Dev-B", "cmw-lock release").ok();
    let told = lab.until_told("Dev-A", "WRITE_LOCK_OFFERED");
    assert!(told.tells("reserved for you until"), "{}", told.news());
    lab.until_turns("Dev-A", 2);
    lab.turn("Dev-A", "RUN: cmw-lock run -- git commit --allow-empty -m x; echo \"at last git said $?\"");
    lab.until_done("Dev-A", "at last git said 0");
}
