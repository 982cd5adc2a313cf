//! How Claude Code is started: by a stand-in of that name that does what the client does with its arguments.

use std::path::PathBuf;

use cmw::domain::session::instance::InstancePhase;

use crate::support::session::{World, wait_for};

/// Says its arguments, and calls the hook of its settings as the client does when a session begins; it goes on
/// with the session that it is told, or with one of its own.
fn client(world: &World) -> PathBuf {
    world.program(
        "claude",
        r#"[ "$1" != --version ] || { echo "2.1.330 (Claude Code)"; exit 0; }
        echo "client of $CLAUDE_ROLE: $*"
        printf '%s\n' "$*" >>"started-$CLAUDE_ROLE"
        session=$CLAUDE_ROLE-$$
        while [ $# -gt 0 ]; do
            case $1 in
            --settings) settings=$2 ;;
            --resume) session=$2 ;;
            esac
            shift
        done
        touch "conversation-$session"
        hook=$(jq -r '.hooks.SessionStart[0].hooks[0] | [.command] + .args | map(@sh) | join(" ")' "$settings")
        printf '{"session_id":"%s","source":"startup","transcript_path":"%s"}' "$session" \
            "$PWD/conversation-$session" | eval "$hook"
        exec sleep 600"#,
    )
}

/// The arguments of each start of a role.
fn starts(world: &World, role: &str) -> Vec<String> {
    let lines = std::fs::read_to_string(world.repo.join(format!("started-{role}"))).unwrap_or_default();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn it_registers_by_its_hook_and_is_beaten_for() {
    let world = World::new(2);
    let up = world.up(&["--agent", &format!("{} --model none", client(&world).display())]).ok();
    assert_eq!(up.out, "all 2 started in session claude-multi\n");
    assert_eq!(world.instance("Dev-A").phase, InstancePhase::Ready);
    let words = "client of Dev-A: --model none --settings ";
    wait_for("the client", || world.shown("Dev-A").contains(words));
    let text = std::fs::read_to_string(world.repo.join(".git/cmw/clients/Dev-A/role.md")).unwrap();
    assert!(text.starts_with("You are Dev-A, an instance of kind dev, one of 2"), "{text}");
    let status = world.tool("cmw", &["--json"]).ok().data();
    assert_eq!(status["instances"]["Dev-A"]["status"], "ALIVE");
    assert_eq!(status["instances"]["Dev-A"]["activity"]["activity"], "idle");
    world.session(&["down", "--grace", "1s"]).ok();
    wait_for("its beats to end", || !world.living().iter().any(|p| p.contains("cmw-heartbeat")));
}

#[test]
fn it_goes_on_with_its_conversation_unless_it_shall_begin_anew() {
    let world = World::new(2);
    let agent = client(&world).display().to_string();
    world.up(&["--agent", &agent]).ok();
    let first = starts(&world, "Dev-A").remove(0);
    assert!(!first.contains("--resume") && first.contains("--append-system-prompt-file "), "{first}");
    let session = || {
        let record = std::fs::read_to_string(world.repo.join(".git/cmw/clients/Dev-A/record")).unwrap();
        let json: serde_json::Value = serde_json::from_str(record.split_once(' ').unwrap().1.trim()).unwrap();
        json["session"].as_str().unwrap().to_owned()
    };
    let before = session();
    let again = |more: &[&str]| {
        world.session(&["stop", "Dev-A", "--grace", "1s"]).ok();
        world.session(&[&["start", "Dev-A"], more].concat()).ok();
        starts(&world, "Dev-A").pop().unwrap()
    };
    let second = again(&[]);
    assert!(second.ends_with(&format!(" --resume {before}")), "{second}");
    assert_eq!(session(), before);
    let third = again(&["--fresh"]);
    assert!(!third.contains("--resume"), "{third}");
    assert_ne!(session(), before);
    // What is gone cannot be gone on with.
    std::fs::remove_file(world.repo.join(format!("conversation-{}", session()))).unwrap();
    let fourth = again(&[]);
    assert!(!fourth.contains("--resume"), "{fourth}");
    world.session(&["down", "--grace", "1s"]).ok();
    world.up(&["--agent", &agent]).ok();
    let fifth = starts(&world, "Dev-A").pop().unwrap();
    assert!(fifth.contains("--resume"), "also after a night: {fifth}");
}

#[test]
fn what_contradicts_our_settings_is_said() {
    let world = World::new(2);
    for (option, words) in [("--settings x.json", "settings of its own"), ("--bare", "it disables the hooks")]
    {
        let up = world.up(&["--agent", &format!("{} {option}", client(&world).display()), "--wait", "2s"]);
        assert_ne!(up.code, 0, "{up:?}");
        assert!(up.err.contains(words), "{}", up.err);
        world.session(&["down", "--grace", "1s"]).ok();
    }
    let mut git = world.command(std::path::Path::new("git"));
    git.args(["config", "cmw.client.budget", "many"]).output().unwrap();
    let up = world.up(&["--agent", &client(&world).display().to_string(), "--wait", "2s"]);
    assert!(up.code != 0 && up.err.contains("cmw.client.budget must be a number of bytes"), "{up:?}");
}
