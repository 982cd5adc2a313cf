//! Damage in a file stops nothing: it is set aside, what was whole goes on, and it is a violation until a person has
//! looked (docs/decisions.md D30).
//!
//! A run takes each damage to the journal and to the messages, and each to one of three logs; `CMW_MATRIX=all` takes
//! each with each (`scripts/matrix.sh`).

#![expect(clippy::disallowed_methods, reason = "a test reads the environment")]

use std::time::{Duration, Instant};

use crate::support::{Agent, World};

/// How a file `$F` is damaged.
const DAMAGES: [(&str, &str); 12] = [
    ("a junk line in the middle", "sed -i '1a junk' $F"),
    ("a junk line at the end", "echo junk >>$F"),
    ("an empty line at the end", "echo >>$F"),
    ("1 KB without a line end", "head -c 1000 /dev/zero | tr '\\0' x >>$F"),
    ("100 MB without a line end", "head -c 100000000 /dev/zero | tr '\\0' x >>$F"),
    ("100 MB in one line", "{ head -c 100000000 /dev/zero | tr '\\0' x; echo; } >>$F"),
    ("5 GB of nothing", "truncate -s 5G $F"),
    ("a directory", "rm $F; mkdir $F"),
    ("a FIFO", "rm $F; mkfifo $F"),
    ("a link", "mv $F ../elsewhere; ln -s ../../elsewhere $F"),
    ("empty", ": >$F"),
    ("gone", "rm $F"),
];

/// Files to which something is appended at each step.
const FILES: [&str; 5] = [
    "audit/write-lock-intents.json",
    "audit/orchestrator-decisions.log",
    "audit/security-events.log",
    "audit/journal.jsonl",
    "message-registry.json",
];

/// The time within which each step ends, on a slow machine with twelve others at work; without damage a step takes a
/// fraction of a second.
const STEP_MAX: Duration = Duration::from_secs(20);

/// Runs a command of a person or an agent that has to succeed.
fn step(agent: &Agent, what: &str, command: &str) -> String {
    let began = Instant::now();
    let output = agent.run(command);
    assert_eq!(output.code, 0, "{what}: {command}\n{}", output.all());
    assert!(began.elapsed() < STEP_MAX, "{what}: {command} took {:?}", began.elapsed());
    output.all()
}

fn damage_stops_nothing(file: &str) {
    let takes_all = std::env::var_os("CMW_MATRIX").is_some_and(|v| v == "all");
    let place = FILES.iter().position(|other| *other == file).unwrap_or(0);
    for (turn, (how, command)) in DAMAGES.into_iter().enumerate() {
        // In the sample each file meets its part of the damages, and the two that matter most all of them.
        if !takes_all && place < 3 && turn % 3 != place {
            continue;
        }
        let world = World::ready();
        let (dev, person) = (world.agent("Dev-A"), world.person());
        let what = format!("{file}: {how}");
        person.ok("cmw pause Dev-B --reason first && cmw resume Dev-B");
        dev.ok("cmw-send Dev-B --subject before b; git commit -q --allow-empty -m before");
        person.ok("cmw-audit verify >/dev/null");
        dev.ok(&format!("F=.git/{file}; test -f $F || echo >$F; {command}"));
        step(&person, &what, "cmw-freeze now --reason r");
        let refused = dev.run("git commit -q --allow-empty -m refused");
        assert!(refused.code != 0 && refused.stderr.contains("frozen"), "{what}: {refused}");
        step(&person, &what, "cmw-freeze thaw --reason r");
        step(&dev, &what, "git commit -q --allow-empty -m after");
        step(&dev, &what, "cmw-send Dev-B --subject after b");
        let began = Instant::now();
        let screen = person.run("cmw");
        assert!(screen.stdout.contains("Dev-A") && began.elapsed() < STEP_MAX, "{what}: {screen}");
        // A person repairs it, and looks: what was lost is said, all else is there, once.
        let fixed = person.run("cmw-doctor --fix");
        let _ = person.run("cmw-audit verify");
        let violations = person.run("cmw-audit violations").all();
        for id in 1..10 {
            if violations.contains(&format!("V{id},")) {
                person.ok(&format!("cmw-audit adopt V{id} --reason seen"));
            }
        }
        let verify = person.run("cmw-audit verify");
        assert_eq!(verify.code, 0, "{what}: {}\n{violations}\n{}", verify.all(), fixed.all());
        person.ok("cmw-doctor");
        let log = person.ok("cmw-audit log -n 100");
        for event in ["SYSTEM_FROZEN", "SYSTEM_UNFROZEN"] {
            assert_eq!(log.matches(event).count(), 1, "{what}, {event}: {log}\n{violations}");
        }
        let mail = world.agent("Dev-B").ok("cmw-inbox list --all");
        for subject in ["after", "SYSTEM_FREEZE", "SYSTEM_UNFROZEN"] {
            assert_eq!(mail.matches(subject).count(), 1, "{what}, {subject}: {mail}");
        }
        let is_whole = !["a directory", "a FIFO", "a link", "empty", "gone"].contains(&how);
        if is_whole {
            assert_eq!(mail.matches("before").count(), 1, "{what}: {mail}");
            assert!(!violations.contains("lost:"), "{what}: {violations}");
            assert!(log.contains("INSTANCES_PAUSED"), "{what}: {log}");
        }
    }
}

