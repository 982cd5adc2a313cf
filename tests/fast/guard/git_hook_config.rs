//! The guard that a git of 2.54 or later asks besides the hooks: a git that was told to look for hooks
//! elsewhere commits nothing unseen. With older gits these tests look at the entries only, and say so.
#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Agent, World, gits};
use cmw::adapters::git::worktrees::version_number;
use cmw::app::guard::git_hook_config::{EVENTS, GIT_MIN};

/// The gits that ask the guard.
fn asking() -> Vec<PathBuf> {
    let asks = |git: &PathBuf| {
        let said = Command::new(git).arg("version").output().unwrap().stdout;
        let said = String::from_utf8_lossy(&said).trim().replace("git version ", "");
        version_number(&said).is_some_and(|found| found >= GIT_MIN)
    };
    let found: Vec<PathBuf> = gits().into_iter().filter(asks).collect();
    if found.is_empty() {
        eprintln!("skipped: no git of 2.54 or later on PATH, and older ones ask no guard");
    }
    found
}

/// `main` with two commits, `side` beside it, all of it in `../other`; Dev-A holds the lock.
fn scene(git: &Path) -> (World, Agent) {
    let world = World::with(git);
    world.write("repo/a", "first\nsecond\n");
    world.git(&["commit", "-q", "-a", "-m", "second"]);
    world.git(&["switch", "-q", "-c", "side", "main~1"]);
    world.git(&["commit", "-q", "--allow-empty", "-m", "side"]);
    world.git(&["switch", "-q", "main"]);
    world.git(&["clone", "-q", "--mirror", ".", "../other"]);
    world.person().ok("cmw-init");
    let dev = world.agent("Dev-A");
    dev.ok("cmw-lock acquire");
    (world, dev)
}

/// What is set up, what stands before a git's command, what undoes it, and who is named.
const DIVERSIONS: &[(&str, &str, &str, &str)] = &[
    ("", "git -c core.hooksPath=/dev/null", "", "an option of this command"),
    ("export NO=/dev/null", "git --config-env=core.hooksPath=NO", "", "an option of this command"),
    (
        "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/dev/null",
        "git",
        "unset GIT_CONFIG_COUNT",
        "the environment",
    ),
    ("export GIT_CONFIG_PARAMETERS=\"'core.hooksPath=/dev/null'\"", "git", "", "the environment"),
    (
        "git config extensions.worktreeConfig true; git config --worktree core.hooksPath /dev/null",
        "git",
        "git config --worktree --unset core.hooksPath; git config --unset extensions.worktreeConfig",
        "this work tree's configuration",
    ),
    (
        "printf '[core]\\nhooksPath=/dev/null\\n' >../more; git config includeIf.onbranch:main.path ../../more",
        "git",
        "git config --remove-section includeIf.onbranch:main",
        "the repository's configuration",
    ),
    (
        "git config core.hooksPath .husky",
        "git",
        "git config core.hooksPath $PWD/.git/cmw/hooks",
        "the repository's configuration",
    ),
    (
        "git config --unset core.hooksPath",
        "git",
        "git config core.hooksPath $PWD/.git/cmw/hooks",
        "no setting points to them",
    ),
];

const MOVES: &[&str] = &[
    "commit -q -a -m x",
    "commit -q -a --no-verify -m x",
    "merge -q --no-ff -m m side",
    "update-ref refs/heads/main side",
    "branch new",
    "reset -q --hard side",
    "push -q ../other +side:main",
    "push -q . +side:refs/heads/x",
];

const HARMLESS: &[&str] = &[
    "status --short",
    "fetch -q ../other '+refs/heads/*:refs/remotes/other/*'",
    "stash -q",
    "stash pop -q",
    "gc -q --prune=now",
    "pack-refs --all",
    "switch -q --detach",
    "commit -q --allow-empty -m x",
    "switch -q main",
    "tag new",
    "reset -q",
    "push -q -n ../other +side:main",
    "push -q ../other side:refs/tags/new",
];

fn refs(world: &World) -> String {
    let there = world.git_in("other", &["for-each-ref", "refs/heads"]);
    format!("{}\n{there}", world.git(&["for-each-ref", "refs/heads"]))
}

#[test]
fn diverting_git_from_the_hooks_moves_no_protected_ref() {
    for git in asking() {
        for (before, words, after, who) in DIVERSIONS {
            let (world, dev) = scene(&git);
            let old = refs(&world);
            for line in MOVES {
                let output = dev.run(&format!("echo x >>a; {before}\n{words} {line}"));
                assert_ne!(output.code, 0, "\n{output}");
                assert_eq!(refs(&world), old, "\n{output}");
                assert!(output.stderr.contains(who), "no {who:?} in\n{output}");
                assert_eq!(output.stderr.matches("refused: ").count(), 1, "\n{output}");
                let next = output.stderr.lines().find(|line| line.contains("next: ")).unwrap_or_default();
                assert!(!next.is_empty(), "no command to type in\n{output}");
                assert!(
                    !output.stderr.contains("hooksPath") && !output.stderr.contains("no-verify"),
                    "\n{output}"
                );
                dev.ok(&format!("{after}\ngit reset -q --hard; git worktree prune"));
            }
            for line in HARMLESS {
                dev.ok(&format!("test '{line}' != 'stash -q' || echo x >>a\n{before}\n{words} {line}"));
            }
            // As it was, git runs our hooks, and no others.
            dev.ok(&format!("{after}\ngit checkout -q -- a; git commit -q --allow-empty -m last"));
        }
    }
}

