//! Messages that reach an agent's model: in the middle of a turn, out of idleness, behind a dialog.

use std::time::Duration;

use super::lab::{Lab, PATIENCE};
use super::sight::pss_kib;

/// The options of a message that asks for something.
const TASK: [&str; 4] = ["--type", "TASK_ASSIGNMENT", "--priority", "high"];

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn short_a_client_does_what_its_model_is_told() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.turn("Dev-A", "RUN: echo \"I am $CLAUDE_ROLE\"; git rev-parse --show-toplevel\nSAY: that was it");
    let told = lab.until_done("Dev-A", "I am Dev-A");
    assert!(told.last.contains(lab.repo.to_str().unwrap()), "{}", told.last);
    assert_eq!(lab.events("Dev-A", "Stop")[0]["last_assistant_message"], "that was it");
    assert!(lab.screen("Dev-A").contains("that was it"), "{}", lab.screen("Dev-A"));
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn short_a_message_reaches_a_working_agent_at_the_next_tool_call() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.type_prompt("Dev-A", "RUN: sleep 2; echo slept\nRUN: echo next\nSAY: the end");
    lab.until_told("Dev-A", "RUN: sleep 2");
    let (id, sent) = lab.send("Orchestrator", "Dev-A", &TASK, "mind the gap\nRUN: echo \"gap minded\"");
    let told = lab.until_told("Dev-A", "mind the gap");
    assert!(told.brings("slept"), "beside what the running tool says:\n{}", told.news());
    assert!(
        told.tells("TASK_ASSIGNMENT from Orchestrator") && told.tells("  | RUN: echo"),
        "{}",
        told.news()
    );
    println!("in the middle of a turn: {} ms after it was sent", (told.at - sent).as_millis());
    // The same turn, in which the model now does what the message says, too.
    lab.until_done("Dev-A", "gap minded");
    lab.wait("Dev-A", "the turn to end", || !lab.events("Dev-A", "Stop").is_empty());
    assert_eq!(lab.events("Dev-A", "UserPromptSubmit").len(), 1, "one turn: {}", lab.report("Dev-A"));
    assert_eq!(lab.model.count_containing("Dev-A", "mind the gap"), 1);
    let receipt = lab.receipt("Orchestrator", &id, "Dev-A");
    assert_eq!(
        (&receipt["state"], &receipt["seen"]["session"]),
        (&"seen".into(), &lab.session("Dev-A").into())
    );
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn short_an_idle_agent_wakes_within_a_second() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    // From the beginning, and again and again after its turns.
    for n in 0..5 {
        std::thread::sleep(Duration::from_secs(2));
        let subject = format!("wake up, part {n}");
        let (_, sent) = lab.send("Orchestrator", "Dev-A", &[], &format!("{subject}\nRUN: echo awake {n}"));
        let told = lab.until_told("Dev-A", &subject);
        let took = told.at - sent;
        println!("out of idleness: {} ms after it was sent", took.as_millis());
        assert!(took < Duration::from_secs(5), "{took:?}");
        lab.until_done("Dev-A", &format!("awake {n}"));
        lab.wait("Dev-A", "the turn to end", || lab.events("Dev-A", "Stop").len() > n);
        assert_eq!(lab.model.count_containing("Dev-A", &subject), 1, "{}", lab.report("Dev-A"));
    }
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn what_a_person_has_begun_to_type_stays() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.keys("Dev-A", "what the person was about to", &[]);
    lab.send("Orchestrator", "Dev-A", &[], "meanwhile");
    lab.until_told("Dev-A", "meanwhile");
    lab.wait("Dev-A", "the turn to end", || !lab.events("Dev-A", "Stop").is_empty());
    // The client's own space behind the prompt is none that breaks lines.
    let screen = lab.screen("Dev-A").replace('\u{a0}', " ");
    assert!(screen.contains("❯ what the person was about to"), "{screen}");
    lab.keys("Dev-A", " type", &["Enter"]);
    lab.until_told("Dev-A", "what the person was about to type");
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn a_wake_up_works_behind_a_dialog() {
    // One that the client opens by itself at its start, where keys would answer it.
    let lab = Lab::begun(&["Orchestrator"], &["Dev-A"], "CLAUDE_CODE_FORCE_FULLSCREEN_UPSELL=1");
    let is_open = || lab.screen("Dev-A").contains("Try the new fullscreen renderer?");
    lab.wait("Dev-A", "the dialog", is_open);
    let settings = || std::fs::read_to_string(lab.at("home/.claude/settings.json")).unwrap();
    let before = settings();
    lab.send("Orchestrator", "Dev-A", &[], "behind the dialog\nRUN: echo heard behind it");
    lab.until_done("Dev-A", "heard behind it");
    lab.wait("Dev-A", "the turn to end", || !lab.events("Dev-A", "Stop").is_empty());
    assert!(is_open(), "it is not answered: {}", lab.screen("Dev-A"));
    assert_eq!(lab.model.count_containing("Dev-A", "behind the dialog"), 1);
    assert_eq!(settings(), before);
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn a_dialog_of_the_persons_is_not_answered_and_what_came_meanwhile_follows() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    let settings = || std::fs::read_to_string(lab.at("home/.claude/settings.json")).unwrap();
    let before = settings();
    lab.keys("Dev-A", "/config", &["Enter"]);
    let is_open = || lab.screen("Dev-A").contains("Search settings");
    lab.wait("Dev-A", "the dialog to open", is_open);
    lab.send("Orchestrator", "Dev-A", &[], "behind a dialog");
    std::thread::sleep(Duration::from_secs(3));
    // The client itself keeps a turn back as long as one of its own dialogs is open.
    assert!(is_open(), "{}", lab.screen("Dev-A"));
    assert_eq!(settings(), before);
    // The first one leaves its search.
    lab.wait("Dev-A", "the dialog to close", || {
        lab.keys("Dev-A", "", &["Escape"]);
        std::thread::sleep(Duration::from_millis(500));
        !is_open()
    });
    lab.until_told("Dev-A", "behind a dialog");
    lab.wait("Dev-A", "the turn to end", || !lab.events("Dev-A", "Stop").is_empty());
    assert_eq!(lab.model.count_containing("Dev-A", "behind a dialog"), 1);
    assert_eq!(settings(), before);
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn a_question_whether_a_tool_may_be_used_is_left_to_the_person() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.turn("Dev-A", "SAY: hello");
    std::fs::create_dir_all(lab.repo.join(".claude")).unwrap();
    let ask = r#"{"permissions":{"ask":["Bash(touch:*)"]}}"#;
    std::fs::write(lab.repo.join(".claude/settings.local.json"), ask).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    lab.type_prompt("Dev-A", "RUN: touch dangerous");
    let is_open = || lab.screen("Dev-A").contains("Do you want to proceed?");
    lab.wait("Dev-A", "the question", is_open);
    lab.until_shown("Dev-A", "needs_permission");
    lab.send("Orchestrator", "Dev-A", &TASK, "behind the question");
    std::thread::sleep(Duration::from_secs(5));
    assert!(is_open() && !lab.repo.join("dangerous").exists(), "{}", lab.screen("Dev-A"));
    assert_eq!(lab.model.count_containing("Dev-A", "behind the question"), 0);
    lab.keys("Dev-A", "", &["Enter"]);
    lab.until_told("Dev-A", "behind the question");
    assert!(lab.repo.join("dangerous").exists());
    lab.until_turns("Dev-A", 2);
    lab.until_shown("Dev-A", "idle");
    assert_eq!(lab.model.count_containing("Dev-A", "behind the question"), 1);
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn fifty_messages_while_busy_are_one_digest_and_none_comes_twice() {
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    lab.type_prompt(
        "Dev-A",
        "RUN: while [ ! -e all-sent ]; do sleep 0.2; done\nRUN: echo next\nSAY: the end",
    );
    lab.until_told("Dev-A", "all-sent");
    let send =
        "for n in $(seq 50); do cmw-send --subject \"number $n of many\" Dev-A \"body $n\" || exit; done";
    lab.as_role("Orchestrator", &format!("{send}; touch all-sent")).ok();
    let told = lab.until_told("Dev-A", "of many");
    assert!(told.tells("cmw: 50 new messages for Dev-A"), "{}", told.news());
    lab.wait("Dev-A", "the turn to end", || !lab.events("Dev-A", "Stop").is_empty());
    lab.turn("Dev-A", "RUN: echo another turn");
    lab.turn("Dev-A", "RUN: echo and another");
    assert_eq!(lab.model.count_containing("Dev-A", "50 new messages for"), 1, "{}", lab.report("Dev-A"));
    let all = lab.model.requests("Dev-A").pop().unwrap().all();
    for n in 1..=50 {
        let times = all.matches(&format!("number {n} of many")).count();
        assert!(times <= 1, "number {n} was told {times} times\n{all}");
    }
    assert!(all.contains("number 1 of many"), "{all}");
    // All of them have a receipt, those too that the digest only counts.
    let states = lab.states("Orchestrator", "of many", "Dev-A");
    assert_eq!(states.len(), 50);
    let told = |of: &str| states.iter().filter(|delivery| delivery["state"] == of).count();
    println!("of 50: {} seen, {} notified", told("seen"), told("notified"));
    assert_eq!(told("seen") + told("notified"), 50, "{states:?}");
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn at_whatever_moment_a_message_comes_it_is_told_once() {
    const MESSAGES: u64 = 60;
    let lab = Lab::up(&["Orchestrator"], &["Dev-A"]);
    // Gaps that fall upon beginnings, tools, ends of turns, and idleness.
    for n in 0..MESSAGES {
        let body = format!("-\nRUN: sleep 0.{}", n % 4);
        lab.send("Orchestrator", "Dev-A", &["--subject", &format!("the {n}th one")], &body);
        std::thread::sleep(Duration::from_millis(n * 137 % 900));
    }
    for n in 0..MESSAGES {
        lab.until_told("Dev-A", &format!(": the {n}th one ("));
    }
    lab.until_shown("Dev-A", "idle");
    lab.turn("Dev-A", "SAY: the end");
    for n in 0..MESSAGES {
        assert_eq!(lab.times_told("Dev-A", &format!(": the {n}th one (")), 1, "{n}: {}", lab.report("Dev-A"));
    }
    let wakes = lab.events("Dev-A", "UserPromptSubmit").len() - 1;
    println!("{MESSAGES} messages at odd moments: {wakes} woke it, the others came within its turns");
    assert!(wakes > 3, "it was idle at times");
    lab.until_waiters("Dev-A", 1);
}

#[test]
#[ignore = "needs the real client: scripts/test-claude.sh"]
fn twelve_clients_at_once_or_as_many_as_fit() {
    const KIB: usize = 1024;
    const ROLES: [&str; 12] = [
        "Dev-A", "Dev-B", "Dev-C", "Dev-D", "Dev-E", "Dev-F", "Dev-G", "Dev-H", "Dev-I", "Dev-J", "Dev-K",
        "Dev-L",
    ];
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let free = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    let free_mib = free.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / KIB;
    let fit = (free_mib.saturating_sub(1024) / 350).clamp(2, ROLES.len());
    let lab = Lab::up(&["Orchestrator"], &ROLES[..fit]);
    // Each then writes to the next one, the last one to the first.
    let letters: String = ROLES[..fit].iter().map(|role| &role[4..]).collect();
    let rest = &letters[1..];
    let talk = format!(
        "and now?\nRUN: next=$(echo \"${{CLAUDE_ROLE#Dev-}}\" | tr {letters} {rest}A); \
         cmw-send --subject \"a word of $CLAUDE_ROLE\" \"Dev-$next\" 'and how are you?'; echo \"heard by $CLAUDE_ROLE\""
    );
    let (_, sent) = lab.send("Orchestrator", "ALL", &["--subject", "to everybody"], &talk);
    let mut slowest = Duration::ZERO;
    for role in &ROLES[..fit] {
        let told = lab.until_told(role, "to everybody");
        slowest = slowest.max(told.at - sent);
        lab.until_done(role, &format!("heard by {role}"));
    }
    for (i, role) in ROLES[..fit].iter().enumerate() {
        let before = ROLES[(i + fit - 1) % fit];
        lab.until_told(role, &format!("MESSAGE from {before}: a word of {before}"));
    }
    for role in &ROLES[..fit] {
        lab.turn(role, "RUN: echo one more turn");
        for text in ["to everybody", ": a word of "] {
            assert_eq!(lab.model.count_containing(role, text), 1, "{text}: {}", lab.report(role));
            assert_eq!(lab.times_told(role, text), 1, "{role} {text}");
        }
    }
    lab.until_waiters("Dev-A", fit);
    println!("the waiters: {} KiB together", lab.waiters().iter().map(|pid| pss_kib(*pid)).sum::<usize>());
    let shares = ROLES[..fit].iter().map(|role| pss_kib(lab.instance(role).process.pid) / KIB);
    let used: usize = shares.sum();
    println!(
        "{fit} clients: {used} MiB of {free_mib}, all told {} ms after it was sent",
        slowest.as_millis()
    );
    assert!(slowest < PATIENCE);
}
