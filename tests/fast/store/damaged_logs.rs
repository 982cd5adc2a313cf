//! Damage in a log stops no freeze, thaw or commit: what belongs into it is kept in the document until it is
//! repaired (docs/decisions.md D30).

use crate::support::World;

/// A file below `.git`, and how it is damaged.
const DAMAGES: [(&str, &str); 6] = [
    ("audit/write-lock-intents.json", "echo junk >>"),
    ("audit/orchestrator-decisions.log", "echo junk >>"),
    ("audit/orchestrator-decisions.log", "mv -T $F $F.aside; mkdir "),
    ("message-registry.json", "echo junk >>"),
    ("message-registry.json", "mv -T $F $F.aside; mkdir "),
    ("audit/journal.jsonl", "echo junk >>"),
];

#[test]
fn damage_in_a_log_stops_no_freeze_and_no_commit() {
    for (file, damage) in DAMAGES {
        let world = World::ready();
        let (dev, person) = (world.agent("Dev-A"), world.person());
        person.ok("cmw pause Dev-B --reason first && cmw resume Dev-B");
        dev.ok("cmw-send Dev-B --subject a b && git commit -q --allow-empty -m before");
        let file_now = format!("F=.git/{file}; cp $F ../whole; {damage}$F");
        dev.ok(&file_now);
        let frozen = person.ok("cmw-freeze now --reason r");
        assert!(person.run("cmw-freeze status").all().contains("frozen"), "{file}, {damage}: {frozen}");
        let refused = dev.run("git commit -q --allow-empty -m refused");
        assert!(refused.code != 0 && refused.stderr.contains("frozen"), "{file}: {refused}");
        person.ok("cmw-freeze thaw --reason r");
        dev.ok("git commit -q --allow-empty -m after");
        assert_eq!(world.git(&["log", "-1", "--format=%s", "main"]), "after", "{file}, {damage}");
        if file == "audit/journal.jsonl" {
            continue;
        }
        // Repaired by hand: the next command brings everything to its place.
        let repair = format!(
            "F=.git/{file}; if test -d $F; then rmdir $F; mv -T $F.aside $F; else sed -i '/^junk$/d' $F; fi"
        );
        dev.ok(&repair);
        person.ok("cmw pause Dev-B --reason last && cmw-audit verify");
        let log = person.ok("cmw-audit log -n 50");
        for event in ["SYSTEM_FROZEN", "SYSTEM_UNFROZEN", "INSTANCES_RESUMED"] {
            assert_eq!(log.matches(event).count(), 1, "{file}, {damage}, {event}: {log}");
        }
        let mail = world.agent("Dev-B").ok("cmw-inbox list --all");
        for kind in ["SYSTEM_FREEZE", "SYSTEM_UNFROZEN"] {
            assert_eq!(mail.matches(kind).count(), 1, "{file}, {damage}, {kind}: {mail}");
        }
    }
}
