//! Frozen hard: what no hook sees is refused too.

use git2::{Repository, Signature};

use super::{Case, each};

/// The entries in the places of locks, without those that are not ours.
fn pins(case: &Case) -> Vec<String> {
    let heads = case.world.at("repo/.git/refs/heads");
    let entries = walkdir::WalkDir::new(heads).into_iter().map(Result::unwrap);
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".lock") && name != "alien.lock").collect()
}

#[test]
fn t20_frozen_hard_nothing_moves_a_branch() {
    each(|case| {
        case.bare("mkdir -p .git/refs/heads/alien.lock && echo mine >.git/refs/heads/alien.lock/README");
        case.freeze_hard();
        assert!(pins(case).contains(&"main.lock".to_owned()), "{:?}", pins(case));
        let before = pins(case);
        let library = || {
            let repo = Repository::open(case.world.at("repo")).unwrap();
            let head = repo.head().unwrap().peel_to_commit().unwrap();
            let who = Signature::now("B", "b@example.org").unwrap();
            let tree = head.tree().unwrap();
            assert!(repo.commit(Some("HEAD"), &who, &who, "x", &tree, &[&head]).is_err());
            let old = repo.refname_to_id("refs/heads/old").unwrap();
            assert!(repo.reference("refs/heads/main", old, true, "x").is_err());
        };
        let refs = case.refs();
        for reflex in [
            ":",
            "rm -f .git/refs/heads/main.lock",
            "rmdir .git/refs/heads/main.lock",
            "find .git -name '*.lock' -delete",
        ] {
            case.bare(reflex);
            library();
            for line in [
                "git commit -q --allow-empty -m x",
                "git -c core.hooksPath=/dev/null commit -q --no-verify --allow-empty -m x",
                "git -c core.hooksPath=/dev/null update-ref refs/heads/main old",
            ] {
                case.fails(line);
            }
            assert_eq!(case.refs(), refs, "2.{}: {reflex}", case.minor);
            assert_eq!(pins(case), before, "2.{}: {reflex}", case.minor);
        }
        case.thaw();
        assert_eq!(pins(case), [""; 0]);
        assert!(case.world.at("repo/.git/refs/heads/alien.lock").exists(), "it is not ours");
        case.dev().ok("cmw-lock acquire && git commit -q --allow-empty -m x");
    });
}
