//! What cannot be written to now stops no freeze, thaw or commit: it waits in the document (docs/decisions.md D30).

use std::time::{Duration, Instant};

use crate::support::World;

#[test]
fn a_registry_whose_gate_is_held_stops_no_freeze_and_no_commit() {
    let world = World::ready();
    let (dev, person) = (world.agent("Dev-A"), world.person());
    dev.ok("cmw-send Dev-B --subject a b");
    // A program that was stopped holds the gate of the registry.
    let held = person.run("flock .git/cmw/registry.lock sleep 600 >/dev/null 2>&1 & echo $!");
    let pid = held.stdout.lines().next().unwrap().trim().to_owned();
    person.ok("until ! flock -n .git/cmw/registry.lock true; do sleep 0.02; done");
    for command in ["cmw-freeze now --reason r", "cmw-freeze thaw --reason r", "cmw pause Dev-B --reason r"] {
        let began = Instant::now();
        let output = person.run(command);
        assert!(output.code == 0 && output.stderr.contains("kept in cmw/state.json"), "{output}");
        assert!(began.elapsed() < Duration::from_secs(10), "{command}: {:?}", began.elapsed());
    }
    dev.ok("git commit -q --allow-empty -m after");
    person.ok(&format!(
        "pkill -P {pid}; kill {pid}; until flock -n .git/cmw/registry.lock true; do sleep 0.02; done"
    ));
    person.ok("cmw resume Dev-B && cmw-audit verify");
    let mail = world.agent("Dev-B").ok("cmw-inbox list --all");
    for kind in ["SYSTEM_FREEZE", "SYSTEM_UNFROZEN"] {
        assert_eq!(mail.matches(kind).count(), 1, "{kind}: {mail}");
    }
}
