//! `cmw-init --adopt-hooks`: what another tool puts in place of our hooks, or beside them, is adopted
//! by an actor that may, is recorded, and runs after ours.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use crate::support::World;
use serde_json::Value;

/// What `npm install` does with husky, when it comes after us.
const HUSKY: &str = "mkdir -p .husky/_; for h in pre-commit post-checkout; do \
    printf '#!/bin/sh\\necho husky-%s >>$HOME/ran\\n' $h >.husky/_/$h; chmod +x .husky/_/$h; done; \
    git config core.hooksPath .husky/_";

/// The records of adoptions.
fn adoptions(world: &World) -> Vec<Value> {
    let log = world.read("repo/.git/audit/orchestrator-startup.log");
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["event"] == "HOOKS_ADOPTED").collect()
}

/// Both run: ours says no without the lock, theirs is asked with it.
fn both_run(world: &World, theirs: &str) {
    let dev = world.agent("Dev-A");
    let line = "rm -f $HOME/ran; echo x >>a; git commit -q -a -m x; echo $?; cat $HOME/ran 2>/dev/null; :";
    world.agent("Dev-B").ok("cmw-lock acquire");
    let refused = dev.run(line);
    assert!(refused.stderr.contains("Dev-B has the write lock"), "{refused}");
    assert_eq!(refused.stdout, "1\n", "{refused}");
    world.agent("Dev-B").ok("cmw-lock release");
    assert_eq!(dev.ok(line), format!("0\n{theirs}"));
}

#[test]
fn a_takeover_is_adopted_by_the_flag_and_by_a_plain_run_alike() {
    for flag in ["--adopt-hooks", ""] {
        let world = World::ready();
        let person = world.person();
        person.ok(HUSKY);
        world.agent("Dev-B").ok("cmw-lock acquire");
        world.agent("Dev-A").ok("git commit -q --allow-empty -m 'nobody asks us'");
        world.agent("Dev-B").ok("cmw-lock release");
        let said = person.ok(&format!("cmw-init {flag}"));
        assert!(said.contains("adopted: the hooks in .husky/_ (before: "), "{said}");
        assert!(said.contains("called from now on: post-checkout"), "{said}");
        both_run(&world, "husky-pre-commit\n");
        person.ok("rm $HOME/ran; git switch -q --detach; git switch -q main");
        assert!(person.ok("cat $HOME/ran").contains("husky-post-checkout\n"));
        let [record] = &adoptions(&world)[..] else { panic!("{:?}", adoptions(&world)) };
        assert_eq!((&record["by"], &record["severity"]), (&"User".into(), &"WARNING".into()));
        assert_eq!((&record["adopted"], &record["hooks"][0]), (&".husky/_".into(), &"post-checkout".into()));
        assert!(record["former"].as_str().unwrap().ends_with("/.git/hooks"), "{record}");
        // Once more there is nothing to do, and the flag says so.
        assert!(person.run("cmw-init --adopt-hooks").stderr.contains("no other hooks to adopt"));
        assert_eq!(adoptions(&world).len(), 1);
        person.ok("cmw-init --uninstall");
        assert_eq!(person.ok("git config core.hooksPath"), ".husky/_\n");
    }
}

#[test]
fn hooks_that_appear_beside_the_chained_ones_are_adopted() {
    let world = World::ready();
    let person = world.person();
    world.write_program("repo/.git/hooks/post-checkout", "#!/bin/sh\necho mine >>$HOME/ran\n");
    let refused = world.agent("Dev-A").run("cmw-init --adopt-hooks");
    assert!(refused.code == 77 && refused.stderr.contains("adopting hooks is not for Dev-A"), "{refused}");
    assert!(!world.at("repo/.git/cmw/hooks/post-checkout").exists());
    let said = person.ok("cmw-init");
    assert!(said.contains("adopted: new hooks in ") && said.contains("from now on: post-checkout"), "{said}");
    person.ok("git switch -q --detach");
    assert_eq!(person.ok("cat $HOME/ran"), "mine\n");
    assert_eq!(adoptions(&world).len(), 1);
}

