//! The state document is bound to its history: one that was edited, exchanged or lost is damage, counts as
//! frozen, is found by each look, and is a violation (docs/rules.md R6.8).

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use cmw::domain::audit::record::{DocumentSeal, Record};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Agent, World};

const STATE: &str = "repo/.git/cmw/state.json";

/// A repository that is frozen hard.
fn frozen() -> World {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-lock acquire && cmw-lock release");
    world.person().ok("cmw-freeze now --hard --reason stop");
    world
}

fn document(world: &World) -> Value {
    serde_json::from_str(&world.read(STATE)).unwrap()
}

fn thaw(document: &mut Value) {
    document["state"]["system"] = json!({"status": "RUNNING"});
    document["state"]["pins"]["wanted"] = false.into();
}

/// Writes a document whose last record tells of its state, as a publish would write it.
fn write_sealed(world: &World, document: &Value) {
    let state = document["state"].to_string();
    let digest = Sha256::digest(&state).iter().map(|byte| format!("{byte:02x}")).collect();
    let records = document["outbox"]["records"].as_array().unwrap();
    let record: Record = serde_json::from_value(records.last().unwrap().clone()).unwrap();
    let journal_read = document["journal_read"].as_u64().unwrap();
    let record = record.sealed(DocumentSeal { state: digest, journal_read, ..DocumentSeal::default() });
    let head = record.hash.clone();
    let text = format!(
        r#"{{"format":1,"seq":{},"head":"{head}","journal_read":{journal_read},"outbox":{{"records":[{}],"mail":[],"mail_after":0}},"state":{state}}}"#,
        record.seq,
        serde_json::to_string(&record).unwrap(),
    );
    world.write(STATE, text + "\n");
}

/// The document cannot be read: nothing moves, and each look says so.
fn is_found(world: &World, says: &str) {
    let before = world.git(&["rev-parse", "main"]);
    let dev = world.agent("Dev-B");
    let _ = dev.run("echo b >>a; git commit -qam evil");
    let _ = dev.run("git update-ref refs/heads/main $(git commit-tree -p main -m evil 'main^{tree}')");
    assert_eq!(world.git(&["rev-parse", "main"]), before, "{says}");
    for look in ["cmw-audit verify", "cmw-doctor", "cmw"] {
        let output = world.person().run(look);
        assert!(output.code != 0 && output.all().contains(says), "{look}: {says}: {}", output.all());
    }
}

/// An agent repairs it: what the audit tells counts again, and that it was edited is a violation.
fn is_repaired(world: &World) {
    let fixed = world.agent("Dev-B").run("cmw-doctor --fix");
    assert!(fixed.code == 1 && fixed.stdout.contains("rebuilt cmw/state.json"), "{}", fixed.all());
    assert!(world.person().run("cmw-freeze status").all().contains("frozen"), "it stays frozen");
    let violations = world.person().run("cmw-audit violations").all();
    assert!(violations.contains("the state document"), "{violations}");
    assert_ne!(world.person().run("cmw-audit verify").code, 0);
    let before = world.git(&["rev-parse", "main"]);
    let _ = world.agent("Dev-B").run("git commit -qam evil");
    assert_eq!(world.git(&["rev-parse", "main"]), before);
    world.person().ok("cmw-audit adopt V1 --reason 'an agent edited it' && cmw-freeze thaw --reason seen");
    world.person().ok("cmw-audit verify");
    world.agent("Dev-B").ok("git commit -qam good");
}

#[test]
fn an_edited_state_is_found_and_put_back() {
    for part in ["system", "policy", "violations"] {
        let world = frozen();
        let mut edited = document(&world);
        match part {
            "system" => thaw(&mut edited),
            "policy" => edited["state"]["policy"]["checks"]["freeze"] = "off".into(),
            _ => edited["state"]["violations"] = json!([]),
        }
        world.write(STATE, edited.to_string());
        is_found(&world, "it was changed by hand: the state is not the one that was recorded");
        is_repaired(&world);
    }
}

