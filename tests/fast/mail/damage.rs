//! Tests of damage: files that were changed, removed or torn, and a disk that is full.

use std::path::PathBuf;
use std::process::Command;

use super::id;
use crate::support::{World, assert_transcript};

/// The mailbox file of the only message.
const FILE: &str = ".git/messages/Dev-B/new/*.json";

#[test]
fn a_tampered_message_is_never_shown_and_is_reported_to_all() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    from.ok(&format!("cmw-send Dev-B 'pay one' --id {}", id("A1")));
    to.ok(&format!("sed -i 's/pay one/pay ten/' {FILE}"));
    let output = to.run("cmw-inbox next");
    assert!(output.code == 0 && output.stdout.contains("pay one"), "the true one is shown: {output}");
    assert!(output.stderr.contains("warning: a file in the mailbox was not shown"), "{output}");
    assert!(!output.all().contains("pay ten"), "{output}");
    let bad = to.ok("cat .git/messages/Dev-B/bad/*");
    assert!(bad.contains("pay ten"), "it is kept");
    let events = world.read("repo/.git/audit/security-events.log");
    assert!(events.contains("HIGH") && events.contains("differs from the registry"), "{events}");
    for role in ["Librarian", "Dev-A"] {
        let told = world.agent(role).ok("cmw-inbox next");
        assert!(told.contains("SECURITY_ALERT") && told.contains("Dev-B"), "{role}: {told}");
    }
    assert!(from.ok("cmw-inbox sent").contains("quarantined"));
    to.fails(1, "cmw-inbox next").ignored();
}

#[test]
fn a_forged_message_is_never_shown() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    from.ok(&format!("cmw-send Dev-B 'a true one' --id {}", id("A1")));
    let forged = format!(".git/messages/Dev-B/new/000000000009.{}.json", id("Z9"));
    to.ok(&format!("sed 's/a true one/a forged one/' {FILE} > {forged}.tmp && mv {forged}.tmp {forged}"));
    to.ok("ln -s /etc/passwd .git/messages/Dev-B/new/000000000010.01JCQ4K3M5N6P7R8S9T0V1W2Y9.json");
    to.ok("echo junk > .git/messages/Dev-B/new/junk");
    let output = to.run("cmw-inbox list --all");
    assert!(output.code == 0 && output.stdout.lines().count() == 1, "{output}");
    assert!(!output.all().contains("forged one") && !output.all().contains("root:"), "{output}");
    assert_eq!(output.stderr.matches("warning: a file").count(), 3, "{output}");
    assert_eq!(to.run("cmw-inbox list --all").stderr, "");
    assert_eq!(world.agent("Librarian").ok("cmw-inbox list --json | jq '.data | length'"), "3\n");
}

#[test]
fn a_removed_message_file_comes_back() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    from.ok(&format!("cmw-send Dev-B one --id {}", id("A1")));
    from.ok(&format!("cmw-send Dev-B two --id {}", id("B1")));
    to.ok("cmw-inbox list");
    to.ok(&format!("rm {FILE}"));
    assert_eq!(to.ok("cmw-inbox list --recheck --json | jq -c '[.data[].subject]'"), "[\"one\",\"two\"]\n");
    to.ok(&format!("rm {FILE}"));
    to.ok(&format!("cmw-inbox ack {}", id("A1")));
    assert_eq!(to.ok("cmw-inbox list --json | jq -c '[.data[].subject]'"), "[\"two\"]\n");
    to.ok("rm -r .git/messages/Dev-B .git/cmw/cursors");
    assert_eq!(to.ok("cmw-inbox list --json | jq -c '[.data[].subject]'"), "[\"two\"]\n");
    // A message that was never looked at comes without being asked for.
    from.ok("cmw-send Dev-B three");
    to.ok("rm -r .git/messages/Dev-B/new");
    assert!(to.ok("cmw-inbox list").contains("three"));
}

#[test]
fn a_torn_tail_is_cut_and_garbage_is_damage() {
    let world = World::ready();
    let (from, to) = (world.agent("Dev-A"), world.agent("Dev-B"));
    from.ok(&format!("cmw-send Dev-B one --id {}", id("A1")));
    to.ok("printf '{\"seq\":2,\"prev\":' >>.git/message-registry.json");
    from.ok(&format!("cmw-send Dev-B two --id {}", id("B1")));
    assert_eq!(to.ok("cmw-inbox list --json | jq -c '[.data[].seq]'"), "[1,2]\n");
    let text = world.transcript(|t| {
        t.agent("Dev-B", "echo garbage >>.git/message-registry.json").ignored();
        t.agent("Dev-B", "cmw-inbox").ignored();
        t.agent("Dev-A", &format!("cmw-send Dev-B three --id {}", id("C1"))).ignored();
        t.agent("Dev-B", "cmw-inbox list").ignored();
        t.agent("Dev-B", "echo garbage >.git/message-registry.json").ignored();
        t.agent("Dev-A", &format!("cmw-send Dev-B four --id {}", id("D1"))).ignored();
        t.agent("Dev-A", "rm .git/message-registry.json").ignored();
        t.agent("Dev-A", &format!("cmw-send Dev-B five --id {}", id("E1"))).ignored();
        t.agent("Dev-B", "cmw-inbox list").ignored();
        t.person("cmw-audit violations").ignored();
    });
    assert_transcript("mail-damage", &text);
}

#[test]
fn without_a_set_up_repository_nothing_is_made() {
    let world = World::new();
    world.agent("Dev-A").fails(78, "cmw-send Dev-B hello").ignored();
    world.agent("Dev-A").fails(78, "cmw-inbox").ignored();
    world.unidentified().cd(".").fails(78, "cmw-inbox").ignored();
    assert!(
        !world.at("repo/.git/messages").exists() && !world.at("repo/.git/message-registry.json").exists()
    );
}

#[test]
fn on_a_full_disk_nothing_is_sent_and_nothing_is_lost() {
    let world = World::ready();
    let agent = world.agent("Dev-A");
    if agent.run("test $(id -u) = 0 && mkdir full && mount -t tmpfs -o size=96m none full").code != 0 {
        eprintln!("skipped: only root can make a small disk");
        return;
    }
    let _mounted = Mounted(world.at("repo/full"));
    agent.ok("git clone -q --no-hardlinks . full/repo && cd full/repo && cmw-init --quiet");
    agent.cd("repo/full/repo");
    agent.ok(&format!("cmw-send Dev-B before --id {}", id("A1")));
    agent.run("cat /dev/zero >full 2>&-").ignored();
    agent.run("cp full full2 2>&-; for i in $(seq 300); do : >f$i || break; done 2>&-").ignored();
    let output = agent.fails(69, "head -c 100000 /dev/zero | tr '\\0' x | cmw-send Dev-B - --subject large");
    assert!(output.stderr.contains("free some space"), "{output}");
    agent.ok("rm full full2");
    let sent = agent.ok("cmw-send Dev-B after --quiet");
    assert_eq!(sent.lines().count(), 1);
    let list = agent.run("cmw-inbox sent --json | jq -c '[.data[].subject]'");
    assert_eq!(list.stdout, "[\"after\",\"before\"]\n", "{list}");
}

/// Unmounts at the end, also when the test panics.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