#[test]
fn without_authority_nothing_is_adopted() {
    let world = World::ready();
    world.person().ok(HUSKY);
    let ours = |world: &World| world.files("repo/.git/cmw/hooks");
    let before = (ours(&world), world.read("repo/.git/cmw/chained-hooks"), world.read("repo/.git/config"));
    for (who, signs) in [
        (world.agent("Dev-A"), ""),
        (world.agent("Orchestrator"), ""),
        (world.agent("Librarian"), ""),
        (world.unidentified(), "CLAUDECODE=1"),
        (world.person(), "CLAUDECODE=1"),
    ] {
        for line in ["cmw-init", "cmw-init --adopt-hooks", "cmw-init --adopt-hooks --dry-run"] {
            let refused = who.run(&format!("{signs} {line}"));
            assert!(refused.code == 77 && refused.stderr.contains("adopting hooks"), "{refused}");
        }
    }
    let after = (ours(&world), world.read("repo/.git/cmw/chained-hooks"), world.read("repo/.git/config"));
    assert_eq!(before, after);
    assert_eq!(adoptions(&world), Vec::<Value>::new());
    world.agent("Dev-A").ok("cmw-heartbeat register");
    let refusals = world.read("repo/.git/audit/write-lock-intents.json");
    for who in ["Dev-A", "Orchestrator", "Librarian", "an unidentified process"] {
        let by = format!("adopting hooks is not for {who}");
        assert!(refusals.contains(&by), "{by}: {refusals}");
    }
    // A script without a terminal may, while no role works.
    world.unidentified().ok("cmw-init --adopt-hooks");
    assert_eq!(adoptions(&world).len(), 1);
    both_run(&world, "husky-pre-commit\n");
}

#[test]
fn ours_never_run_after_ours() {
    let world = World::ready();
    let person = world.person();
    for path in [".git/cmw/hooks", "./.git/../.git/cmw/hooks/"] {
        person.ok(&format!("git config core.hooksPath {path} && cmw-init"));
        assert!(world.read("repo/.git/cmw/chained-hooks").ends_with("/.git/hooks\n"), "{path}");
        both_run(&world, "");
    }
    assert_eq!(adoptions(&world), Vec::<Value>::new());
}

#[test]
fn a_directory_below_the_home_is_found() {
    let world = World::ready();
    world.write_program("home/my hooks/pre-commit", "#!/bin/sh\necho home >>$HOME/ran\n");
    let person = world.person();
    person.ok("git config core.hooksPath '~/my hooks' && cmw-init --adopt-hooks");
    both_run(&world, "home\n");
    person.ok("cmw-init --uninstall");
    assert_eq!(person.ok("git config core.hooksPath"), "~/my hooks\n");
}

#[test]
fn a_diversion_by_one_work_tree_stays_and_is_said() {
    let world = World::ready();
    let person = world.person();
    person.ok("git config extensions.worktreeConfig true; git config --worktree core.hooksPath /elsewhere");
    let output = person.run("cmw-init --adopt-hooks");
    assert!(output.stderr.contains("core.hooksPath is still /elsewhere"), "{output}");
    assert!(output.stderr.contains("git config --worktree --unset-all core.hooksPath"), "{output}");
    assert!(world.read("repo/.git/cmw/chained-hooks").ends_with("/.git/hooks\n"), "{output}");
    // The environment of the caller is not a lasting setting either.
    let said = person.ok("git config --worktree --unset-all core.hooksPath; GIT_CONFIG_COUNT=1 \
         GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/evil cmw-init");
    assert!(!said.contains("adopted"), "{said}");
    assert!(world.read("repo/.git/cmw/chained-hooks").ends_with("/.git/hooks\n"));
    both_run(&world, "");
}
