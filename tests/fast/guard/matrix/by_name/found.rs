//! Movements that hooks cannot stop, which are found, and those that a newer git can refuse.

use git2::Repository;

use super::{Case, each, each_with_reftables};

#[test]
fn t15_a_branch_becomes_no_alias() {
    each(|case| {
        let alias = "git symbolic-ref refs/heads/alias refs/heads/main";
        let evil = "git symbolic-ref refs/heads/pick refs/heads/feature";
        if case.minor >= 46 {
            case.refused("git symbolic-ref refs/heads/main refs/heads/feature");
            case.refused("git symbolic-ref refs/remotes/origin/x refs/heads/main");
            case.refused(alias);
            case.refused(evil);
            case.bare(&format!("{alias}; {evil}"));
        } else {
            case.found(alias, &["refs/heads/alias"]);
            case.found(evil, &["refs/heads/pick"]);
        }
        case.bare("git symbolic-ref refs/x/y refs/heads/main");
        for name in ["refs/heads/alias", "refs/x/y"] {
            case.refused(&format!("git update-ref {name} feature"));
        }
        case.refused("git branch -f alias feature");
        case.refused("git symbolic-ref -d refs/heads/alias");
    });
}

#[test]
fn t16_main_is_not_renamed_and_keeps_its_reflog() {
    each(|case| {
        for line in ["git branch -m main x", "git branch -M feature ffb", "git branch -m deep/er other"] {
            case.bare("git branch deep/er feature 2>/dev/null; git branch -f deep/er main~1");
            let logs = || case.world.files("repo/.git/logs");
            for pack in ["", "git pack-refs --all"] {
                case.bare(pack);
                let before = logs();
                assert!(before.contains_key("refs/heads/deep/er"), "{:?}", before.keys());
                case.refused(line);
                assert_eq!(logs(), before, "2.{}: {line}", case.minor);
            }
        }
        // A log that is no log of this branch stays where it is.
        case.bare(
            "rm .git/logs/refs/heads/pick; cp .git/logs/refs/heads/old .git/logs/refs/.tmp-renamed-log",
        );
        case.refused("git branch -D pick");
        assert!(case.world.at("repo/.git/logs/refs/.tmp-renamed-log").exists());
        case.bare("rm .git/logs/refs/.tmp-renamed-log");
        // And what is refused is renamed with the lock.
        case.lock_goes_to_dev();
        case.dev().ok("git branch -m feature other && git reflog exists refs/heads/other");
    });
    each_with_reftables(|case| {
        case.found("git branch -m feature other", &["refs/heads/feature", "refs/heads/other"]);
    });
}

/// No work tree stands on main.
const AWAY: &str = "git switch -q --detach";

fn a_copy_over_main_is_found(case: &Case) {
    let said = case.fails("git branch -C feature main");
    assert!(said.contains("main"), "{said}");
    case.found(&format!("{AWAY} && git branch -C feature main"), &["refs/heads/main"]);
    case.found("git branch -c feature copy", &["refs/heads/copy"]);
}

#[test]
fn t17_a_branch_that_is_copied_over_is_found_or_pinned() {
    each(a_copy_over_main_is_found);
    each_with_reftables(a_copy_over_main_is_found);
    each(|case| {
        case.dev().ok(AWAY);
        case.freeze_hard();
        case.fails("git branch -C feature main");
    });
}

#[test]
fn t18_a_reflog_that_moves_its_branch_is_found_or_pinned() {
    let line = "git reflog delete --updateref main@{0}";
    each(|case| case.found(line, &["refs/heads/main"]));
    each_with_reftables(|case| case.found(line, &["refs/heads/main"]));
    each(|case| {
        case.freeze_hard();
        case.fails(line);
    });
}

/// How git is told to look for its hooks elsewhere: for one command, and for good with the way back.
const FOR_ONE: [&str; 2] = [
    "git -c core.hooksPath=/dev/null",
    "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/dev/null git",
];
const FOR_GOOD: [(&str, &str); 4] = [
    ("git config core.hooksPath /dev/null", "cmw-init"),
    ("git config --unset core.hooksPath", "cmw-init"),
    ("git config --worktree core.hooksPath /dev/null", "git config --worktree --unset core.hooksPath"),
    (
        "git config -f ../side/inc core.hooksPath /dev/null; git config includeIf.onbranch:main.path $PWD/../side/inc",
        "git config --remove-section includeIf.onbranch:main",
    ),
];

#[test]
fn t19_hooks_that_are_diverted_are_found_or_the_guard_refuses() {
    each(|case| {
        case.world.git(&["config", "extensions.worktreeConfig", "true"]);
        let mut number = 0;
        let mut moves = |git: &str| {
            let lines = [
                format!("{git} commit -q --allow-empty -m x"),
                format!("{git} commit -q --no-verify --allow-empty -m x"),
                format!("{git} update-ref refs/heads/feature refs/heads/feature~1"),
            ];
            number += 1;
            let line = &lines[number % lines.len()];
            let name = if line.contains("feature") { "refs/heads/feature" } else { "refs/heads/main" };
            if case.minor >= 54 {
                lines.iter().for_each(|line| drop(case.refused(line)));
            } else {
                case.found(line, &[name]);
            }
        };
        FOR_ONE.iter().for_each(|git| moves(git));
        for (divert, back) in FOR_GOOD {
            case.bare(divert);
            moves("git");
            let output = case.world.agent("Librarian").run("cmw-doctor");
            assert_eq!(output.code, 1, "{divert}\n{output}");
            assert!(output.all().contains("core.hooksPath is "), "{divert}\n{output}");
            case.world.person().ok(back);
        }
        case.refused("git commit -q --allow-empty -m x");
    });
}

#[test]
fn t21_what_is_written_past_git_is_found_but_for_the_documented_miss() {
    each(|case| {
        case.found("git rev-parse old >.git/refs/heads/feature", &["refs/heads/feature"]);
        case.bare("git pack-refs --all");
        case.found(
            "sed -i \"s,^.* refs/heads/pick,$(git rev-parse old) refs/heads/pick,\" .git/packed-refs",
            &["refs/heads/pick"],
        );
        // There and back with another library: the reflog tells.
        let there_and_back = |name: &str| {
            let repo = Repository::open(case.world.at("repo")).unwrap();
            let home = repo.refname_to_id(name).unwrap();
            let away = repo.refname_to_id("refs/heads/feature").unwrap();
            for to in [away, home] {
                repo.reference(name, to, true, "x").unwrap();
            }
        };
        let known = case.open();
        there_and_back("refs/heads/ahead");
        assert_eq!(case.open()[known.len()..], ["refs/heads/ahead"], "2.{}", case.minor);
        // Its lines taken away too: nothing is left that tells, as it is documented.
        let known = case.open();
        let log = "repo/.git/logs/refs/heads/mid";
        let before = case.world.read(log);
        there_and_back("refs/heads/mid");
        assert_ne!(case.world.read(log), before);
        case.world.write(log, &before);
        assert_eq!(case.open(), known, "2.{}: it is found now: say so in the README", case.minor);
    });
}
