//! Git's commands that inspect, clean up and repair, which are never refused.

use super::plumbing;
use crate::guard::matrix::row::{Blind, Row, harmless, moves};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        harmless(
            "bisect start..reset",
            "",
            "git bisect start HEAD old >../side/said && git bisect good >../side/said && git bisect reset >../side/said 2>&1",
        ),
        harmless("bisect start", "", "git bisect start HEAD old >../side/said 2>&1"),
        harmless("bisect run", "git bisect start HEAD old", "git bisect run grep -q 5 a >../side/said 2>&1"),
        harmless("gc", "", "git gc -q"),
        harmless("gc --prune=now", "", "git gc -q --prune=now"),
        harmless(
            "gc --auto (gc.auto=1)",
            "echo x | git hash-object -w --stdin",
            "git -c gc.auto=1 -c gc.autoDetach=false gc -q --auto",
        ),
        harmless(
            "maintenance run --auto",
            "",
            "git -c gc.auto=1 -c maintenance.autoDetach=false maintenance run --quiet --auto",
        ),
        harmless(
            "maintenance run",
            "",
            "git maintenance run --quiet --task=loose-objects --task=pack-refs --task=commit-graph",
        ),
        harmless("pack-refs --all", "", "git pack-refs --all"),
        harmless("pack-refs --no-prune", "", "git pack-refs --all --no-prune"),
        harmless(
            "pack-refs twice",
            "git pack-refs --all; git update-ref refs/heads/feature main",
            "git pack-refs --all && git pack-refs --all",
        ),
        moves("pack-refs then delete packed", "", "git pack-refs --all && git branch -q -D feature"),
        harmless("prune", "", "git prune --expire=now"),
        harmless("repack -ad", "", "git repack -q -a -d"),
        harmless("fsck", "", "git fsck --no-progress >../side/said 2>&1"),
        harmless(
            "commit-graph, multi-pack-index",
            "",
            "git commit-graph write --reachable --no-progress && git multi-pack-index write --no-progress",
        ),
        harmless("update-server-info", "", "git update-server-info"),
        harmless("refs verify", "", "git refs verify").since(47),
        harmless(
            "refs migrate to files",
            "git worktree remove -f ../side/linked",
            "git refs migrate --ref-format=files 2>../side/said || :",
        )
        .since(46),
        harmless(
            "refs migrate to reftable",
            "git worktree remove -f ../side/linked",
            "git refs migrate --ref-format=reftable 2>../side/said || :",
        )
        .since(46),
        harmless("status", "echo x >>a", "git status --short"),
        harmless("add", "echo x >>a; echo y >n", "git add -A"),
        harmless("add -p", "echo x >>a", "echo y | git add -p >../side/said"),
        harmless("add -N", "echo y >n", "git add -N n"),
        harmless("rm", "", "git rm -q f2"),
        harmless("rm --cached", "", "git rm -q --cached a"),
        harmless("mv", "", "git mv a b"),
        harmless("clean", "echo y >n", "git clean -q -f -d"),
        harmless(
            "log, show, diff",
            "echo x >>a",
            "git log --oneline --graph --all && git show --stat && git diff && git diff --cached && git diff main feature",
        ),
        harmless(
            "blame, grep, ls-files, shortlog",
            "",
            "git blame a && git grep -n s && git ls-files && git shortlog HEAD",
        ),
        harmless(
            "rev-list, merge-base, cherry, range-diff",
            "",
            "git rev-list --all && git merge-base main feature && git cherry main pick && git range-diff three..pick three..mid >../side/said",
        ),
        harmless(
            "archive, format-patch",
            "",
            "git archive -o ../side/x.tar HEAD && git format-patch -q -o ../side/p -1",
        ),
        harmless("config", "", "git config user.name B && git config --unset user.name"),
        harmless("sparse-checkout", "", "git sparse-checkout set sub && git sparse-checkout disable")
            .blind(Blind::Nowhere),
        harmless(
            "rerere",
            "git config rerere.enabled true; git merge -q conflict",
            "git rerere && git merge --abort",
        ),
        harmless(
            "request-pull, describe, name-rev",
            "",
            "git describe --all && git name-rev HEAD && git show-ref",
        ),
        harmless(
            "for-each-ref, show-branch, whatchanged",
            "",
            "git for-each-ref && git show-branch main feature",
        ),
        harmless("fast-export", "", "git fast-export --all >../side/said"),
        harmless(
            "cat-file, ls-tree, rev-parse",
            "",
            "git cat-file -p HEAD && git ls-tree -r HEAD && git rev-parse HEAD^{tree}",
        ),
    ];
    rows.extend(plumbing::reflogs());
    rows
}
