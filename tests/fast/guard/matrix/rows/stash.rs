//! The stash, which is never refused.

use crate::guard::matrix::row::{Row, harmless, moves, unseen};

const CHANGED: &str = "echo x >>a; echo y >n; git add n";
const ONE: &str = "echo x >>a; git stash push -q";
const TWO: &str = "echo x >>a; git stash push -q; echo y >>f2; git stash push -q";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        harmless("stash push", CHANGED, "git stash push -q"),
        harmless("stash push (2 entries)", &format!("{ONE}; {CHANGED}"), "git stash push -q"),
        harmless("stash push -u", "echo x >>a; echo y >n", "git stash push -q -u"),
        harmless("stash push --keep-index", CHANGED, "git stash push -q --keep-index"),
        harmless("stash push --staged", CHANGED, "git stash push -q --staged"),
        harmless("stash push pathspec", CHANGED, "git stash push -q -- a"),
        harmless("stash push -p", "echo x >>a", "echo y | git stash push -q -p"),
        harmless("stash push of nothing", "", "git stash push -q"),
        harmless("stash apply", ONE, "git stash apply -q"),
        harmless("stash apply --index", ONE, "git stash apply -q --index"),
        harmless("stash pop", ONE, "git stash pop -q"),
        harmless("stash pop (2 entries)", TWO, "git stash pop -q"),
        harmless(
            "stash pop conflict",
            &format!("{ONE}; git reset -q --hard HEAD~1; echo z >a; git commit -q -a -m z"),
            "git stash pop -q",
        )
        .code(1),
        harmless("stash drop", ONE, "git stash drop -q"),
        harmless("stash drop (2 entries)", TWO, "git stash drop -q"),
        harmless("stash drop of the second (2 entries)", TWO, "git stash drop -q stash@{1}"),
        harmless("stash clear", TWO, "git stash clear"),
        harmless("stash store", "echo x >>a", "git stash store -m x $(git stash create)"),
        harmless("stash create", "echo x >>a", "git stash create >../side/created"),
        harmless("stash list and show", TWO, "git stash list && git stash show -p"),
        harmless(
            "stash on detached HEAD",
            &format!("git switch -q --detach; {CHANGED}"),
            "git stash push -q && git stash pop -q",
        ),
        harmless("stash in a merge", "git merge -q --no-commit --no-ff feature", "git stash push -q"),
        moves("stash branch", ONE, "git stash branch nb"),
        unseen(
            "reflog delete --updateref of the stash",
            TWO,
            "git reflog delete --updateref --rewrite stash@{0}",
            "reflog",
        ),
    ]
}
