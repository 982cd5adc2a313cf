//! The typical operations in every place where git works.

use crate::guard::matrix::row::{Row, harmless, moves};

/// A place: its name, how it is made, how one gets there, whether a commit there moves a branch.
const PLACES: [(&str, &str, &str, bool); 9] = [
    ("linked work tree", "cd ../side/linked", "cd ../side/linked", true),
    ("subdirectory", "cd sub", "cd sub", true),
    ("detached HEAD", "git switch -q --detach", ":", false),
    ("rebase in progress", "git switch -q conflict; git rebase -q main; git reset -q --hard", ":", false),
    ("--git-dir and --work-tree", ":", "export GIT_DIR=$PWD/.git GIT_WORK_TREE=$PWD", true),
    (
        "GIT_DIR of the linked work tree",
        "cd ../side/linked",
        "cd ../side/linked; export GIT_DIR=$(git rev-parse --absolute-git-dir)",
        true,
    ),
    (
        "index of one's own",
        "cp .git/index ../side/index; export GIT_INDEX_FILE=$PWD/../side/index",
        "export GIT_INDEX_FILE=$PWD/../side/index",
        true,
    ),
    ("split index", "git config core.splitIndex true; git update-index --split-index", ":", true),
    (
        "sparse checkout",
        "git sparse-checkout set sub; cp ../side/a a 2>/dev/null || git checkout -q HEAD -- a 2>/dev/null || :",
        ":",
        true,
    ),
];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (place, make, go, on_branch) in PLACES {
        let add = |what: &str, before: &str, line: &str, is_move: bool| {
            let name = format!("{what} ({place})");
            let (before, line) = (format!("{make}; {before}"), format!("{go}; {line}"));
            if is_move { moves(&name, &before, &line) } else { harmless(&name, &before, &line) }
        };
        let change = "echo x >>n; git add -f --sparse n 2>/dev/null || git add -f n";
        rows.push(add("commit", change, "git commit -q -m x", on_branch));
        rows.push(add("commit --no-verify", change, "git commit -q --no-verify -m x", on_branch));
        rows.push(add(
            "commit -a",
            "git ls-files >../side/files; echo x >>$(git ls-files | grep 's$' | head -1)",
            "git commit -q -a -m x",
            on_branch,
        ));
        rows.push(add(
            "commit pathspec",
            &format!("{change}; echo y >m; git add --sparse m"),
            "git commit -q -m x n",
            on_branch,
        ));
        rows.push(add("merge", ":", "git merge -q -m m pick", on_branch));
        rows.push(add("update-ref", ":", "git update-ref refs/heads/old two", true));
        rows.push(add("reset --hard", change, "git reset -q --hard", false));
        rows.push(add(
            "stash push, pop",
            "echo x >>n; git add --sparse n",
            "git stash push -q && git stash pop -q --index",
            false,
        ));
    }
    rows
}
