//! Rebases, from the first to the last step.

use crate::guard::matrix::row::{Left, Row, harmless, mistaken, moves};

/// An old git puts aside what is changed, asks, and leaves it so.
pub(super) const AUTOSTASH_BACK: &str = "! git rebase --quit 2>/dev/null || git stash pop -q";
const ENDED: Left = Left::Ends("git rebase --abort");

const ON_FEATURE: &str = "git switch -q feature";
const STOPPED: &str = "git switch -q conflict; git rebase -q main";
const SOLVED: &str = "git switch -q conflict; git rebase -q main; echo both >a; git add a";
const STOPPED_APPLY: &str = "git switch -q conflict; git rebase -q --apply main";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        moves("rebase feature onto main", ON_FEATURE, "git rebase -q main"),
        moves("rebase BRANCH from elsewhere", "", "git rebase -q main feature"),
        moves("rebase --no-verify", ON_FEATURE, "git rebase -q --no-verify main")
            .leaves(Left::Back("git rebase --abort")),
        moves("rebase --apply", ON_FEATURE, "git rebase -q --apply main"),
        moves("rebase --onto", ON_FEATURE, "git rebase -q --onto old two"),
        moves(
            "rebase -i reword",
            ON_FEATURE,
            "GIT_SEQUENCE_EDITOR='sed -i s/^pick/reword/' GIT_EDITOR='sed -i 1s/^/re/' git rebase -q -i main",
        ),
        moves(
            "rebase -i fixup",
            ON_FEATURE,
            "GIT_SEQUENCE_EDITOR='sed -i 2s/^pick/fixup/' git rebase -q -i main",
        ),
        moves(
            "rebase -i squash",
            ON_FEATURE,
            "GIT_SEQUENCE_EDITOR='sed -i 2s/^pick/squash/' git rebase -q -i main",
        ),
        moves(
            "rebase -i drop",
            ON_FEATURE,
            "GIT_SEQUENCE_EDITOR='sed -i 2s/^pick/drop/' git rebase -q -i main",
        ),
        moves(
            "rebase -i exec",
            ON_FEATURE,
            "GIT_SEQUENCE_EDITOR='sed -i 2aexec:' GIT_EDITOR=: git rebase -q -x true main",
        ),
        moves(
            "rebase --autosquash",
            "git switch -q feature; echo x >>feat; git commit -q -a --fixup=HEAD~1",
            "GIT_SEQUENCE_EDITOR=: git rebase -q -i --autosquash main",
        ),
        moves("rebase --autostash", "git switch -q feature; echo x >>f2", "git rebase -q --autostash main")
            .leaves(Left::Fetched(AUTOSTASH_BACK)),
        moves("rebase --root", ON_FEATURE, "git rebase -q --root --onto main").code(0),
        moves("rebase ff", "git switch -q old", "git rebase -q main"),
        moves(
            "rebase -r with a merge",
            "git switch -q feature; git merge -q -m m pick",
            "git rebase -q -r ahead",
        ),
        harmless("rebase of what is there", "", "git rebase -q old"),
        harmless("rebase on detached HEAD", "git switch -q --detach feature", "git rebase -q main"),
        mistaken("rebase conflict stop", "git switch -q conflict", "git rebase -q main").code(1),
        mistaken(
            "rebase -i stop to edit",
            ON_FEATURE,
            "GIT_SEQUENCE_EDITOR='sed -i 1s/^pick/edit/' git rebase -q -i main",
        ),
        moves("rebase --continue", SOLVED, "git rebase --continue").leaves(ENDED),
        moves("rebase --skip", STOPPED, "git rebase --skip").leaves(ENDED),
        harmless("rebase --abort", STOPPED, "git rebase --abort"),
        harmless("rebase --apply --abort", STOPPED_APPLY, "git rebase --abort"),
        moves("rebase --apply --skip", STOPPED_APPLY, "git rebase --skip").leaves(ENDED),
        harmless("rebase --quit", STOPPED, "git rebase --quit"),
        harmless("rebase --show-current-patch", STOPPED, "git rebase --show-current-patch >../side/patch"),
        harmless("commit in a stopped rebase", SOLVED, "git commit -q -m x"),
        harmless("commit --no-verify in a stopped rebase", SOLVED, "git commit -q --no-verify -m x"),
        moves("update-ref in a stopped rebase", STOPPED, "git update-ref refs/heads/main HEAD~1"),
        moves("branch in a stopped rebase", STOPPED, "git branch nb"),
        moves("rebase --update-refs", "git switch -q pick", "git rebase -q --update-refs main").since(38),
    ]
}