#[test]
fn an_edited_state_with_a_new_digest_is_found_and_put_back() {
    let world = frozen();
    let mut edited = document(&world);
    thaw(&mut edited);
    write_sealed(&world, &edited);
    is_found(&world, "it was changed by hand: event");
    is_repaired(&world);
    let world = frozen();
    let mut edited = document(&world);
    thaw(&mut edited);
    edited["outbox"]["records"] = json!([]);
    world.write(STATE, edited.to_string());
    is_found(&world, "it was changed by hand: it names no record");
}

#[test]
fn an_older_document_that_was_put_back_is_found() {
    let world = World::ready();
    world.person().ok("cmw-freeze now --reason first && cmw-freeze thaw --reason first");
    let older = world.read(STATE);
    world.person().ok("cmw-freeze now --reason stop");
    let newer = world.read(STATE);
    world.write(STATE, &older);
    is_found(&world, "it was changed by hand: it ends with event");
    is_repaired(&world);
    assert_ne!(world.read(STATE), newer);
}

#[test]
fn a_lost_state_and_a_lost_record_do_not_thaw() {
    let world = World::ready();
    world.person().ok("cmw-freeze now --reason stop");
    world.agent("Dev-B").ok("rm .git/cmw/state.json; cd .git/audit; for log in *.log; do grep -v SYSTEM_FROZEN $log >x; cat x >$log; done; rm x");
    let _ = world.agent("Dev-B").run("cmw-doctor --fix");
    assert!(world.person().run("cmw-freeze status").all().contains("frozen"), "the mail says so");
    assert_ne!(world.person().run("cmw-audit verify").code, 0);
}

#[test]
fn what_was_noted_survives_a_rebuild() {
    let world = World::ready();
    world.agent("Dev-A").ok("git -c core.hooksPath= commit -q --allow-empty -m past");
    let _ = world.person().run("cmw-audit verify");
    let found = |who: &Agent| who.run("cmw-audit violations").all();
    assert!(found(&world.person()).contains("V1"));
    // A finding of a hook, which no publish has read.
    world.agent("Dev-A").ok("git -c core.hooksPath= commit -q --allow-empty -m again");
    let _ = world.agent("Dev-B").run("git commit -q --allow-empty -m next");
    let fixed = world.agent("Dev-B").run("rm .git/cmw/state.json && cmw-doctor --fix");
    assert!(fixed.stdout.contains("rebuilt cmw/state.json"), "{}", fixed.all());
    let all = found(&world.person());
    assert!(all.matches("refs/heads/main").count() >= 2 || all.contains("2 movements"), "{all}");
}

#[test]
fn a_lost_state_and_a_lost_record_are_rebuilt_by_the_user_and_stay_frozen() {
    let world = World::ready();
    world
        .agent("Dev-A")
        .ok("cmw-lock acquire --quiet; git commit -q --allow-empty -m a; cmw-lock release --quiet");
    world.person().ok("cmw pause Dev-B --reason r && cmw resume Dev-B");
    world.agent("Dev-A").ok("sed -i 1d .git/audit/write-lock-intents.json; rm .git/cmw/state.json");
    let agent = world.agent("Dev-A").run("cmw-doctor --fix");
    assert_ne!(agent.code, 0, "an agent rebuilds nothing from a trail with a gap: {agent}");
    let fixed = world.person().run("cmw-doctor --fix");
    assert!(fixed.all().contains("rebuilt cmw/state.json"), "{fixed}");
    assert!(world.person().run("cmw-freeze status").all().contains("frozen"));
    for id in 1..4 {
        world.person().run(&format!("cmw-audit adopt V{id} --reason seen")).ignored();
    }
    world.person().ok("cmw-freeze thaw --reason seen && cmw-audit verify && cmw-doctor");
    world.agent("Dev-A").ok("git commit -q --allow-empty -m b");
}
