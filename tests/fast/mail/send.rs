//! Sending: addresses, bodies, limits, ids.

use cmw::adapters::os::{clock, process};
use cmw::domain::command::{Caller, Command};
use cmw::domain::facts::Facts;
use cmw::domain::identity::actor::Actor;
use cmw::domain::state::State;
use cmw::store::disk::RealDisk;
use cmw::store::{Store, TransactionEnv as Clocks};

use super::id;
use crate::support::{World, assert_transcript};

#[test]
fn an_address_is_a_role_the_person_everyone_or_a_kind() {
    let world = World::ready();
    let text = world.transcript(|t| {
        for to in ["dev_b", "user", "all", "@DEV", "Dev-A"] {
            t.agent("Dev-A", &format!("cmw-send {to} hello --json | jq -c '[.data.to, .data.recipients]'"))
                .ignored();
        }
        for to in ["Dev-C", "Zebra", "@devs", "../x", "Dev-A/../x", "System", "''", "-x", "@librarian"] {
            t.agent("Librarian", &format!("cmw-send {to} hello")).ignored();
        }
        t.agent("Dev-A", "cmw-send").ignored();
        t.agent("Dev-A", "cmw-send Dev-B hello there").ignored();
        t.agent("Dev-A", "cmw-send Dev-B hello --priority urgent").ignored();
        t.agent("Dev-A", "cmw-send Dev-B hello --type 'a b'").ignored();
        t.agent("Dev-A", "cmw-send Dev-B hello --type FROM_THE_FUTURE").ignored();
        t.agent("Dev-A", "cmw-send Dev-B hello --id x").ignored();
        t.agent("Dev-A", "cmw-send Dev-B hello --ttl soon").ignored();
        t.agent("Dev-A", "cmw-send Dev-B \"$(printf 'a\\033[2J')\" \"$(printf 'b\\033[2J')\" c").ignored();
    });
    assert_transcript("mail-addresses", &text);
    let held = world.agent("Dev-B").ok("cmw-inbox list --all --json | jq '.data | length'");
    assert_eq!(held, "4\n", "dev_b, all, @DEV, and the unknown type");
}

#[test]
fn a_body_arrives_as_it_was_given() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    world.write("repo/note.txt", "from a file\n\n");
    for (command, body, subject) in [
        ("cmw-send Dev-B 'an argument'", "an argument", "an argument"),
        ("printf '\\n \\nstdin\\r\\n' | cmw-send Dev-B -", "\n \nstdin\r\n", "stdin"),
        ("cmw-send Dev-B --file note.txt", "from a file\n\n", "from a file"),
        ("cmw-send Dev-B -- --ack", "--ack", "--ack"),
        ("cmw-send Dev-B --subject 'no body'", "", "no body"),
        ("cmw-send Dev-B '' --subject empty", "", "empty"),
    ] {
        let sent = from.ok(command);
        let got = to.ok(&format!("cmw-inbox show {} --json | jq -j .data.body", sent.trim()));
        assert_eq!(got, body, "{command}");
        let got = to.ok(&format!("cmw-inbox show {} --json | jq -j .data.subject", sent.trim()));
        assert_eq!(got, subject, "{command}");
    }
    let sent = from.ok("cmw-send Dev-B '{\"b\": [1, 2.50], \"a\": null}' --json-body");
    let got = to.ok(&format!("cmw-inbox show {} --json | jq -c .data.body", sent.trim()));
    assert_eq!(got, "{\"a\":null,\"b\":[1,2.50]}\n".replace("2.50", "2.5"));
    let line = "x".repeat(300);
    from.ok(&format!("cmw-send Dev-B {line}"));
    let subject = to.ok("cmw-inbox next --json | jq -j .data.subject");
    assert_eq!(subject, format!("{}…", "x".repeat(79)));
}

#[test]
fn what_cannot_be_a_message_is_refused_with_what_to_do() {
    let world = World::ready();
    world.write("repo/most", "x".repeat(262_144));
    world.write("repo/more", "x".repeat(262_145));
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-send Dev-B --file most --subject most >/dev/null").ignored();
        t.agent("Dev-A", "cmw-send Dev-B - <most >/dev/null").ignored();
        t.agent("Dev-A", "cmw-send Dev-B --file more").ignored();
        t.agent("Dev-A", "cmw-send Dev-B - <more").ignored();
        t.agent("Dev-A", "yes 2>&- | cmw-send Dev-B -").ignored();
        t.agent("Dev-A", "printf 'ab\\377\\000' | cmw-send Dev-B -").ignored();
        t.agent("Dev-A", "cmw-send Dev-B \"$(printf 'ab\\377')\" 2>&1 | head -1").ignored();
        t.agent("Dev-A", "cmw-send Dev-B").ignored();
        t.agent("Dev-A", "cmw-send Dev-B - </dev/null").ignored();
        t.agent("Dev-A", "printf '\\n\\n' | cmw-send Dev-B -").ignored();
        t.agent("Dev-A", "cmw-send Dev-B x --file most").ignored();
        t.agent("Dev-A", "cmw-send Dev-B --file missing").ignored();
        t.agent("Dev-A", "cmw-send Dev-B --file .").ignored();
        t.agent("Dev-A", "cmw-send Dev-B '{' --json-body").ignored();
        t.agent("Dev-A", "cmw-send Dev-B x --subject \"$(printf 'a\\nb')\"").ignored();
        t.agent("Dev-A", &format!("cmw-send Dev-B x --subject {}", "y".repeat(201))).ignored();
    });
    assert_transcript("mail-limits", &text);
    assert_eq!(world.agent("Dev-B").ok("cmw-inbox list --json | jq '.data | length'"), "2\n");
}

