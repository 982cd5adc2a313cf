//! A second reader of history: libgit2, which knows nothing of us, finds every commit whole, and
//! every commit since the set-up in the audit, made under the lock, once.
#![cfg(feature = "test-clock")]

use std::collections::{BTreeMap, BTreeSet};

use git2::{Oid, Repository};

use crate::support::World;

/// Every object that a commit needs is there and can be read.
fn whole(repo: &Repository, id: Oid) {
    let commit = repo.find_commit(id).unwrap();
    let tree = commit.tree().unwrap();
    tree.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
        repo.find_object(entry.id(), entry.kind()).unwrap();
        git2::TreeWalkResult::Ok
    })
    .unwrap();
}

fn commits(repo: &Repository) -> BTreeSet<Oid> {
    let mut walk = repo.revwalk().unwrap();
    walk.push_glob("refs/heads/*").unwrap();
    walk.map(Result::unwrap).collect()
}

#[test]
fn every_commit_is_whole_and_was_made_under_the_lock() {
    let world = World::ready();
    let repo = Repository::open(world.at("repo")).unwrap();
    let before = commits(&repo);
    let (one, two) = (world.agent("Dev-A"), world.agent("Dev-B"));
    let line = |role: &str, n: usize| {
        format!(
            "cmw-lock run --quiet --files {role} --wait 60s -- sh -c 'echo {n} >>{role}; git add {role}; git commit -q -m {role}-{n} -- {role}'"
        )
    };
    for n in 0..6 {
        let (a, b) = (one.spawn(&line("one", n)), two.spawn(&line("two", n)));
        assert_eq!((a.wait().code, b.wait().code), (0, 0), "round {n}");
    }
    let merge = "git checkout -q -b side HEAD~2 && echo s >s && git add s && git commit -q -m side && git checkout -q main && git merge -q --no-ff -m merged side";
    one.ok(&format!("cmw-lock run --quiet -- sh -c '{merge}'"));
    let made: BTreeSet<Oid> = commits(&repo).difference(&before).copied().collect();
    assert_eq!(made.len(), 14, "twelve commits, one aside, one merge");
    made.iter().for_each(|id| whole(&repo, *id));
    let mut verified: BTreeMap<(Oid, String), usize> = BTreeMap::new();
    for record in world.read("repo/.git/audit/write-lock-intents.json").lines() {
        let record: serde_json::Value = serde_json::from_str(record).unwrap();
        if record["event"] == "COMMIT_VERIFIED" {
            assert_eq!(record["verification_status"], "PASSED");
            let text = |key: &str| record[key].as_str().unwrap();
            *verified
                .entry((Oid::from_str(text("commit")).unwrap(), text("branch").to_owned()))
                .or_default() += 1;
        }
    }
    assert!(verified.values().all(|n| *n == 1), "no movement is verified twice: {verified:?}");
    let commits: BTreeSet<Oid> = verified.keys().map(|(id, _)| *id).collect();
    assert!(made.is_subset(&commits), "{made:?} against {commits:?}");
}
