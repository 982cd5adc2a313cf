//! Branches, tags, checkouts, and whose branches they are.

use crate::guard::matrix::row::{Blind, Row, harmless, moves, own, unseen};

const OWN: &str = "git branch agent/Dev-A/x two";
const PACKED: &str = "git pack-refs --all";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        harmless("checkout branch", "", "git checkout -q feature"),
        harmless("switch branch", "", "git switch -q feature"),
        harmless("switch back", "git switch -q feature", "git switch -q -"),
        harmless("checkout --detach", "", "git checkout -q --detach HEAD~1"),
        harmless("switch --detach", "", "git switch -q --detach"),
        harmless("checkout tag", "", "git checkout -q v1"),
        harmless("checkout -f", "echo x >>a", "git checkout -q -f feature"),
        harmless("checkout -m", "echo x >>f2", "git checkout -q -m feature"),
        harmless("checkout --orphan", "", "git checkout -q --orphan orph"),
        harmless("switch --orphan", "", "git switch -q --orphan orph"),
        harmless("checkout file", "echo x >>a", "git checkout -q -- a"),
        harmless("checkout file from a commit", "", "git checkout -q HEAD~2 -- a"),
        harmless("restore file", "echo x >>a", "git restore a"),
        harmless("restore --staged", "echo x >>a; git add a", "git restore --staged a"),
        harmless("restore --source", "", "git restore --source=HEAD~2 --staged --worktree a"),
        moves("switch -c new", "", "git switch -q -c newb"),
        moves("switch -C over existing", "", "git switch -q -C feature main"),
        moves("checkout -b", "", "git checkout -q -b newb"),
        moves("checkout -b at a commit", "", "git checkout -q -b newb main~1").resettable(),
        moves("checkout -B feature main", "", "git checkout -q -B feature main"),
        moves("checkout of a remote's branch", "git fetch -q origin", "git checkout -q newremote")
            .resettable(),
        moves("checkout --track", "git fetch -q origin", "git checkout -q -b local --track origin/newremote")
            .resettable(),
        moves("branch create", "", "git branch nb"),
        moves("branch create at a commit", "", "git branch nb main~1"),
        moves("branch --track", "", "git branch --track nb origin/main >../side/said"),
        moves("branch -D", "", "git branch -q -D feature"),
        moves("branch -D (packed)", PACKED, "git branch -q -D feature"),
        moves("branch -D of two", "", "git branch -q -D feature pick"),
        moves("branch -d", "", "git branch -q -d old"),
        moves("branch -f", "", "git branch -f feature main~1"),
        moves("branch -m (other)", "", "git branch -m feature other").blind(Blind::Reftable),
        moves("branch -m (current)", "", "git branch -m main2").blind(Blind::Reftable),
        moves("branch -M over existing", "", "git branch -M feature ffb").blind(Blind::Reftable),
        moves("branch -m (packed)", PACKED, "git branch -m feature other").blind(Blind::Reftable),
        unseen("branch -c", "", "git branch -c feature copy", "a copy"),
        unseen("branch -C over existing", "", "git branch -C feature ffb", "a copy"),
        unseen("branch -C over main", "git switch -q --detach", "git branch -C feature main", "a copy"),
        harmless("branch -f to where it is", "", "git branch -f feature feature"),
        harmless("branch --set-upstream", "", "git branch -q --set-upstream-to=origin/main feature"),
        harmless("branch --unset-upstream", "git branch -q -u origin/main", "git branch --unset-upstream"),
        harmless(
            "branch --edit-description",
            "",
            "GIT_EDITOR='echo x >' git branch --edit-description feature",
        ),
        harmless("branch list", "", "git branch -a -vv && git branch --contains two"),
        harmless("tag create", "", "git tag t1"),
        harmless("tag -a", "", "git tag -a -m x t1"),
        harmless("tag of a tag", "", "git tag t1 v1"),
        harmless("tag list and show", "", "git tag -l -n && git show -s v1 && git describe"),
        moves("tag -d", "", "git tag -d v1"),
        moves("tag -d (packed)", PACKED, "git tag -d v1"),
        moves("tag -f", "", "git tag -f v1 HEAD"),
        harmless("tag -f to where it is", "", "git tag -f v0 v0"),
        own("branch create (own)", "", "git branch agent/Dev-A/x"),
        own("branch -f (own)", OWN, "git branch -f agent/Dev-A/x main"),
        own("branch -D (own)", OWN, "git branch -q -D agent/Dev-A/x"),
        own("switch -c (own)", "", "git switch -q -c agent/Dev-A/x"),
        own(
            "commit (own)",
            &format!("{OWN}; git switch -q agent/Dev-A/x; echo x >>a"),
            "git commit -q -a -m x",
        ),
        own(
            "merge non-ff (own)",
            &format!("{OWN}; git switch -q agent/Dev-A/x; echo x >>a; git commit -q -a -m x"),
            "git merge -q -m m feature",
        ),
        own(
            "reset --hard (own)",
            &format!("{OWN}; git switch -q agent/Dev-A/x"),
            "git reset -q --hard HEAD~1",
        )
        .resettable(),
        moves("branch of another role", "", "git branch agent/Dev-B/x"),
        moves(
            "commit on a branch of another role",
            "git switch -q -c agent/Dev-B/x; echo x >>a",
            "git commit -q -a -m x",
        ),
        moves("branch -D of another role", "git branch agent/Dev-B/x", "git branch -q -D agent/Dev-B/x"),
    ]
}
