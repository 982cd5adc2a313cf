//! The operations guide's own commands (its chapters 5 and 6) work on the files that it names.
#![cfg(feature = "test-clock")]

use crate::support::World;

#[test]
fn the_guides_troubleshooting_lines_work() {
    let world = World::ready();
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev.ok("cmw-heartbeat register && cmw-heartbeat beat --task parsing");
    other.ok("cmw-heartbeat register");
    dev.ok("cmw-lock acquire --files 'src/**' --purpose parser");
    let refused = other.fails(75, "cmw-lock acquire --files docs --priority high");
    assert!(refused.stderr.contains("number 1 in the queue"), "{refused}");
    let seen = |line: &str| other.ok(line).trim().to_owned();
    assert_eq!(seen("cat .git/instance-registry.json | jq -c '[.instances[].role]'"), r#"["Dev-A","Dev-B"]"#);
    assert_eq!(
        seen("cat .git/instance-registry.json | jq -c '.last_heartbeat | keys'"),
        r#"["Dev-A","Dev-B"]"#
    );
    assert_eq!(seen("jq -r '.instances[0].current_task' .git/instance-registry.json"), "parsing");
    assert_eq!(seen("cat .git/locks/write-lock.json | jq -r '.current_lock.holder'"), "Dev-A");
    assert_eq!(seen("cat .git/locks/write-lock.json | jq -c '.current_lock.files'"), r#"["src/**"]"#);
    assert_eq!(
        seen("cat .git/locks/write-lock.json | jq -r '.queue[0] | .requester + \" \" + .priority'"),
        "Dev-B HIGH"
    );
    assert!(seen("cat .git/audit/write-lock-intents.json").lines().count() >= 2);
    assert!(seen("ls .git/messages/ | wc -l").parse::<u32>().unwrap() >= 2);
    assert!(!seen("tail -n 3 .git/audit/orchestrator-startup.log").is_empty());
    dev.ok("cmw-lock release");
    assert_eq!(seen("jq -c '.current_lock' .git/locks/write-lock.json"), "null");
}