/// Damage that is not junk: what stands there could be ours.
#[test]
fn records_and_messages_that_no_command_wrote_stop_nothing_and_are_healed() {
    for (how, says, command) in [
        (
            "a record with a later number",
            "no command has published",
            "tail -n 1 $L | jq -c '.seq = 999999' >../r; cat ../r >>$L",
        ),
        (
            "records in another order",
            "not in its order",
            "head -n 1 $L >../one; tail -n +2 $L >../rest; cat ../rest ../one >$L",
        ),
        ("a record twice", "not in its order", "head -n 1 $L >../one; cat ../one >>$L"),
        ("a log that is none", "belongs into", "head -n 1 $L >.git/audit/a.log"),
        ("the last message is gone", "are gone from its end", "sed -i '$d' .git/message-registry.json"),
        (
            "the index is a directory",
            "1.idx is not a regular file",
            "rm .git/cmw/registry/1.idx; mkdir .git/cmw/registry/1.idx",
        ),
        ("a directory in the way", "", "mkdir -p .git/cmw/state.json.tmp/x .git/message-registry.json.tmp/x"),
        (
            "many lines that are none",
            "it is not an entry",
            "yes '' | head -n 200000 >>.git/audit/journal.jsonl",
        ),
        (
            "junk in the receipts",
            "not a receipt",
            "mkdir -p .git/cmw/receipts; echo junk >>.git/cmw/receipts/Dev-B.jsonl",
        ),
        ("two lines that are none", "it is not an entry", "printf 'a\\nb\\n' >>.git/audit/journal.jsonl"),
    ] {
        let world = World::ready();
        let (dev, person) = (world.agent("Dev-A"), world.person());
        person.ok("cmw pause Dev-B --reason first && cmw resume Dev-B");
        dev.ok("cmw-send Dev-B --subject before b; git commit -q --allow-empty -m before");
        person.ok("cmw-audit verify >/dev/null");
        dev.ok(&format!("L=.git/audit/orchestrator-decisions.log; {command}"));
        step(&person, how, "cmw-freeze now --reason r");
        step(&person, how, "cmw-freeze thaw --reason r");
        step(&dev, how, "git commit -q --allow-empty -m after");
        step(&dev, how, "cmw-send Dev-B --subject after b");
        person.run("cmw-doctor --fix").ignored();
        let _ = person.run("cmw-audit verify");
        let violations = person.run("cmw-audit violations").all();
        assert!(violations.contains(says), "{how}: {violations}");
        for id in 1..10 {
            let _ = person.run(&format!("cmw-audit adopt V{id} --reason seen"));
        }
        let verify = person.ok("cmw-audit verify");
        assert_eq!(verify.contains("adopted"), command.contains("journal.jsonl"), "{how}: {verify}");
        for look in
            ["cmw-audit verify", "cmw-doctor", "cmw-audit log -n 50 >/dev/null", "cmw since >/dev/null"]
        {
            step(&person, how, look);
        }
        let mail = world.agent("Dev-B").ok("cmw-inbox list --all");
        assert_eq!(mail.matches("after").count(), 1, "{how}: {mail}");
    }
}

macro_rules! damaged {
    ($($name:ident: $file:expr;)*) => {
        $(#[test] fn $name() { damage_stops_nothing($file); })*
    };
}

damaged! {
    a_damaged_log_of_the_lock_stops_nothing: FILES[0];
    a_damaged_log_of_decisions_stops_nothing: FILES[1];
    a_damaged_log_of_security_stops_nothing: FILES[2];
    a_damaged_ref_journal_stops_nothing: FILES[3];
    a_damaged_registry_stops_nothing: FILES[4];
}
