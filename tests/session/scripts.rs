//! The guide's scripts, over the programs under test.

use std::path::Path;

use super::world::{Said, World, programs};
use super::{IDLE, Phase};

/// The scripts in a directory of their own, beside which the programs under test were "built".
fn scripts(world: &World) -> impl Fn(&str, &[&str]) -> Said {
    let root = world.dir.path().join("clone");
    std::fs::create_dir_all(root.join("target")).unwrap();
    std::os::unix::fs::symlink(programs(), root.join("target/release")).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let copied = world.command(Path::new("cp")).arg("-R").arg(from).arg(&root).status().unwrap();
    assert!(copied.success());
    // A script may not ask for a socket: its server is private by its directory of sockets.
    move |name, args| world.command(&root.join("scripts").join(name)).args(args).output().unwrap().into()
}

#[test]
fn the_guides_scripts_start_and_stop() {
    let world = World::on_the_default_socket(3);
    let script = scripts(&world);
    script("setup-tmux-session.sh", &["--agent", IDLE]).ok();
    assert_eq!(world.state().instances.len(), 0);
    script("start-instance.sh", &["Orchestrator", "0"]).ok();
    assert_eq!(world.ready(), 1);
    assert_eq!(script("start-all-instances.sh", &[]).ok().out, "all 2 started in session claude-multi\n");
    assert_eq!(script("start-all-instances.sh", &[]).ok().out, "all run already\n");
    script("shutdown-instance.sh", &["Dev-A", "7", "--grace", "20s"]).ok();
    assert_eq!(world.instance("Dev-A").phase, Phase::Shutdown);
    assert_eq!(world.ready(), 2);
    assert!(script("health-check.sh", &[]).out.contains("SHUTDOWN"));
    script("shutdown-all-instances.sh", &[]).ok();
    assert!(!world.has_session("claude-multi"));
    script("start-all-instances.sh", &["--agent", IDLE]).ok();
    assert_eq!(world.ready(), 3);
    for (name, args) in [
        ("start-instance.sh", &[][..]),
        ("shutdown-instance.sh", &[]),
        ("force-release-lock.sh", &["--reason"]),
        ("force-release-lock.sh", &["x", "y"]),
    ] {
        assert_eq!(script(name, args).code, 2, "{name}");
    }
    // Nobody who runs a script while a session is up is proven to be the person.
    let forced = script("force-release-lock.sh", &["--reason", "-x; touch pwned"]);
    assert_eq!(forced.code, 77, "{forced:?}");
}

#[test]
fn a_script_without_programs_says_how_to_build_them() {
    let world = World::on_the_default_socket(2);
    let script = scripts(&world);
    std::fs::remove_file(world.dir.path().join("clone/target/release")).unwrap();
    let said = script("health-check.sh", &[]);
    assert_eq!(said.code, 69, "{said:?}");
    assert!(said.err.contains("next: cargo build --release"), "{}", said.err);
}
