//! Commits in all forms, and `reset`.

use crate::guard::matrix::row::{Left, Row, harmless, moves};

const STAGED: &str = "echo x >>a; git add a";
const CHANGED: &str = "echo x >>a";
const MIXED: &str = "echo x >>a; echo y >n; git add n";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        moves("commit", STAGED, "git commit -q -m x"),
        moves("commit --no-verify", STAGED, "git commit -q --no-verify -m x"),
        moves("commit -a", CHANGED, "git commit -q -a -m x"),
        moves("commit --no-verify -a", CHANGED, "git commit -q --no-verify -a -m x"),
        moves("commit pathspec", MIXED, "git commit -q -m x a"),
        moves("commit --no-verify pathspec", MIXED, "git commit -q --no-verify -m x a"),
        moves("commit --include pathspec", MIXED, "git commit -q -m x --include a"),
        moves("commit -p", CHANGED, "echo y | git commit -q -p -m x"),
        moves("commit --no-verify -p", CHANGED, "echo y | git commit -q --no-verify -p -m x"),
        moves("commit --amend", STAGED, "git commit -q --amend -m x"),
        moves("commit --amend --no-verify", STAGED, "git commit -q --amend --no-verify -m x"),
        moves(
            "commit --amend --no-edit --reset-author",
            "",
            "GIT_AUTHOR_NAME=B git commit -q --amend --no-edit --reset-author",
        ),
        moves("commit --allow-empty", "", "git commit -q --allow-empty -m x"),
        moves("commit --fixup + editor", STAGED, "GIT_EDITOR=true git commit -q -e --fixup=HEAD~1"),
        moves("commit -F", STAGED, "echo said | git commit -q -F -"),
        moves("commit with an editor", STAGED, "GIT_EDITOR='echo said >' git commit -q"),
        harmless("commit --dry-run", STAGED, "git commit --dry-run -m x"),
        harmless("commit of nothing", "", "git commit -q -m x").code(1),
        harmless("commit with an empty message", STAGED, "git commit -q -m ''").code(1),
        harmless("commit on detached HEAD", "git switch -q --detach; echo x >>a", "git commit -q -a -m x"),
        harmless(
            "commit --no-verify --amend on detached HEAD",
            "git switch -q --detach; echo x >>a",
            "git commit -q -a --no-verify --amend -m x",
        ),
        moves("commit (root, unborn branch)", "git checkout -q --orphan newroot", "git commit -q -m x"),
        moves(
            "commit --no-verify (root, unborn branch)",
            "git checkout -q --orphan newroot",
            "git commit -q --no-verify -m x",
        ),
        moves("reset --hard HEAD~1", "", "git reset -q --hard HEAD~1").resettable(),
        moves("reset --hard to another branch", "", "git reset -q --hard feature").resettable(),
        moves("reset --soft HEAD~1", "", "git reset -q --soft HEAD~1"),
        moves("reset (mixed) HEAD~1", "", "git reset -q HEAD~1").leaves(Left::Back("git reset -q")),
        moves("reset --keep HEAD~1", "", "git reset -q --keep HEAD~1").resettable(),
        moves("reset --merge HEAD~1", "", "git reset -q --merge HEAD~1").resettable(),
        harmless("reset --hard", STAGED, "git reset -q --hard"),
        harmless("reset", STAGED, "git reset -q"),
        harmless("reset --soft", STAGED, "git reset -q --soft HEAD"),
        harmless("reset (index only)", STAGED, "git reset -q -- a"),
        harmless("reset --hard on detached HEAD", "git switch -q --detach", "git reset -q --hard HEAD~1"),
    ]
}