#[test]
fn each_refusal_is_recorded_and_the_same_command_is_given_without_the_option() {
    for git in asking() {
        let (world, dev) = scene(&git);
        let output = dev.run("echo x >>a; git -c core.hooksPath=/dev/null commit -qam x");
        assert!(output.stderr.contains("\nnext: git commit -qam x\n"), "\n{output}");
        let output = dev.run("git -c core.hooksPath=/dev/null commit --no-verify -qam x");
        assert!(output.stderr.contains("\nnext: cmw\n"), "\n{output}");
        let journal = world.read("repo/.git/audit/journal.jsonl");
        let refused = journal.lines().filter(|line| line.contains("\"kind\":\"refused\"")).count();
        assert_eq!(refused, 2, "{journal}");
        dev.ok("git commit -qam x");
    }
}

#[test]
fn who_diverts_nothing_is_not_in_its_way() {
    for git in asking() {
        let (world, dev) = scene(&git);
        world.git_in(".", &["config", "-f", "more", "user.name", "B"]);
        for line in [
            "git -c core.hooksPath=$PWD/.git/cmw/hooks commit -q --allow-empty -m x",
            "git -c core.hooksPath=.git/cmw/hooks commit -q --allow-empty -m x",
            "git -c user.name=B commit -q --allow-empty -m x",
            "git config include.path ../../more; git commit -q --allow-empty -m x",
            "git worktree add -q -b new ../new; cd ../new; git commit -q --allow-empty -m x",
            "git push -q ../other main side:refs/cmw/x",
        ] {
            dev.ok(line);
        }
        // A clone does not know of the guard, and what it pushes in is judged as ever.
        dev.ok("git clone -q . ../clone; cd ../clone; git commit -q --allow-empty -m y; git push -q origin HEAD:y");
        // The hooks are gone with their program: that is for cmw-doctor to find, and fetch goes on.
        dev.ok("rm -rf .git/cmw/hooks; git fetch -q ../other main; git commit -q --allow-empty -m x");
    }
}

#[test]
fn a_copy_of_the_repository_is_told_what_it_is() {
    for git in asking() {
        let (world, dev) = scene(&git);
        dev.ok("cp -a . ../copy");
        let output = dev.run("cd ../copy; git commit -q --allow-empty -m x");
        assert!(output.code != 0 && output.stderr.contains("where this repository was"), "\n{output}");
        assert!(output.stderr.contains("\nnext: cmw-init\n"), "\n{output}");
        dev.ok("cd ../copy; git fetch -q ../other main");
        world.person().ok("cd ../copy && cmw-init");
        dev.ok("cd ../copy; git commit -q --allow-empty -m x");
    }
}

#[test]
fn the_entries_come_and_go_with_cmw() {
    for git in gits() {
        let world = World::with(&git);
        let person = world.person();
        person.ok("git config hook.mine.command true");
        let before = world.git(&["config", "--list", "--local"]);
        person.ok("cmw-init");
        let hooks = world.at("repo/.git/cmw/hooks/cmw-hook");
        for event in EVENTS {
            let key = |name: &str| format!("hook.cmw-guard-{event}.{name}");
            assert_eq!(world.git(&["config", "--get-all", &key("event")]), event);
            let command = world.git(&["config", "--get-all", &key("command")]);
            assert!(command.ends_with(&format!("{} guard {event}", hooks.display())), "{command}");
        }
        let config = world.read("repo/.git/config");
        person.ok("cmw-init");
        assert_eq!(world.read("repo/.git/config"), config, "the same once more changes nothing");
        person.ok("cmw-init --uninstall");
        assert_eq!(world.git(&["config", "--list", "--local"]), before);
        assert!(!world.read("repo/.git/config").contains("guard"), "{}", world.read("repo/.git/config"));
        person.ok("git commit -q --allow-empty -m x");
    }
}

#[test]
fn a_guard_that_is_missing_or_switched_off_is_found_and_mended() {
    let asking = asking();
    for git in gits() {
        let (world, _) = scene(&git);
        let person = world.person();
        for (damage, words) in [
            ("git config --remove-section hook.cmw-guard-pre-push", "does not run it at pre-push"),
            ("git config hook.cmw-guard-pre-commit.command true", "does not run it at pre-commit"),
            ("git config --unset hook.cmw-guard-pre-commit.event", "does not run it at pre-commit"),
            (
                "git config hook.cmw-guard-reference-transaction.enabled false",
                "hook.cmw-guard-reference-transaction.enabled is false",
            ),
            ("git config hook.pre-push.enabled no", "hook.pre-push.enabled is no"),
        ] {
            person.ok(damage);
            let said = person.run("cmw-doctor").stdout;
            if !asking.contains(&git) {
                assert!(!said.contains(words), "an old git asks no guard: {said}");
                continue;
            }
            assert!(said.contains(words), "{damage}: no {words:?} in {said}");
            let mended = person.run("cmw-doctor --fix").stdout;
            assert!(mended.contains("configured the guard") && !mended.contains(words), "{damage}: {mended}");
        }
        person.run("git config --unset hook.pre-push.enabled; cmw-init").ignored();
        person.ok("git config --file ../home/.gitconfig hook.cmw-guard-pre-push.enabled false");
        let said = person.run("GIT_CONFIG_GLOBAL=$HOME/.gitconfig cmw-doctor").stdout;
        let remedy = "git config --global --unset-all hook.cmw-guard-pre-push.enabled";
        assert_eq!(said.contains(remedy), asking.contains(&git), "{said}");
    }
}
