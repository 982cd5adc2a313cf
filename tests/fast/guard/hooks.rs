//! The hooks with real git, each git that is there: what is refused, what is allowed, what must never break
//! (docs/rules.md R11.2).

use crate::support::damage::{BROKEN_STATE, HARMLESS, adopt, refs, restore, scene};
use crate::support::{Agent, Output, World, gits};

/// What stays behind after a refusal, besides the refs, which are always as they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaves {
    /// Nothing: index and work tree are as before.
    Nothing,
    /// Git has changed index or work tree before it asks; `git reset --hard` brings both back.
    Resettable,
}
use Leaves::{Nothing, Resettable};

/// What moves protected refs: what is done before, the command, what a refusal leaves.
const MOVES: &[(&str, &str, Leaves)] = &[
    ("echo x >>a; git add a", "git commit -m x", Nothing),
    ("echo x >>a; git add a", "git commit --no-verify -m x", Nothing),
    ("echo x >>a", "git commit -a -m x", Nothing),
    ("echo x >>a", "git commit -a --no-verify -m x", Nothing),
    ("echo x >>a; echo y >c; git add c", "git commit -m x a", Nothing),
    ("echo x >>a; echo y >c; git add c", "git commit --no-verify -m x a", Nothing),
    ("", "git commit --amend -m x", Nothing),
    ("", "git commit --amend --no-verify -m x", Nothing),
    ("", "git commit --allow-empty -m x", Nothing),
    ("", "git commit-tree HEAD^{tree} -m x | xargs git update-ref refs/heads/main", Nothing),
    ("", "git merge -q ahead", Nothing),
    ("", "git merge -q --no-ff -m m side", Nothing),
    ("", "git merge -q --no-ff --no-verify -m m side", Nothing),
    ("", "git pull -q --no-rebase . side", Nothing),
    ("", "git cherry-pick side", Resettable),
    ("", "git revert --no-edit HEAD", Resettable),
    ("", "git reset -q --hard HEAD~1", Resettable),
    ("", "git reset -q HEAD~1", Resettable),
    ("", "git reset -q --soft HEAD~1", Nothing),
    ("", "git branch -f side main~1", Nothing),
    ("", "git branch new", Nothing),
    ("", "git branch -D side", Nothing),
    ("", "git branch -m side other", Nothing),
    ("", "git update-ref refs/heads/main HEAD~1", Nothing),
    ("", "git update-ref --no-deref refs/heads/main HEAD~1", Nothing),
    ("", "git update-ref HEAD HEAD~1", Nothing),
    ("", "git update-ref -d refs/heads/side", Nothing),
    ("", "printf 'start\\nupdate refs/heads/side HEAD\\ncommit\\n' | git update-ref --stdin", Nothing),
    ("", "git push -q . +main~1:side", Nothing),
    ("", "git push -q . :side", Nothing),
    ("", "git fetch -q . +old:refs/heads/side", Nothing),
    ("", "git checkout -q -b new", Nothing),
    ("", "git switch -q -c new", Nothing),
    ("", "git worktree add -q -b new ../new", Nothing),
    ("", "git tag -d old", Nothing),
    ("", "git tag -f old HEAD", Nothing),
    ("", "git notes add -m x", Nothing),
    ("", "git replace HEAD HEAD~1", Nothing),
];

/// Runs a movement that must be refused with a text that has these words and ends in a command.
#[track_caller]
fn refused(world: &World, who: &Agent, (before, line, leaves): (&str, &str, Leaves), words: &str) {
    let old = refs(world);
    who.run(before).ignored();
    let picture = world.picture();
    let output = who.run(line);
    let said = format!("\n{output}");
    assert_ne!(output.code, 0, "{said}");
    assert!(output.stderr.contains(words), "no {words:?} in{said}");
    assert_eq!(output.stderr.matches("refused: ").count(), 1, "one refusal, not several:{said}");
    let next = |line: &str| line.trim_start_matches("remote: ").starts_with("next: cmw");
    assert!(output.stderr.lines().any(next), "no command to type in{said}");
    assert!(!output.stderr.contains("--no-verify") && !output.stderr.contains("hooksPath"), "{said}");
    assert_eq!(refs(world), old, "a ref has moved:{said}");
    match leaves {
        Nothing => assert_eq!(world.picture(), picture, "{said}"),
        Resettable => {
            assert_eq!(who.run("git reset -q --hard").code, 0, "{said}");
            assert_eq!(world.picture(), picture, "{said}");
        }
    }
    restore(world, &old);
}

