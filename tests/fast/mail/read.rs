//! Reading: what is listed and shown, in which order, and that it harms no terminal.

use cmw::domain::util::sanitize::is_unsafe;

use super::id;
use crate::support::{World, assert_transcript};

/// Hides how old a message is.
const AGELESS: &str = "sed -E 's/ +[0-9]+[smh] +/ AGE /'";

#[test]
fn the_most_urgent_comes_first_and_what_is_taken_up_is_not_new() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-B", "cmw-inbox").ignored();
        t.agent("Dev-B", "cmw-inbox next").ignored();
        t.agent("Dev-B", "cmw-inbox next --json").ignored();
        for (n, priority) in [("A1", "low"), ("B1", "high"), ("C1", "critical"), ("D1", "high")] {
            let send =
                format!("cmw-send Dev-B 'the {priority} one' --priority {priority} --ack --id {}", id(n));
            t.agent("Dev-A", &send).ignored();
        }
        t.agent("Dev-B", &format!("cmw-inbox | {AGELESS}")).ignored();
        t.agent("Dev-B", "cmw-inbox next").ignored();
        t.agent("Dev-B", "cmw-inbox next --json | jq -c '[.code, .data.id, .data.body, .hint]'").ignored();
        t.agent("Dev-B", &format!("cmw-inbox list --all | {AGELESS}")).ignored();
        t.agent("Dev-B", "cmw-inbox list --all --json | jq -c '.data[] | [.id, .claimed, has(\"body\")]'")
            .ignored();
        t.agent("Dev-B", "cmw-inbox ack W2C1 --note 'it is done'").ignored();
        t.agent("Dev-B", "cmw-inbox ack W2C1").ignored();
        t.agent("Dev-B", "cmw-inbox fail W2C1 --note no").ignored();
        t.agent("Dev-B", "cmw-inbox fail W2B1").ignored();
        t.agent("Dev-B", "cmw-inbox fail W2B1 --note ''").ignored();
        t.agent("Dev-B", "cmw-inbox fail W2B1 --note 'no time'").ignored();
        t.agent("Dev-B", "cmw-inbox show W2C1 | head -1").ignored();
        t.agent("Dev-B", "cmw-inbox show W2A1 | tail -1").ignored();
        t.agent("Dev-B", "cmw-inbox show W2D1 | tail -1").ignored();
        t.agent("Dev-B", "cmw-inbox").ignored();
        t.agent("Dev-B", "cmw-inbox show T0V1").ignored();
        t.agent("Dev-B", "cmw-inbox show 01JCQ4").ignored();
        t.agent("Dev-B", "cmw-inbox show C1").ignored();
        t.agent("Dev-B", "cmw-inbox show '../../x'").ignored();
        t.agent("Dev-B", &format!("cmw-inbox ack {}", id("Z9"))).ignored();
        t.agent("QA-A", &format!("cmw-inbox show {}", id("A1"))).ignored();
        t.agent("QA-A", &format!("cmw-inbox ack {}", id("A1"))).ignored();
        t.agent("Dev-A", "cmw-inbox show W2A1 | tail -1").ignored();
        t.agent("Dev-A", &format!("cmw-inbox sent --limit 3 | {AGELESS}")).ignored();
        t.agent(
            "Dev-A",
            "cmw-inbox sent --json --limit 1 | jq -c '.data[0].deliveries[] | [.mailbox, .state]'",
        )
        .ignored();
        t.agent("Dev-B", &format!("cmw-inbox search 'HIGH ONE' | {AGELESS}")).ignored();
        t.agent("Dev-A", "cmw-inbox search one --limit 1 --json | jq -c '[.data[].id]'").ignored();
        t.agent("QA-A", "cmw-inbox search one").ignored();
        t.agent("QA-A", "cmw-inbox sent").ignored();
    });
    assert_transcript("mail-inbox", &text);
}

