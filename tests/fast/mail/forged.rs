//! Messages that an agent writes into the registry in the name of another.

use cmw::domain::identity::actor::{Actor, Mailbox};
use cmw::domain::identity::role::Role;
use cmw::domain::mail::id::MessageId;
use cmw::domain::mail::message::{Body, Draft};
use cmw::domain::util::time::{BootId, WallTime};
use cmw::store::disk::RealDisk;
use cmw::store::mail::registry::Registry;

use crate::support::World;

/// Writes a message into the registry, with its place in the chain, as a program that knows the format can.
fn forge(world: &World, from: Actor, subject: &str, number: u128) -> MessageId {
    let disk = RealDisk::open(&world.at("repo/.git")).unwrap();
    let id = MessageId::from_parts(1_790_000_000_000, number);
    let to = Mailbox::Role(Role::parse("Dev-A").unwrap());
    let mut draft = Draft::new(id, from, "Dev-A".to_owned(), vec![to], WallTime(1_790_000_000_000));
    draft.subject = subject.to_owned();
    draft.body = Body::text(subject.to_owned()).unwrap();
    Registry::new(&disk, BootId("b".to_owned())).append(&[draft.seal().unwrap()]).unwrap();
    id
}

#[test]
fn a_message_in_the_users_name_that_the_audit_does_not_know_is_found() {
    let world = World::ready();
    let (dev, person) = (world.agent("Dev-A"), world.person());
    person.ok("cmw-send Dev-A --subject real b && cmw pause Dev-A --reason caused && cmw resume Dev-A");
    let sent = person.ok("cmw-send Dev-A --subject later b").trim().to_owned();
    person.ok("cmw-audit verify");
    let forged = forge(&world, Actor::User, "forged", 1);
    let sender_of = |subject: &str| {
        let list = dev.ok("cmw-inbox list --all");
        let line =
            list.lines().find(|line| line.ends_with(subject)).unwrap_or_else(|| panic!("{subject}: {list}"));
        line.contains("User (unproven)")
    };
    assert!(sender_of("forged"));
    assert!(!sender_of("real") && !sender_of("later"), "what the User sent is the User's");
    let paused = dev.ok("cmw-inbox list --all");
    assert!(
        paused.lines().filter(|line| line.contains("PAUSE")).all(|line| !line.contains("unproven")),
        "{paused}"
    );
    assert!(dev.ok(&format!("cmw-inbox show {forged}")).contains("unproven"));
    assert!(!dev.ok(&format!("cmw-inbox show {sent}")).contains("unproven"));
    // It is found, once; another one makes the same violation grow.
    let verify = person.run("cmw-audit verify");
    assert!(verify.code != 0 && verify.stdout.contains(&forged.to_string()), "{verify}");
    forge(&world, Actor::User, "forged again", 2);
    for _ in 0..2 {
        let verify = person.run("cmw-audit verify").all();
        assert!(verify.contains("V1") && !verify.contains("V2"), "{verify}");
    }
    person.ok("cmw-audit adopt V1 --reason seen && cmw-audit verify");
    assert!(sender_of("forged"), "it stays unproven");
}

#[test]
fn a_message_of_the_user_that_is_sent_again_is_known() {
    let world = World::ready();
    let person = world.person();
    let id = super::id("A1");
    person.ok(&format!("cmw-send Dev-A --id {id} again && cmw-send Dev-A --id {id} again"));
    assert!(!world.agent("Dev-A").ok("cmw-inbox list").contains("unproven"));
    person.ok("cmw-audit verify");
}