#[test]
fn another_role_moves_nothing_while_the_lock_is_held() {
    for git in gits() {
        let world = scene(&git, "");
        world.agent("Dev-A").ok("cmw-lock acquire --purpose login");
        let other = world.agent("Dev-B");
        for &case in MOVES {
            refused(&world, &other, case, "Dev-A has the write lock for \"login\"");
        }
    }
}

#[test]
fn the_holder_does_all_of_it() {
    for git in gits() {
        let world = scene(&git, "");
        let (dev, old) = (world.agent("Dev-A"), refs(&world));
        dev.ok("cmw-lock acquire");
        for (before, line, _) in MOVES {
            dev.run(before).ignored();
            adopt(&world);
            let output = dev.run(line);
            assert_eq!(output.code, 0, "{}\n{output}", git.display());
            assert_ne!(refs(&world), old, "nothing has moved:\n{output}");
            restore(&world, &old);
        }
    }
}

/// The ways on which hooks have to stand by themselves.
fn typical() -> impl Iterator<Item = (&'static str, &'static str, Leaves)> {
    let lines = ["git commit -m x", "git commit --no-verify -m x", "git push -q . +main~1:side"];
    MOVES.iter().copied().filter(move |(_, line, _)| {
        lines.contains(line) || line.starts_with("git update-ref refs/heads/main") || line.contains("amend")
    })
}

#[test]
fn without_the_lock_no_role_moves_a_protected_ref() {
    for git in gits() {
        let world = scene(&git, "");
        for case in typical() {
            refused(&world, &world.agent("Dev-A"), case, "needs the write lock, and it is free");
            refused(&world, &world.person(), case, "needs the write lock, and it is free");
            refused(&world, &world.unidentified(), case, "needs the write lock, and it is free");
            refused(&world, &world.agent("Librarian"), case, "librarians read only");
            let stranger = world.another("stranger", "Stranger");
            refused(&world, &stranger, case, "cannot tell who you are");
        }
    }
}

#[test]
fn a_role_that_is_only_claimed_gives_no_right() {
    for git in gits() {
        let world = scene(&git, "");
        world.agent("Dev-A").ok("cmw-lock acquire");
        let liar = world.agent("Dev-B");
        liar.ok("cmw-heartbeat register");
        let words = "CLAUDE_ROLE says Dev-A, but this process runs in the pane of Dev-B";
        for (before, line, leaves) in typical() {
            refused(&world, &liar, (before, &format!("CLAUDE_ROLE=Dev-A; {line}"), leaves), words);
        }
        for case in typical() {
            refused(&world, &world.unidentified(), case, "Dev-A has the write lock");
            refused(&world, &world.agent("Librarian"), case, "librarians read only");
        }
    }
}

#[test]
fn commands_that_move_nothing_succeed_for_every_role() {
    for git in gits() {
        let world = scene(&git, "");
        world.agent("Dev-A").ok("cmw-lock acquire");
        let old = refs(&world);
        for line in HARMLESS {
            let output = world.agent("Dev-B").run(line);
            assert_eq!(output.code, 0, "{}\n{output}", git.display());
            restore(&world, &old);
        }
    }
}

#[test]
fn without_a_readable_state_only_protected_refs_are_refused() {
    for git in gits() {
        for (what, damage, remedy) in BROKEN_STATE {
            let world = scene(&git, "");
            world.agent("Dev-A").ok("cmw-lock acquire");
            world.unidentified().ok(&format!("S=.git/cmw/state.json; {damage}"));
            let old = refs(&world);
            // All of it once; what the kind of damage could change, each time.
            let few = |line: &&&str| line.contains("stash") || line.contains("abort") || line.contains("gc");
            let all = *what == "truncated";
            for line in HARMLESS.iter().filter(|line| all || few(line)) {
                let output = world.agent("Dev-A").run(line);
                assert_eq!(output.code, 0, "{what}, {}\n{output}", git.display());
                restore(&world, &old);
            }
            for (before, line, _) in typical() {
                world.agent("Dev-A").run(before).ignored();
                let output = world.agent("Dev-A").run(line);
                assert_ne!(output.code, 0, "{what}\n{output}");
                assert!(output.stderr.contains(&format!("next: {remedy}")), "{what}\n{output}");
                assert_eq!(refs(&world), old, "{what}\n{output}");
                restore(&world, &old);
            }
        }
    }
}

