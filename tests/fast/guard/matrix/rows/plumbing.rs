//! Plumbing that names refs itself.

use crate::guard::matrix::row::{Blind, Left, Row, harmless, mistaken, moves, unseen};

const ALIAS: &str = "git symbolic-ref refs/heads/alias refs/heads/feature";
const FAST_IMPORT: &str = "printf 'commit refs/heads/%s\\ncommitter A <a@example.org> 1767225600 +0000\\ndata 1\\nx\\nM 100644 inline fi\\ndata 1\\nx\\n\\n'";

pub(crate) fn rows() -> Vec<Row> {
    let fast_import = |branch: &str, args: &str| {
        format!("{FAST_IMPORT} {branch} | git fast-import --quiet {args} 2>/dev/null")
    };
    vec![
        moves("update-ref create", "", "git update-ref refs/heads/u HEAD"),
        moves("update-ref move", "", "git update-ref refs/heads/feature main"),
        moves("update-ref move of main", "", "git update-ref refs/heads/main HEAD~1"),
        moves("update-ref --no-deref of main", "", "git update-ref --no-deref refs/heads/main HEAD~1"),
        moves("update-ref move w/ old", "", "git update-ref refs/heads/feature main feature"),
        harmless("update-ref move w/ wrong old", "", "git update-ref refs/heads/feature main old").code(128),
        moves("update-ref delete", "", "git update-ref -d refs/heads/feature"),
        moves("update-ref delete w/ old", "", "git update-ref -d refs/heads/feature feature"),
        moves("update-ref delete of main", "git switch -q --detach", "git update-ref -d refs/heads/main"),
        moves("update-ref delete (packed)", "git pack-refs --all", "git update-ref -d refs/heads/feature"),
        moves("update-ref delete w/ old (packed)", "git pack-refs --all", "git update-ref -d refs/heads/feature feature"),
        moves("update-ref delete w/ old (packed and loose)", "git pack-refs --all --no-prune", "git update-ref -d refs/heads/feature feature"),
        harmless("update-ref no-op", "", "git update-ref refs/heads/feature feature"),
        harmless("update-ref no-op w/ old", "", "git update-ref refs/heads/feature feature feature"),
        moves("update-ref --stdin 3 refs", "", "printf 'update refs/heads/feature %s\\ncreate refs/heads/zz %s\\ndelete refs/tags/v1\\n' $(git rev-parse main main) | git update-ref --stdin"),
        moves("update-ref --stdin one branch of two", "", "printf 'create refs/test/x %s\\nupdate refs/heads/feature %s\\n' $(git rev-parse main main) | git update-ref --stdin"),
        moves("update-ref --stdin own and main", "git branch agent/Dev-A/x", "printf 'update refs/heads/agent/Dev-A/x %s\\nupdate refs/heads/main %s\\n' $(git rev-parse old old) | git update-ref --stdin"),
        moves("update-ref --stdin start prepare commit", "", "printf 'start\\nupdate refs/heads/feature HEAD\\nprepare\\ncommit\\n' | git update-ref --stdin >../side/said"),
        harmless("update-ref --stdin start prepare abort", "", "printf 'start\\nupdate refs/test/x HEAD\\nprepare\\nabort\\n' | git update-ref --stdin >../side/said"),
        mistaken("update-ref --stdin verify", "", "printf 'verify refs/heads/main %s\\n' $(git rev-parse main) | git update-ref --stdin"),
        moves("update-ref --stdin -z", "", "printf 'update refs/heads/feature\\0%s\\0\\0' $(git rev-parse main) | git update-ref --stdin -z"),
        moves("update-ref --stdin symref-create", "", "printf 'symref-create refs/heads/alias refs/heads/main\\n' | git update-ref --stdin --no-deref").since(46),
        moves("update-ref --stdin symref-update of a branch", "", "printf 'symref-update refs/heads/pick refs/heads/main\\n' | git update-ref --stdin --no-deref").since(46),
        moves("update-ref --stdin symref-delete", ALIAS, "printf 'symref-delete refs/heads/alias refs/heads/feature\\n' | git update-ref --stdin --no-deref").since(46),
        harmless("update-ref of another namespace", "", "git update-ref refs/test/x HEAD && git update-ref -d refs/test/x"),
        harmless("update-ref of a remote's branch", "", "git update-ref refs/remotes/origin/main HEAD"),
        harmless("update-ref --no-deref HEAD", "git switch -q --detach", "git update-ref --no-deref HEAD HEAD~1"),
        moves("update-ref HEAD (via symref)", "", "git update-ref HEAD HEAD~1"),
        moves("update-ref @ of another work tree", "", "git update-ref worktrees/linked/HEAD old"),
        moves("commit-tree + update-ref", "", "git update-ref refs/heads/main $(git commit-tree HEAD^{tree} -p HEAD -m x)"),
        harmless("hash-object/write-tree/commit-tree only", "echo x >>a; git add a", "git hash-object -w a >../side/said && git commit-tree $(git write-tree) -p HEAD -m x >>../side/said"),
        harmless("symbolic-ref HEAD other", "", "git symbolic-ref HEAD refs/heads/feature"),
        harmless("symbolic-ref read", "", "git symbolic-ref --short HEAD"),
        moves("symbolic-ref create alias", "", ALIAS).blind(Blind::Before(46)),
        moves("symbolic-ref over main", "git switch -q --detach", "git symbolic-ref refs/heads/main refs/heads/feature").blind(Blind::Before(46)),
        moves("symbolic-ref over main that is checked out", "", "git symbolic-ref refs/heads/main refs/heads/feature").blind(Blind::Before(46)),
        moves("symbolic-ref from another namespace to main", "", "git symbolic-ref refs/test/x refs/heads/main").blind(Blind::Before(46)),
        moves("symbolic-ref -d", ALIAS, "git symbolic-ref -d refs/heads/alias"),
        moves("write via alias symref", ALIAS, "git update-ref refs/heads/alias main"),
        moves("branch -f via alias symref", ALIAS, "git branch -f alias main"),
        moves("write via an alias in another namespace", "git symbolic-ref refs/test/x refs/heads/feature", "git update-ref refs/test/x main"),
        moves("delete an alias by update-ref", ALIAS, "git update-ref --no-deref -d refs/heads/alias"),
        moves("notes add", "", "git notes add -m x"),
        moves("notes append, copy, remove", "git notes add -m x", "git notes append -m y"),
        moves("notes remove", "git notes add -m x", "git notes remove 2>../side/said"),
        moves("notes --ref", "", "git notes --ref=review add -m x"),
        moves("replace", "", "git replace HEAD HEAD~1"),
        moves("replace --graft", "", "git replace --graft HEAD old"),
        moves("replace -d", "git replace old HEAD", "git replace -d $(git rev-parse old) >../side/said"),
        moves("fast-import", "", &fast_import("fi", "")).leaves(Left::Nothing),
        moves("fast-import --force into main", "git switch -q --detach", &fast_import("main", "--force")),
        moves("filter-branch", "", "FILTER_BRANCH_SQUELCH_WARNING=1 git filter-branch -f --msg-filter 'sed s/^/x/' three..main >../side/said 2>&1").resettable(),
        moves("replay (2.44+)", "", "git replay --onto main three..pick >../side/said && git update-ref --stdin <../side/said").since(44),
        harmless("replay to nowhere", "", "git replay --onto main three..pick^{} >../side/said 2>&1 || :").since(44),
        moves("history reword", "", "GIT_EDITOR='sed -i 1s/^/x/' git history reword HEAD~1").since(55),
        harmless("read-tree", "", "git read-tree feature"),
        harmless("read-tree -m -u", "", "git read-tree -m -u HEAD feature"),
        harmless("checkout-index", "rm a", "git checkout-index -a"),
        harmless("update-index", "echo x >>a", "git update-index a && git update-index --refresh"),
        harmless("update-index --cacheinfo", "", "git update-index --add --cacheinfo 100644,$(git rev-parse HEAD:a),copy"),
        harmless("merge-tree", "", "git merge-tree --write-tree main feature >../side/said").since(38),
        harmless("merge-file", "", "git merge-file -p a a a >../side/said"),
        harmless("mktag, mktree", "", "git ls-tree HEAD | git mktree && git cat-file tag v1 | git mktag"),
    ]
}

/// What only reads a history that others rewrite.
pub(crate) fn reflogs() -> Vec<Row> {
    vec![
        unseen(
            "reflog delete --updateref",
            "",
            "git reflog delete --updateref --rewrite main@{0}",
            "the reflog",
        ),
        harmless("reflog expire", "", "git reflog expire --expire=now --all"),
        harmless("reflog delete", "", "git reflog delete main@{1}"),
        harmless("reflog show, exists", "", "git reflog && git reflog exists refs/heads/main"),
    ]
}
