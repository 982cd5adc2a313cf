//! `cmw-work` as it is typed: what is said, how it ends, and that nothing is lost when many type at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Agent, Output, Transcript, World, assert_transcript};
use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::identity::role::Role;
use cmw::domain::work::event::WorkEvent;
use cmw::domain::work::task::{Task, TaskStatus};
use cmw::store::Store;
use cmw::store::audit::reader::AuditReader;
use cmw::store::disk::RealDisk;
use regex_lite::Regex;
use serde_json::Value;

/// A repository in which these have registered.
fn with(roles: &[&str]) -> World {
    let world = World::ready();
    for role in roles {
        world.agent(role).ok("cmw-heartbeat register");
    }
    world
}

/// A transcript in which it does not matter when something happened, nor which record it is.
fn transcript(world: &World, name: &str, write: impl FnOnce(&mut Transcript<'_>)) {
    let text = world.transcript(write);
    let replaced =
        |text: &str, pattern: &str, by: &str| Regex::new(pattern).unwrap().replace_all(text, by).into_owned();
    let text = replaced(&text, r"(OPEN|STARTED|DONE|CANCELLED|BLOCKED)( +)\d+[smhd]  ", "${1}${2}[AGE]  ");
    let text = replaced(&text, r"\d{4}-\d\d-\d\d \[HH:MM\]", "[TIME]");
    let text = replaced(&text, r"(?m)^  \d+ \[TIME\]", "  [N] [TIME]");
    assert_transcript(name, &replaced(&text, r#""seq": \d+"#, "\"seq\": [N]"));
}

#[test]
fn work_is_given_begun_and_done() {
    let world = with(&["Dev-A", "Dev-B"]);
    transcript(&world, "work-basics", |t| {
        t.agent("Dev-A", "cmw-work").ignored();
        t.agent("Orchestrator", "cmw-work assign Dev-A 'Fix the login' --priority high").ignored();
        t.agent(
            "Orchestrator",
            "printf 'One.\\n\\nTwo.\\n' | cmw-work assign @dev 'Test it' --body - --after T1",
        )
        .ignored();
        t.agent("Orchestrator", "cmw-work assign @dev 'Write it up' --after 1 --after t2 --reviewer dev-a")
            .ignored();
        t.person("cmw-work assign QA-A 'Look at it' --body 'More.'").ignored();
        t.note("What is one's own comes first; then what is begun, and what is urgent.");
        t.agent("Dev-A", "cmw-work").ignored();
        t.agent("Dev-B", "cmw-work list --mine").ignored();
        t.unidentified("cmw-work list --role qa-a").ignored();
        t.agent("Dev-A", "cmw-work start").ignored();
        t.agent("Dev-A", "cmw-work start T1").ignored();
        t.agent("Dev-A", "cmw-work done --note 'it was the clock'").ignored();
        t.agent("Dev-B", "cmw-work show 2").ignored();
        t.agent("Dev-B", "cmw-work start").ignored();
        t.agent("Dev-B", "cmw-work done T2").ignored();
        t.note("Who has begun a task may have begun another one.");
        t.agent("Dev-B", "cmw-work start t3").ignored();
        t.person("cmw-work assign Dev-B 'In between'").ignored();
        t.agent("Dev-B", "cmw-work start T5").ignored();
        t.note("Whoever wanted it takes it back, or gives it to another one.");
        t.person("cmw-work cancel T5 --reason 'not needed any more'").ignored();
        t.person("cmw-work reassign T4 Dev-A --reason 'QA-A is away'").ignored();
        t.agent("Orchestrator", "cmw-work reassign T4 @dev").ignored();
        t.agent("Dev-A", "cmw-work list --all").ignored();
        t.agent("Dev-A", "cmw-work show T5").ignored();
        t.unidentified("cmw-work show T1").ignored();
        t.note("They were told.");
        t.agent("QA-A", "cmw-inbox list --json | jq -c '.data[] | [.type, .subject]'").ignored();
    });
}

#[test]
fn what_cannot_be_is_refused_with_a_way() {
    let world = with(&["Dev-A", "Dev-B"]);
    transcript(&world, "work-refused", |t| {
        t.person("cmw-work assign Dev-A one --quiet && cmw-work assign Dev-A two --after T1 --quiet")
            .ignored();
        for line in [
            "cmw-work start",
            "cmw-work done",
            "cmw-work start T1",
            "cmw-work done T1",
            "cmw-work cancel T1 --reason 'I do not like it'",
            "cmw-work reassign T1 Dev-B",
            "cmw-work show T9",
            "cmw-work start T9",
            "cmw-work assign Dev-A x --after T9",
            "cmw-work assign Dev-A x --reviewer Dev-A",
            "cmw-work assign @dev x --reviewer Dev-A --reviewer Dev-B",
            "cmw-work assign @planner x",
            "cmw-work assign @cook x",
            "cmw-work assign Cook x",
            "cmw-work list --role Cook",
        ] {
            t.agent("Dev-B", line).ignored();
        }
        t.agent("Dev-A", "cmw-work reassign T1 @librarian").ignored();
        t.agent("Dev-A", "cmw-work start T2").ignored();
        t.agent("Dev-A", "cmw-work done T2").ignored();
        t.agent("Dev-A", "cmw-work done T1").ignored();
        t.agent("Dev-A", "cmw-work done T1").ignored();
        t.note("The person has no tasks, and may look after all of them.");
        t.person("cmw-work list --mine").ignored();
        t.person("cmw-work start").ignored();
        t.person("cmw-work done T2").ignored();
        t.note("Whom nobody knows may do as the person does; a strange role is nobody.");
        t.unidentified("cmw-work assign Dev-B x").ignored();
        t.unidentified("CLAUDE_ROLE=Cook cmw-work").ignored();
        t.unidentified("CLAUDE_ROLE=Cook cmw-work start T3").ignored();
    });
}

#[test]
fn a_wrong_command_line_is_explained() {
    let world = World::ready();
    let long = |n: usize| format!("$(printf %{n}s x | tr ' ' x)");
    transcript(&world, "work-usage", |t| {
        for line in [
            "cmw-work assign",
            "cmw-work assign Dev-A",
            "cmw-work assign Dev-A '  '",
            "cmw-work assign Dev-A x --priority urgent",
            "cmw-work assign Dev-A x --after one",
            "cmw-work show T0",
            "cmw-work show -- -1",
            "cmw-work start T99999999999999999999",
            "cmw-work cancel T1",
            "cmw-work list --mine --role Dev-A",
            "cmw-work give Dev-A x",
            "printf '\\377' | cmw-work assign Dev-A x --body -",
        ] {
            t.agent("Dev-A", line).ignored();
        }
        t.note("Too long: a title, what came of it, a text.");
        t.agent("Dev-A", &format!("cmw-work assign Dev-A {}", long(201))).ignored();
        t.agent("Dev-A", &format!("cmw-work done T1 --note {}", long(501))).ignored();
        t.agent("Dev-A", "head -c 262145 /dev/zero | tr '\\0' x | cmw-work assign Dev-A x --body -")
            .ignored();
        t.agent("Dev-A", &format!("cmw-work assign Dev-A {} | tail -c 5", long(200))).ignored();
        t.note("Nothing else came of all this.");
        t.agent("Dev-A", "cmw-work list --json | jq '.data.tasks | length'").ignored();
    });
}

#[test]
fn json_is_for_programs() {
    let world = with(&["Dev-A"]);
    transcript(&world, "work-json", |t| {
        t.person("cmw-work --json | jq -c .").ignored();
        t.person("cmw-work assign Dev-A one --body text --reviewer Dev-B --json | jq .").ignored();
        t.person("cmw-work assign Dev-B two --after T1 --json | jq -c .data.id").ignored();
        t.agent("Dev-B", "cmw-work start T2 --json | jq .").ignored();
        t.agent("Dev-A", "cmw-work start --json | jq -c '.data.task.status'").ignored();
        t.agent("Dev-A", "cmw-work start T1 --json | jq -c .").ignored();
        t.unidentified(
            "cmw-work list --json | jq -c '.data.tasks[] | [.id, .assignee, .status, .waits_for]'",
        )
        .ignored();
        t.unidentified("cmw-work show T1 --json | jq .data").ignored();
        t.agent("Dev-A", "cmw-work show T7 --json | jq -c .").ignored();
        t.agent("Dev-A", "cmw-work show seven --json | jq -c .code").ignored();
        t.agent("Dev-A", "cmw-work done --quiet").ignored();
    });
}

/// What would move the cursor, ring, clear the screen, or turn the text round.
const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}31mc\u{7}d\u{202e}e\rf";

#[track_caller]
fn is_harmless(output: &Output) {
    let said = output.all();
    let control = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!said.contains(control), "{:?}", said);
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let world = with(&["Dev-A", "Dev-B"]);
    world.write("hostile", HOSTILE);
    let words = "\"$(cat ../hostile)\"";
    let dev = world.agent("Dev-A");
    let lines = [
        format!("cmw-work assign Dev-A {words} --body {words}"),
        "cmw-work".to_owned(),
        "cmw-work start".to_owned(),
        "cmw-work show T1".to_owned(),
        format!("cmw-work reassign T1 Dev-B --reason {words}"),
        format!("CLAUDE_ROLE=Dev-B cmw-work done T1 --note {words}"),
        format!("cmw-work assign Dev-A {words}; cmw-work cancel T2 --reason {words}"),
        "cmw-work show T1; cmw-work show T2; cmw-work list --all".to_owned(),
        "cmw-inbox list --all; cmw-inbox show 1; cmw-audit log".to_owned(),
        format!("cmw-work assign @{words} x; cmw-work assign {words} x; cmw-work show {words}"),
    ];
    let mut seen = 0;
    for line in &lines {
        let output = dev.run(line);
        is_harmless(&output);
        seen += usize::from(output.all().contains("a\\u{1b}[2Jb"));
    }
    assert!(seen >= 8, "the words were shown {seen} times only");
    // Programs get the text as it was given.
    let shown: Value = serde_json::from_str(&dev.ok("cmw-work show T1 --json")).unwrap();
    assert_eq!(shown["data"]["body"], HOSTILE);
}

#[test]
fn a_damaged_text_is_told() {
    let world = with(&["Dev-A"]);
    for n in 1..=2 {
        world.person().ok(&format!("cmw-work assign Dev-A 'The {n}' --body 'text {n}'"));
    }
    let bodies = world.files("repo/.git/cmw/bodies");
    assert_eq!(bodies.len(), 2);
    let bodies: Vec<&String> = bodies.keys().collect();
    world.write(&format!("repo/.git/cmw/bodies/{}", bodies[0]), "tixt 1");
    std::fs::remove_file(world.at(&format!("repo/.git/cmw/bodies/{}", bodies[1]))).unwrap();
    let whole: Vec<Output> =
        (1..=2).map(|n| world.agent("Dev-A").fails(65, &format!("cmw-work show T{n}"))).collect();
    let said: Vec<String> = whole.iter().map(Output::all).collect();
    for words in ["the text of this task was changed", "the text of this task is missing"] {
        assert!(said.iter().any(|said| said.contains(words) && said.contains("cmw-work list")), "{said:?}");
    }
    // All else is as it was, and who has the text mends it.
    world.agent("Dev-A").ok("cmw-work start T1 && cmw-work done T1 && cmw-work start T2");
    for n in 1..=2 {
        world.person().ok(&format!("cmw-work assign Dev-A again --body 'text {n}'"));
        assert!(world.agent("Dev-A").ok(&format!("cmw-work show T{n}")).contains(&format!("text {n}")));
    }
}

/// All records, in order.
fn records(world: &World) -> Vec<Record> {
    let store = Store::new(RealDisk::open(&world.at("repo/.git")).unwrap());
    let mut trail = AuditReader::open(store.disk()).unwrap();
    let mut all: Vec<Record> = std::iter::from_fn(|| trail.previous()).collect();
    all.reverse();
    all
}

/// Goes through the audit: every number once, and no role works at another's task. Gives the tasks as
/// they are in the end.
fn by_the_audit(records: &[Record]) -> BTreeMap<u64, (Role, TaskStatus)> {
    let mut tasks: BTreeMap<u64, (Role, TaskStatus)> = BTreeMap::new();
    for record in records {
        if let Event::Work(WorkEvent::TaskAssigned(task)) = &record.event {
            let Task { id, assignee, status, .. } = &**task;
            assert!(tasks.insert(*id, (assignee.clone(), *status)).is_none(), "T{id} twice");
        } else if let Event::Work(WorkEvent::TaskStarted(it)) = &record.event {
            let was = tasks.insert(it.id, (it.assignee.clone(), TaskStatus::Started)).unwrap();
            assert_eq!(was, (it.assignee.clone(), TaskStatus::Open), "T{} is begun", it.id);
        } else if let Event::Work(WorkEvent::TaskDone(it)) = &record.event {
            let was = tasks.insert(it.id, (it.assignee.clone(), TaskStatus::Done)).unwrap();
            assert!(was.0 == it.assignee && was.1 < TaskStatus::Done, "T{} is done, {was:?}", it.id);
        } else if let Event::Work(WorkEvent::TaskReassigned(it)) = &record.event {
            let was = tasks.insert(it.id, (it.assignee.clone(), TaskStatus::Open)).unwrap();
            assert!(was.0 == it.former && was.1 < TaskStatus::Done, "T{} goes on, {was:?}", it.id);
        }
    }
    tasks
}

/// So many tasks each of twelve gives; all texts are the same file.
const EACH: usize = 4;

#[test]
fn twelve_give_and_take_at_once() {
    let names = ["Dev-A", "Dev-B"];
    let world = with(&names);
    // Each role six times: they take the same tasks at the same moment, and pass them on.
    let all: Vec<Agent> = (0..12).map(|n| world.another(&format!("{n}"), names[n % 2])).collect();
    let line = |n: usize| {
        format!(
            "for i in $(seq {EACH}); do cmw-work assign @dev \"task {n}.$i\" --body same || exit 90; \
             cmw-work start; cmw-work reassign $(({n} + i)) {} >/dev/null 2>&1; cmw-work done; done; true",
            names[(n + 1) % 2]
        )
    };
    let all: Vec<_> = all.iter().enumerate().map(|(n, agent)| agent.spawn(&line(n))).collect();
    let mut numbers = BTreeSet::new();
    for pending in all {
        let output = pending.wait();
        assert_eq!(output.code, 0, "\n{output}");
        let given =
            output.stdout.lines().filter(|line| line.contains(" is assigned to ") && !line.contains("now"));
        let given: Vec<String> = given.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(given.len(), EACH, "\n{output}");
        for number in given {
            assert!(numbers.insert(number.clone()), "{number} was given twice");
        }
        for line in output.stderr.lines().filter(|line| line.starts_with("error")) {
            assert!(!line.contains("busy") && !line.contains("bodies"), "\n{output}");
        }
    }
    let records = records(&world);
    let tasks = by_the_audit(&records);
    let wanted: BTreeSet<String> = (1..=12 * EACH).map(|n| format!("T{n}")).collect();
    assert_eq!(numbers, wanted);
    assert_eq!(tasks.keys().map(|id| format!("T{id}")).collect::<BTreeSet<_>>(), wanted, "none is lost");
    assert!(
        tasks.values().any(|(_, status)| *status == TaskStatus::Done),
        "at least one task was done: {tasks:?}"
    );
    // What the tools show is that.
    let shown: Value = serde_json::from_str(&world.unidentified().ok("cmw-work list --all --json")).unwrap();
    let shown: BTreeMap<u64, (Role, TaskStatus)> = (shown["data"]["tasks"].as_array().unwrap().iter())
        .map(|task| serde_json::from_value::<Task>(without(task, "waits_for")).unwrap())
        .map(|task| (task.id, (task.assignee, task.status)))
        .collect();
    assert_eq!(shown, tasks);
    assert_eq!(world.files("repo/.git/cmw/bodies").len(), 1, "one text, and nothing half-written");
}

fn without(value: &Value, field: &str) -> Value {
    let mut fields = value.as_object().unwrap().clone();
    fields.remove(field);
    Value::Object(fields)
}