#[test]
fn a_person_gets_out_of_every_damage() {
    for (what, damage, _) in BROKEN_STATE {
        let world = scene(&gits()[0], "");
        world.unidentified().ok(&format!("S=.git/cmw/state.json; {damage}"));
        let person = world.person();
        let output = person.run("cmw-init --uninstall");
        assert_eq!(output.code, 0, "{what}\n{output}");
        person.ok("git commit -q --allow-empty -m free");
        person.ok("cmw-init");
        assert_ne!(person.run("git branch x").code, 0, "guarded again");
    }
}

#[test]
fn files_outside_the_claim_are_refused_and_nothing_is_lost() {
    let words = "would change, but the lock was taken for a, src/**";
    for git in gits() {
        let world = scene(&git, "");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire --files a --files 'src/**'");
        for flag in ["", "--no-verify"] {
            for (before, line) in [
                ("echo x >c; git add c", "git commit FLAG -m x"),
                ("echo x >c; echo x >>a; git add c a", "git commit FLAG -m x"),
                ("git mv a c", "git commit FLAG -m x"),
                ("mkdir src; git mv a src/a; echo x >b; git add b", "git commit FLAG -m x"),
            ] {
                refused(&world, &dev, (before, &line.replace("FLAG", flag), Nothing), words);
            }
        }
        refused(&world, &dev, ("", "git merge -q --no-ff -m m side", Resettable), "b would change");
        let old = refs(&world);
        for (before, line) in [
            ("echo x >>a", "git commit -q -a -m x"),
            ("mkdir -p src/deep; git mv a src/deep/a", "git commit -q -m x"),
            ("echo x >c; echo x >>a; git add c a", "git commit -q -m x a"),
        ] {
            dev.run(before).ignored();
            dev.ok(line);
            restore(&world, &old);
        }
    }
}

#[test]
fn a_rename_counts_on_both_sides() {
    for git in gits() {
        let world = scene(&git, "");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire --files c");
        for line in ["git commit -m x", "git commit --no-verify -m x"] {
            refused(&world, &dev, ("git mv a c", line, Nothing), "a would change");
        }
        dev.ok("cmw-lock release && cmw-lock acquire --files a");
        for line in ["git commit -m x", "git commit --no-verify -m x"] {
            refused(&world, &dev, ("git mv a c", line, Nothing), "c would change");
        }
        // Asking again widens the claim.
        dev.ok("cmw-lock acquire --files c");
        dev.ok("git mv a c && git commit -q -m x");
    }
}

