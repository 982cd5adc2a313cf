//! Many at once.

use std::collections::BTreeMap;

use crate::support::World;

const ROLES: [&str; 12] = [
    "Orchestrator",
    "Librarian",
    "Planner-A",
    "Planner-B",
    "Architect-A",
    "Architect-B",
    "Architect-C",
    "Dev-A",
    "Dev-B",
    "QA-A",
    "QA-B",
    "Docs",
];

/// Each of twelve sends twenty messages, while each reads until it has its own twenty.
#[test]
fn twelve_send_twenty_each_and_every_message_comes_exactly_once() {
    let world = World::ready();
    let send = |to: &str| format!("for i in $(seq 20); do cmw-send {to} \"$CLAUDE_ROLE $i\" || exit; done");
    let read = "n=0; while [ $n -lt 20 ]; do cmw-inbox wait --timeout 50s --quiet >&2 || exit; \
        while m=$(cmw-inbox next --json --quiet); do echo \"$m\"; n=$((n+1)); done; done";
    let mut running = Vec::new();
    for (i, role) in ROLES.iter().enumerate() {
        let to = ROLES[(i + 5) % 12];
        running.push((None, world.agent(role).spawn(&send(to))));
        running.push((Some((*role, ROLES[(i + 7) % 12])), world.agent(role).spawn(read)));
    }
    let mut seen: BTreeMap<u64, String> = BTreeMap::new();
    for (reader, pending) in running {
        let output = pending.wait();
        assert_eq!(output.code, 0, "{output}");
        let Some((reader, sender)) = reader else { continue };
        let mut subjects = Vec::new();
        for line in output.stdout.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let subject = value["data"]["subject"].as_str().unwrap().to_owned();
            assert_eq!(value["data"]["to"], reader);
            let before = seen.insert(value["data"]["seq"].as_u64().unwrap(), subject.clone());
            assert_eq!(before, None);
            subjects.push(subject);
        }
        let wanted: Vec<String> = (1..=20).map(|i| format!("{sender} {i}")).collect();
        assert_eq!(subjects, wanted, "in the order in which they were sent");
    }
    assert!(seen.keys().copied().eq(1..=240));
}

/// Two sessions of one role share a mailbox: each message goes to one of them.
#[test]
fn two_sessions_of_a_role_share_the_work() {
    let world = World::ready();
    let from = world.agent("Dev-A");
    from.ok("for i in $(seq 30); do cmw-send Dev-B $i || exit; done >/dev/null");
    let read = "while m=$(cmw-inbox next --json); do echo \"$m\" | jq -r .data.subject; done";
    let both = [world.agent("Dev-B").spawn(read), world.another("Dev-B-2", "Dev-B").spawn(read)];
    let mut got: Vec<u32> = both
        .into_iter()
        .flat_map(|one| one.wait().stdout.lines().map(|l| l.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    got.sort_unstable();
    assert!(got.into_iter().eq(1..=30));
}
