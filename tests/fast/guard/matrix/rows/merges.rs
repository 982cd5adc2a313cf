//! Merges, cherry-picks, reverts, patches.

use crate::guard::matrix::row::{Left, Row, harmless, mistaken, moves};

/// Whether git asked before or after it has changed the work tree: this brings back the former.
const PICK_BACK: Left = Left::Back("git cherry-pick --abort 2>/dev/null || git reset -q --hard");
const REVERT_BACK: Left = Left::Back("git revert --abort 2>/dev/null || git reset -q --hard");
const AM_BACK: Left = Left::Back("git am --abort");
const ENDED: Left = Left::Ends("git reset -q --hard");

const MERGING: &str = "git merge -q conflict; echo both >a; git add a";
const PICKING: &str = "git cherry-pick conflict~1; echo both >a; git add a";
const REVERTING: &str =
    "sed -i s/one/later/ a; git commit -q -a -m later; git revert --no-edit HEAD~1; echo both >a; git add a";
const MAIL: &str = "git format-patch -q --stdout three..pick >../side/mail";
const AM_STOPPED: &str = "git format-patch -q --stdout two..conflict >../side/mail; git am -q ../side/mail";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        moves("merge ff", "", "git merge -q ahead"),
        moves("merge --ff-only", "", "git merge -q --ff-only ahead"),
        moves("merge --no-ff", "", "git merge -q --no-ff -m m ahead"),
        moves("merge non-ff", "", "git merge -q -m m feature"),
        moves("merge --no-verify non-ff", "", "git merge -q --no-verify -m m feature"),
        moves("merge --no-verify ff", "", "git merge -q --no-verify ahead"),
        moves("merge -s ours", "", "git merge -q -s ours -m m feature"),
        moves("merge of two (octopus)", "", "git merge -q -m m feature pick"),
        moves("merge of a tag", "git tag later ahead", "git merge -q later"),
        moves("merge --autostash", "echo x >>f3", "git merge -q --autostash -m m feature"),
        harmless("merge of what is there", "", "git merge -q old"),
        harmless("merge --squash", "", "git merge -q --squash feature"),
        harmless("merge --squash ff", "", "git merge -q --squash ahead"),
        harmless("merge --no-commit", "", "git merge -q --no-commit --no-ff feature"),
        mistaken("merge conflict", "", "git merge -q conflict").code(1),
        moves("merge conflict then commit", MERGING, "git commit -q -m x").leaves(ENDED),
        moves("merge conflict then commit --no-verify", MERGING, "git commit -q --no-verify -m x")
            .leaves(ENDED),
        moves("merge --continue", MERGING, "git merge --continue").leaves(ENDED),
        moves("merge --squash then commit", "git merge -q --squash feature", "git commit -q -m x"),
        harmless("merge --abort", "git merge -q conflict", "git merge --abort"),
        harmless("merge --quit", "git merge -q conflict", "git merge --quit"),
        harmless("reset --merge in a merge", "git merge -q conflict", "git reset -q --merge"),
        moves("cherry-pick", "", "git cherry-pick pick").leaves(PICK_BACK),
        moves("cherry-pick 2", "", "git cherry-pick mid pick").leaves(PICK_BACK),
        moves("cherry-pick ff", "", "git cherry-pick --ff ahead").leaves(PICK_BACK),
        moves("cherry-pick -x -e", "", "git cherry-pick -x -e pick").leaves(PICK_BACK),
        harmless("cherry-pick -n", "", "git cherry-pick -n pick"),
        harmless("cherry-pick conflict", "", "git cherry-pick conflict~1").code(1),
        moves("cherry-pick --continue", PICKING, "git cherry-pick --continue").leaves(ENDED),
        moves("cherry-pick then commit", PICKING, "git commit -q -m x").leaves(ENDED),
        harmless("cherry-pick --abort", PICKING, "git cherry-pick --abort"),
        harmless("cherry-pick --skip", PICKING, "git cherry-pick --skip"),
        harmless("cherry-pick --quit", PICKING, "git cherry-pick --quit"),
        moves("revert", "", "git revert --no-edit HEAD").leaves(REVERT_BACK),
        moves("revert 2", "", "git revert --no-edit HEAD~1 HEAD").leaves(REVERT_BACK),
        harmless("revert -n", "", "git revert -n HEAD"),
        moves("revert --continue", REVERTING, "git revert --continue").leaves(ENDED),
        harmless("revert --abort", REVERTING, "git revert --abort"),
        moves("am", MAIL, "git am -q ../side/mail").leaves(AM_BACK),
        moves("am --no-verify", MAIL, "git am -q --no-verify ../side/mail").leaves(AM_BACK).since(40),
        moves("am --3way", MAIL, "git am -q --3way ../side/mail").leaves(AM_BACK),
        mistaken("am stop", AM_STOPPED_MAIL, "git am -q ../side/mail").leaves(AM_BACK).code(128),
        moves("am --continue", AM_STOPPED, "echo both >a; git add a; git am -q --continue")
            .leaves(Left::Ends("git am --abort")),
        moves("am --skip", AM_STOPPED, "git am -q --skip").leaves(Left::Ends("git am --abort")),
        harmless("am --abort", AM_STOPPED, "git am --abort"),
        harmless("am --quit", AM_STOPPED, "git am --quit"),
        harmless("apply", "git diff main feature >../side/diff", "git apply ../side/diff"),
        harmless("apply --index", "git diff main feature >../side/diff", "git apply --index ../side/diff"),
        harmless("apply --cached", "git diff main feature >../side/diff", "git apply --cached ../side/diff"),
    ]
}

const AM_STOPPED_MAIL: &str = "git format-patch -q --stdout two..conflict >../side/mail";