#[test]
fn solo_does_not_compare_claims_but_records_them() {
    let world = scene(&gits()[0], "--preset solo");
    let dev = world.agent("Dev-A");
    dev.ok("cmw-lock acquire --files a");
    dev.ok("echo x >c; git add c; git commit -q -m x");
    dev.ok("cmw-lock release");
    let intents = world.read("repo/.git/audit/write-lock-intents.json");
    assert!(intents.contains(r#""verification_status":"FAILED""#), "{intents}");
}

#[test]
fn the_holders_commit_is_verified_in_the_audit() {
    for git in gits() {
        let world = scene(&git, "");
        let dev = world.agent("Dev-A");
        dev.ok("cmw-lock acquire --files a --purpose login");
        dev.ok("echo x >>a; git commit -q -a -m x");
        dev.ok("cmw-lock release");
        let commit = world.git(&["rev-parse", "main"]);
        let intents = world.read("repo/.git/audit/write-lock-intents.json");
        let passed: Vec<&str> =
            intents.lines().filter(|l| l.contains(r#""verification_status":"PASSED""#)).collect();
        assert_eq!(passed.len(), 1, "{intents}");
        assert!(passed[0].contains("COMMIT_VERIFIED") && passed[0].contains(&commit), "{intents}");
        assert!(passed[0].contains(r#""files":["a"]"#), "{intents}");
    }
}

#[test]
fn a_role_moves_its_own_branch_at_any_time() {
    for git in gits() {
        for mode in ["shared", "worktrees"] {
            let world = scene(&git, &format!("--mode {mode}"));
            let (own, other) = (world.agent("Dev-B"), world.agent("QA-A"));
            world.agent("Dev-A").ok("cmw-lock acquire");
            own.ok("git worktree add -q -b agent/Dev-B/x ../linked");
            own.cd("linked");
            own.ok(
                "echo x >>a && git commit -q -a -m x && mkdir sub && cd sub && git commit -q --amend -m y",
            );
            own.ok("git reset -q --hard HEAD~1 && git merge -q side && git branch agent/Dev-B/y");
            let held = "Dev-A has the write lock";
            for line in ["git branch -f agent/Dev-B/y main", "git branch agent/QA-B/x", "git branch agent/x"]
            {
                refused(&world, &other, ("", line, Nothing), held);
            }
            refused(&world, &world.unidentified(), ("", "git branch -D agent/Dev-B/y", Nothing), held);
            refused(&world, &own, ("", "git push -q . HEAD:refs/heads/release/x", Nothing), held);
            if mode == "worktrees" {
                other.ok("git branch topic && git branch -f topic main~1 && git branch -D topic");
            } else {
                refused(&world, &other, ("", "git branch topic", Nothing), held);
            }
        }
    }
}

/// A hook that writes down all it is given, then says what `verdict` says.
const RECORDER: &str = r#"#!/bin/sh
name=${0##*/}
{
    echo "$name $*"
    echo "cwd $PWD"
    env | grep -E '^(GIT_|CLAUDE_)' | grep -v '^GIT_CONFIG_\(GLOBAL\|SYSTEM\|NOSYSTEM\)' | sort
    case $name in reference-transaction|pre-push|pre-receive) sed 's/^/in: /';; esac
} >>"$HOME/seen.$name"
exit $(cat "$HOME/verdict.$name" 2>/dev/null || echo 0)
"#;
const RECORDED: [&str; 11] = [
    "pre-commit",
    "pre-merge-commit",
    "pre-rebase",
    "pre-receive",
    "applypatch-msg",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "reference-transaction",
    "pre-push",
    "post-checkout",
];

#[test]
fn the_former_hooks_get_what_they_always_got() {
    for git in gits() {
        let world = World::with(&git);
        for name in RECORDED {
            world.write_program(&format!("repo/.git/hooks/{name}"), RECORDER);
        }
        let dev = world.agent("Dev-A");
        let script = "rm -f $HOME/seen.* .git/*_HEAD; echo x >>a; mkdir -p sub; cd sub; git commit -q -a -m x
            git push -q . HEAD:refs/heads/agent/Dev-A/x; git checkout -q HEAD~0 2>/dev/null; git switch -q main
            cd ..; git rebase -q --no-ff HEAD~1; git format-patch -q --stdout -1 >../patch
            git reset -q --hard HEAD~1; git am -q ../patch; git reset -q --hard HEAD~1
            git merge -q --no-ff -m m agent/Dev-A/x; cat $HOME/seen.*";
        let without = dev.ok(script);
        world.git(&["update-ref", "-d", "refs/heads/agent/Dev-A/x"]);
        world.git(&["reset", "-q", "--hard", "HEAD~1"]);
        world.person().ok("cmw-init");
        dev.ok("cmw-lock acquire");
        let with = dev.ok(script);
        // Set by git for the very commit, so it is the same; what differs is ours to explain.
        assert_eq!(lines_of(&world, &without), lines_of(&world, &with), "{}", git.display());
        assert!(with.contains("in: ") && with.contains("post-checkout"), "{with}");
        for name in RECORDED {
            assert!(world.at(&format!("home/seen.{name}")).exists(), "{name} was not called");
        }
    }
}

fn lines_of(world: &World, text: &str) -> Vec<String> {
    // Where a push is received in the meantime has another name each time.
    let hidden = |line: &&str| {
        !line.starts_with("GIT_REFLOG_ACTION") && !line.contains("incoming-") && !line.is_empty()
    };
    world.normalised(text).lines().filter(hidden).map(str::to_owned).collect()
}

#[test]
fn the_no_of_a_former_hook_counts_and_ours_comes_first() {
    for git in gits() {
        let world = World::with(&git);
        for name in RECORDED {
            world.write_program(&format!("repo/.git/hooks/{name}"), RECORDER);
        }
        world.person().ok("git config cmw.lock.auto false && cmw-init");
        let dev = world.agent("Dev-A");
        dev.ok("rm -f $HOME/seen.*; echo x >>a");
        assert_ne!(dev.run("git commit -q -a -m x").code, 0);
        assert!(!world.at("home/seen.pre-commit").exists(), "ours refused, so theirs was not asked");
        dev.ok("cmw-lock acquire");
        for name in ["pre-commit", "commit-msg", "reference-transaction"] {
            world.write(&format!("home/verdict.{name}"), "9\n");
            let output: Output = dev.run("git commit -q -a -m x");
            assert_ne!(output.code, 0, "{name}\n{output}");
            std::fs::remove_file(world.at(&format!("home/verdict.{name}"))).unwrap();
        }
        dev.ok("git commit -q -a -m x");
    }
}

#[test]
fn a_commit_is_judged_wherever_it_is_made() {
    for git in gits() {
        let world = scene(&git, "");
        let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
        world.git(&["worktree", "add", "-q", "-b", "linked", "../linked"]);
        dev.ok("cmw-lock acquire --files 'sub/*' --files b");
        let no = |who: &Agent, line: &str, words: &str| {
            let output = who.run(line);
            assert_ne!(output.code, 0, "\n{output}");
            assert!(output.stderr.contains(words), "no {words:?} in\n{output}");
        };
        let make = "mkdir -p sub; cd sub; date +%N >f; git add f";
        no(&other, &format!("{make}; git commit -q -m x"), "Dev-A has the write lock");
        dev.ok("cd sub; git commit -q -m x");
        no(&dev, "echo x >>a; cd sub; git commit -q -a -m x", "a would change");
        dev.ok("git checkout -q -- a");
        no(&other, &format!("cd ../linked; {make}; git commit -q -m x"), "Dev-A has the write lock");
        no(&other, &format!("cd ../linked; {make}; git commit -q --no-verify -m x"), "Dev-A has the write");
        dev.ok("cd ../linked/sub; git commit -q -m x");
        no(&dev, "cd ../linked; echo x >>a; git commit -q --no-verify -a -m x", "a would change");
        dev.ok("git --git-dir=.git --work-tree=. commit -q --allow-empty -m x");
        no(&other, "cd /; git -C $OLDPWD commit -q --allow-empty -m x", "Dev-A has the write lock");
        no(&other, "git --git-dir=.git --work-tree=. commit -q --allow-empty -m x", "Dev-A has the write");
        no(&other, "cd /; GIT_DIR=$OLDPWD/.git git update-ref refs/heads/main HEAD~1", "Dev-A has the write");
        // A branch that has no commit yet.
        no(&other, "git checkout -q --orphan new; git commit -q -m x", "Dev-A has the write lock");
        no(&dev, "git commit -q -m x", "a would change");
        dev.ok("git rm -q --cached -r .; mkdir -p sub; echo x >sub/g; git add sub/g; git commit -q -m x");
    }
}

#[test]
fn a_repository_without_commits_is_guarded_from_its_first_one() {
    for git in gits() {
        let world = World::with(&git);
        world.unidentified().ok("git init -q -b trunk ../fresh");
        world.person().cd("fresh").ok("cmw-init");
        let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
        dev.cd("fresh").ok("cmw-lock acquire --files a");
        let output = other.cd("fresh").run("echo x >a; git add a; git commit -q -m x");
        assert!(output.code != 0 && output.stderr.contains("Dev-A has the write lock"), "\n{output}");
        let output = dev.run("echo x >b; git add b; git commit -q -m x");
        assert!(output.code != 0 && output.stderr.contains("b would change"), "\n{output}");
        dev.ok("git rm -q --cached b; git commit -q -m x");
    }
}
