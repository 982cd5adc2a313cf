//! Linked work trees, and what is done in one.

use crate::guard::matrix::row::{Left, Row, harmless, moves};

const AWAY: &str = "git worktree add -q --detach ../side/more";
const LINKED: &str = "cd ../side/linked; echo x >>a; git add a";

pub(crate) fn rows() -> Vec<Row> {
    vec![
        moves("worktree add -b", "", "git worktree add -q -b wtn ../side/more 2>../side/said")
            .leaves(Left::Anything),
        moves("worktree add -B", "", "git worktree add -q -B feature ../side/more main 2>../side/said")
            .leaves(Left::Anything),
        moves("worktree add (a branch by its name)", "", "git worktree add -q ../side/more")
            .leaves(Left::Anything),
        harmless("worktree add of a branch", "", "git worktree add -q ../side/more feature"),
        harmless("worktree add --detach", "", "git worktree add -q --detach ../side/more"),
        harmless("worktree add --no-checkout", "", "git worktree add -q --no-checkout --detach ../side/more"),
        harmless("worktree add --orphan", "", "git worktree add -q --orphan -b orph ../side/more").since(42),
        harmless("worktree remove", AWAY, "git worktree remove ../side/more"),
        harmless("worktree move", AWAY, "git worktree move ../side/more ../side/moved"),
        harmless(
            "worktree lock, unlock, list",
            AWAY,
            "git worktree lock ../side/more && git worktree unlock ../side/more && git worktree list",
        ),
        harmless(
            "worktree prune, repair",
            &format!("{AWAY}; rm -rf ../side/more"),
            "git worktree prune && git worktree repair",
        ),
        moves("commit in linked worktree", LINKED, "cd ../side/linked && git commit -q -m x"),
        moves(
            "commit --no-verify in linked worktree",
            LINKED,
            "cd ../side/linked && git commit -q --no-verify -m x",
        ),
        moves(
            "commit -a in linked worktree",
            "cd ../side/linked; echo x >>a",
            "cd ../side/linked && git commit -q -a -m x",
        ),
        moves("commit -C from linked worktree", LINKED, "git -C ../side/linked commit -q -m x"),
        moves("checkout in linked worktree", "", "cd ../side/linked && git checkout -q -b wtb2"),
        harmless("switch in linked worktree", "", "cd ../side/linked && git switch -q feature"),
        moves(
            "reset main from linked worktree",
            "",
            "cd ../side/linked && git update-ref refs/heads/main old",
        ),
        moves(
            "rebase in linked worktree",
            "cd ../side/linked; git switch -q feature",
            "cd ../side/linked && git rebase -q main",
        ),
        moves(
            "merge in linked worktree",
            "cd ../side/linked; git switch -q feature",
            "cd ../side/linked && git merge -q -m m main",
        ),
        harmless(
            "stash in linked worktree",
            LINKED,
            "cd ../side/linked && git stash push -q && git stash pop -q",
        ),
        harmless(
            "bisect in linked worktree",
            "",
            "cd ../side/linked && git bisect start HEAD old >../said && git bisect reset >>../said 2>&1",
        ),
        harmless("reset --hard in linked worktree", LINKED, "cd ../side/linked && git reset -q --hard"),
        moves("commit in subdir", "echo x >>sub/s; git add sub/s", "cd sub && git commit -q -m x"),
        moves("commit pathspec in subdir", "echo x >>sub/s", "cd sub && git commit -q -m x s"),
        harmless("checkout file in subdir", "echo x >>sub/s", "cd sub && git checkout -q -- s"),
    ]
}