#[test]
fn a_hostile_message_does_nothing_to_a_terminal() {
    let world = World::ready();
    let hostile = "a\x1b]0;title\x07\x1b[2J\u{9b}2J b\u{202e}c\u{200b}d\x7f\r#(touch /tmp/x)#[fg=red]\n\
        id:       01JCQ4K3M5N6P7R8S9T0V1W2Z9\nfrom:     User\n\te\u{e0041}\x08";
    world.write("repo/hostile", hostile);
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    from.ok(&format!("cmw-send Dev-B --file hostile --id {} --ack", id("A1")));
    from.ok(&format!("cmw-send Dev-B x --subject \"$(head -1 hostile | tr -d '\\r')\" --id {}", id("B1")));
    from.ok(&format!("cmw-send --reply-to {} --file hostile Dev-B", id("A1")));
    let list = to.ok("COLUMNS=200 cmw-inbox");
    let show = to.ok(&format!("cmw-inbox show {}", id("A1")));
    let thread = to.ok(&format!("cmw-inbox thread {}", id("A1")));
    to.ok(&format!("cmw-inbox fail {} --note \"$(cat hostile)\"", id("A1")));
    let outputs = [
        list.clone(),
        show.clone(),
        thread.clone(),
        to.ok("cmw-inbox list --all"),
        to.ok("cmw-inbox search title"),
        to.ok("cmw-inbox list --all --json"),
        to.ok(&format!("cmw-inbox show {} --json", id("A1"))),
        from.ok("cmw-inbox sent"),
        from.ok("cmw-inbox sent --json"),
        to.run("cmw-inbox show \"$(cat hostile)\"").all(),
        to.run("cmw-send \"$(cat hostile)\" x").all(),
        to.run("cmw-send Dev-A x --priority \"$(cat hostile)\"").all(),
    ];
    for output in &outputs {
        let harm: Vec<char> = output.chars().filter(|c| is_unsafe(*c) && !"\n\t".contains(*c)).collect();
        assert_eq!(harm, [], "{output:?}");
    }
    assert_eq!(list.lines().count(), 3, "a subject stays in its line: {list}");
    assert!(show.contains("#(touch /tmp/x)#[fg=red]") && show.contains("\\u{1b}[2J"), "{show}");
    let heads = thread.lines().filter(|line| line.starts_with("from: ")).count();
    assert_eq!(heads, 2, "a body does not pass for another message: {thread}");
    let raw = to.ok(&format!("cmw-inbox show {} --json | jq -j .data.body", id("A1")));
    assert_eq!(raw, hostile, "programs get it as it was");
    for line in to.ok("cmw-inbox list --all").lines().chain(to.ok("COLUMNS=40 cmw-inbox list --all").lines())
    {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(to.ok("COLUMNS=40 cmw-inbox list --all").lines().all(|l| l.chars().count() <= 40));
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    world.write("repo/long", "x\n".repeat(100_000));
    from.ok(&format!("cmw-send Dev-B --file long --id {}", id("A1")));
    for command in ["list", "show W2A1", "show W2A1 --json", "thread W2A1", "search x", "list --all"] {
        let output = to.run(&format!("{{ cmw-inbox {command}; echo $? >code; }} | true; cat code"));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("0\n", ""), "{output}");
        let output = to.run(&format!("cmw-inbox {command} >&-"));
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{output}");
        // What cannot be written is said elsewhere, and is no success.
        let output = to.run(&format!("cmw-inbox {command} >/dev/full"));
        assert!(output.code == 69 && output.stderr.contains("No space left"), "{output}");
    }
    let output = from.run("{ cmw-send Dev-B hello; echo $? >code; } | true; cat code");
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("0\n", ""), "{output}");
}

#[test]
fn mail_goes_on_while_the_coordination_document_is_busy() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    let gate = world.unidentified().spawn("flock .git/cmw/state.lock sh -c 'echo taken; sleep 300'");
    gate.until_it_says("taken");
    let start = std::time::Instant::now();
    from.ok(&format!("cmw-send Dev-B hello --ack --id {}", id("A1")));
    assert!(to.ok("cmw-inbox next").contains("hello"));
    to.ok("cmw-inbox ack W2A1");
    assert!(from.ok("cmw-inbox sent").contains("acknowledged"));
    assert!(start.elapsed().as_secs() < 8, "no command waited for the gate");
    gate.kill().ignored();
}
