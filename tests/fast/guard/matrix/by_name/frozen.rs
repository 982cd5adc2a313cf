//! Frozen: what moves no protected ref works, whatever it is.

use super::each;

#[test]
fn t08_frozen_fetches_work() {
    each(|case| {
        case.freeze();
        case.harmless("git fetch -q");
        assert_eq!(case.world.git(&["for-each-ref", "--format=%(refname)", "refs/tags/rt"]), "refs/tags/rt");
        case.bare("git update-ref refs/remotes/origin/dead HEAD");
        case.harmless("git fetch -q --prune && git fetch -q --atomic && git remote prune origin");
        let left = case.world.git(&["for-each-ref", "--format=%(refname)", "refs/remotes/origin/dead"]);
        assert_eq!(left, "", "it is pruned");
    });
}

#[test]
fn t09_frozen_stashes_work() {
    each(|case| {
        case.freeze();
        let entries = || case.world.git(&["stash", "list", "--format=%gs"]).lines().count();
        for (line, left) in [
            ("echo 1 >>a; git stash push -q", 1),
            ("git stash pop -q", 0),
            ("git stash push -q; echo 2 >>f2; git stash push -q", 2),
            ("git stash pop -q && git checkout -q -- f2", 1),
            ("echo 3 >>f3; git stash push -q -u", 2),
            ("git stash drop -q", 1),
            ("git stash drop -q", 0),
        ] {
            case.harmless(line);
            assert_eq!(entries(), left, "2.{}: {line}", case.minor);
        }
        assert_eq!(case.world.git(&["status", "--porcelain"]), "");
    });
}

#[test]
fn t10_frozen_checkouts_work() {
    each(|case| {
        case.freeze();
        for line in [
            "git checkout -q feature && git checkout -q main",
            "git switch -q feature && git switch -q -",
            "git switch -q --detach && git commit -q --allow-empty -m x && git switch -q main",
            "git checkout -q --detach v1 && git checkout -q main",
            "git bisect start HEAD old >/dev/null && git bisect good >/dev/null && git bisect reset 2>/dev/null",
            "git worktree add -q --detach ../side/more && git worktree remove ../side/more",
            "git update-ref --no-deref HEAD feature && git reset -q --hard && git switch -q main",
        ] {
            case.harmless(line);
            assert_eq!(case.world.git(&["symbolic-ref", "HEAD"]), "refs/heads/main", "{line}");
            assert_eq!(case.world.git(&["status", "--porcelain"]), "", "{line}");
        }
    });
}

#[test]
fn t11_frozen_packing_works_and_deleting_does_not() {
    each(|case| {
        case.freeze();
        case.harmless("git pack-refs --all && git gc -q && git gc -q --prune=now");
        let packed = case.world.git(&["rev-parse", "feature"]);
        case.refused(&format!("git update-ref -d refs/heads/feature {packed}"));
        case.refused("git update-ref -d refs/heads/feature");
        case.refused("git branch -D feature");
        // Packed, and loose with another value.
        case.bare("git update-ref refs/heads/pick main");
        case.refused("git branch -D pick");
        case.refused(&format!(
            "git update-ref -d refs/heads/pick {}",
            case.world.git(&["rev-parse", "main"])
        ));
        // Packed, and loose with the same value.
        case.bare("git update-ref refs/heads/new main; git pack-refs --all --no-prune");
        case.refused("git branch -D new");
        case.refused("git tag -d v1");
    });
}