#[test]
fn the_same_id_is_the_same_send_and_another_content_is_refused() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    let send = format!("cmw-send @dev hello --ttl 1h --ack --id {}", id("A1"));
    let first = from.ok(&send);
    assert_eq!(first.trim(), id("A1"));
    let sent_at = |agent: &crate::support::Agent| {
        agent.ok(&format!("cmw-inbox show {} --json | jq -c '[.data.seq, .data.created_at]'", id("A1")))
    };
    let before = sent_at(&to);
    assert_eq!(from.ok(&send), first);
    to.ok(&format!("cmw-inbox ack {}", id("A1")));
    assert_eq!(from.ok(&send), first);
    assert_eq!(sent_at(&to), before);
    assert_eq!(to.ok("cmw-inbox list --all --json | jq -c .data"), "[]\n", "it does not come again");
    for other in [
        "cmw-send @dev other --ttl 1h --ack",
        "cmw-send Dev-B hello --ttl 1h --ack",
        "cmw-send @dev hello --ack",
    ] {
        let output = from.fails(1, &format!("{other} --id {}", id("A1")));
        assert!(output.stderr.contains("belongs to another message (number 1)"), "{output}");
    }
    world.agent("QA-A").fails(1, &send).ignored();
}

#[test]
fn eight_at_once_under_one_id_are_one_send() {
    let world = World::ready();
    let from = world.agent("Dev-A");
    let send = format!("cmw-send Dev-B hello --id {}", id("A1"));
    let all: Vec<_> = (0..8).map(|_| from.spawn(&send)).collect();
    for one in all {
        let output = one.wait();
        assert_eq!((output.code, output.stdout.trim()), (0, id("A1").as_str()), "{output}");
    }
    let to = world.agent("Dev-B");
    assert_eq!(to.ok("cmw-inbox list --json | jq -c '[.data[].seq]'"), "[1]\n");
}

#[test]
fn a_reply_goes_to_the_sender_and_stays_in_the_thread() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", &format!("cmw-send Dev-B 'where is it?' --type QUESTION --id {}", id("A1")))
            .ignored();
        t.agent(
            "Dev-B",
            &format!("cmw-send --reply-to v1w2a1 'on the left' --type ANSWER --id {}", id("B1")),
        )
        .ignored();
        t.agent("Dev-A", &format!("cmw-send --reply-to 2B1 - --id {} </dev/null", id("C1"))).ignored();
        t.agent("Dev-A", &format!("echo thanks | cmw-send --reply-to W2B1 - --id {}", id("C1"))).ignored();
        t.agent("Dev-A", &format!("cmw-send QA-A --reply-to W2B1 'for you too' --id {}", id("D1"))).ignored();
        t.agent("Dev-B", "cmw-inbox thread W2C1").ignored();
        t.agent("QA-A", "cmw-inbox thread W2D1 --json | jq -c '.data[] | [.id, .thread, .in_reply_to]'")
            .ignored();
        t.agent("QA-B", &format!("cmw-inbox thread {}", id("A1"))).ignored();
        t.agent("Dev-B", &format!("cmw-send --reply-to {} x", id("Z9"))).ignored();
        t.agent("Dev-B", "cmw-send --reply-to ZZZZZ x").ignored();
        t.agent("Dev-B", "cmw-send x").ignored();
    });
    assert_transcript("mail-thread", &text);
}

#[test]
fn who_is_not_proven_writes_and_it_shows() {
    let world = World::ready();
    let person = world.person();
    person.ok("cmw-send Dev-A 'from the person'");
    let state = || {
        let disk = RealDisk::open(&world.at("repo/.git")).unwrap();
        (Store::new(disk), process::current())
    };
    let (store, me) = state();
    let facts = |_: &State| Facts {
        now: clock::now(),
        dead: Default::default(),
        active: Default::default(),
        saver: None,
        endings: Default::default(),
    };
    let up = Command::SessionUp { name: "s".into(), socket: None, server: me.clone(), agent: None };
    let asker = Caller { actor: Actor::User, process: me };
    store.transact(&asker, &up, Clocks { facts: &facts, random: &|| 1 }).unwrap().outcome.unwrap();
    let text = world.transcript(|t| {
        t.person(&format!("cmw-send Dev-A 'is it I?' --id {}", id("A1"))).ignored();
        t.person(&format!("CLAUDECODE=1 cmw-send Dev-A 'an agent' --id {}", id("B1"))).ignored();
        t.unidentified(&format!("cmw-send User 'who am I?' --id {}", id("C1"))).ignored();
        t.unidentified("cmw-inbox").ignored();
        t.person("CLAUDECODE=1 cmw-inbox").ignored();
        t.person("cmw-inbox show W2C1 | head -3").ignored();
        t.person("cmw-inbox sent --limit 1 --json | jq -c '.data[] | [.from, .proven]'").ignored();
        t.person("cmw-inbox list --as Dev-A").ignored();
    });
    assert_transcript("mail-unproven", &text);
    let down = store.transact(&asker, &Command::SessionDown, Clocks { facts: &facts, random: &|| 1 });
    down.unwrap().outcome.unwrap();
    let list = world.agent("Dev-A").ok("cmw-inbox | sed -E 's/ +[0-9]+s +/ AGE /'");
    assert_eq!(
        list.split_once('\n').unwrap().1,
        "* T0V1W2A1  User (unproven)  MESSAGE  NORMAL AGE is it I?\n\
         * T0V1W2B1  unproven         MESSAGE  NORMAL AGE an agent\n"
    );
    assert!(person.ok("cmw-inbox list --as Dev-A").lines().count() == 3);
}
