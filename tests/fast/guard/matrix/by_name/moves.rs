//! Commits, merges, picks, rebases: refused without the lock, and nothing is lost.

use super::each;

#[test]
fn t01_commit_in_all_forms_is_refused() {
    each(|case| {
        case.bare("echo x >>a; echo y >n; git add n");
        let picture = case.world.picture();
        for form in ["", "-a", "a", "--amend", "--allow-empty", "-p"] {
            for flag in ["", "--no-verify"] {
                case.refused(&format!("echo y | git commit -q {flag} -m 'some words' {form}"));
                assert_eq!(case.world.picture(), picture, "{flag} {form}");
            }
        }
        assert!(case.world.read("repo/.git/COMMIT_EDITMSG").contains("some words"), "the message is kept");
    });
}

#[test]
fn t03_a_role_commits_on_its_own_branches_only() {
    each(|case| {
        case.bare("git branch agent/Dev-A/x; git branch agent/Dev-B/x");
        case.dev().ok("git switch -q agent/Dev-A/x && git commit -q --allow-empty -m x");
        case.dev().ok("git commit -q --no-verify --amend --allow-empty -m y");
        case.dev().ok("git switch -q agent/Dev-B/x");
        case.refused("git commit -q --allow-empty -m x");
        case.refused("git commit -q --no-verify --allow-empty -m x");
    });
}

#[test]
fn t04_merges_and_pulls_are_refused_before_they_touch_anything() {
    each(|case| {
        case.bare("git fetch -q");
        let picture = case.world.picture();
        for line in [
            "git merge -q ahead",
            "git merge -q -m m feature",
            "git pull -q --no-rebase",
            "git merge -q conflict",
        ] {
            let said = case.refused(line);
            assert!(said.contains("your files and the index are as they were"), "{said}");
            assert_eq!(case.world.picture(), picture, "{line}");
            let begun = ["MERGE_HEAD", "MERGE_MSG", "ORIG_HEAD"].map(|name| format!("repo/.git/{name}"));
            assert_eq!(begun.iter().find(|name| case.world.at(name).exists()), None, "{line}");
        }
        // Nothing told that it is a merge: it is refused late, and says how to take it back.
        for line in ["git merge -q ahead", "git merge -q --no-verify -m m feature"] {
            let said = case.refused(&format!("export GIT_REFLOG_ACTION=mine; {line}"));
            assert!(said.contains("this takes it back: git re"), "{said}");
            case.harmless(&way_back(&said));
            assert_eq!(case.world.picture(), picture, "{line}");
        }
    });
}

/// The command by which a refusal says that it is taken back.
#[track_caller]
fn way_back(said: &str) -> String {
    let line = said.lines().find_map(|line| Some(line.split_once("this takes it back: ")?.1.to_owned()));
    line.unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn what_was_changed_before_git_asked_is_taken_back_as_it_says() {
    each(|case| {
        // Work that is not staged stays.
        case.bare("echo work >>sub/s");
        let picture = case.world.picture();
        for line in [
            "git reset -q --keep HEAD~1",
            "git reset -q HEAD~1",
            "git cherry-pick -e pick",
            "git cherry-pick mid pick",
            "git revert --no-edit HEAD~1 HEAD",
            "git checkout -q -b new main~1",
            "git switch -q -C feature main~1",
            "git cherry-pick pick",
            "git revert --no-edit HEAD",
        ] {
            let said = case.refused(line);
            assert_eq!(
                said.lines().filter(|line| !line.starts_with(['f', 'e'])).count(),
                3,
                "{line}\n{said}"
            );
            case.harmless(&way_back(&said));
            assert_eq!(case.world.picture(), picture, "{line}\n{said}");
        }
        // What was staged too, of files that are alike in both.
        case.bare("git add sub/s; echo more >>sub/s");
        let picture = case.world.picture();
        for line in ["git checkout -q -b new main~1", "export GIT_REFLOG_ACTION=mine; git merge -q ahead"] {
            case.harmless(&way_back(&case.refused(line)));
            assert_eq!(case.world.picture(), picture, "{line}");
        }
        let said = case.refused("git branch -f feature main; git update-ref refs/heads/old main");
        assert_eq!(said.matches("your files and the index are as they were").count(), 2, "{said}");
    });
}

#[test]
fn t05_a_merge_past_its_hooks_is_refused_and_aborted_while_frozen() {
    each(|case| {
        let picture = case.world.picture();
        case.refused("git merge -q --no-verify -m m feature");
        case.bare("git merge --abort");
        // One that was begun before the freeze.
        case.bare("git merge -q --no-commit --no-ff feature");
        case.freeze();
        case.refused("git commit -q --no-verify -m m");
        case.harmless("git merge --abort");
        assert_eq!(case.world.picture(), picture);
    });
}

#[test]
fn t06_picks_reverts_and_patches_are_refused_and_aborted() {
    each(|case| {
        case.bare("git format-patch -q --stdout three..pick >../side/mail");
        let picture = case.world.picture();
        let am = if case.minor < 40 { "git am -q" } else { "git am -q --no-verify" };
        for (line, abort) in [
            ("git cherry-pick mid pick".to_owned(), "git cherry-pick --abort"),
            ("git cherry-pick pick".to_owned(), "git cherry-pick --abort"),
            ("git revert --no-edit HEAD".to_owned(), "git reset -q --hard"),
            (format!("{am} ../side/mail"), "git am --abort"),
        ] {
            case.refused(&line);
            case.harmless(abort);
            assert_eq!(case.world.picture(), picture, "{line}");
        }
    });
}

#[test]
fn t07_a_freeze_in_the_middle_of_a_rebase_keeps_it() {
    each(|case| {
        case.lock_goes_to_dev();
        let rebase = "git switch -q conflict && ! git rebase -q main 2>/dev/null";
        case.dev().ok(&format!("{rebase} && echo both >a && git add a"));
        case.freeze();
        case.refused("git rebase --continue");
        assert!(case.world.at("repo/.git/rebase-merge").exists(), "2.{}", case.minor);
        case.thaw();
        case.dev().ok("cmw-lock acquire && git rebase --continue");
        let base = case.world.git(&["merge-base", "main", "conflict"]);
        assert_eq!(base, case.world.git(&["rev-parse", "main"]), "it is done");

        case.dev().ok("git reset -q --hard conflict@{1}");
        let picture = case.world.picture();
        case.dev().ok("! git rebase -q main 2>/dev/null");
        case.freeze();
        case.harmless("git rebase --abort");
        assert_eq!(case.world.picture(), picture);
    });
}
