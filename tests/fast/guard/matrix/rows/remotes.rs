//! Fetch, pull, push, remotes, bundles, clones.

use crate::guard::matrix::row::{Left, Row, harmless, moves, push_free, push_guarded, unseen};

const FETCHED: Left = Left::Fetched(":");
const BEHIND: &str = "git reset -q --hard three";
const CLONE: &str = "git clone -q . ../side/clone && cd ../side/clone && git commit -q --allow-empty -m x";
const READY: &str = "git fetch -q; git reset -q --hard origin/main; git commit -q --allow-empty -m x";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = fetches();
    rows.extend(pushes());
    rows.extend(others());
    rows
}

fn fetches() -> Vec<Row> {
    vec![
        harmless("fetch (branch upd + new + tag)", "", "git fetch -q"),
        harmless("fetch --prune", "", "git fetch -q --prune"),
        harmless("fetch up-to-date", "git fetch -q", "git fetch -q"),
        harmless("fetch --atomic", "", "git fetch -q --atomic"),
        harmless("fetch --all --tags", "", "git fetch -q --all --tags"),
        harmless("fetch --dry-run", "", "git fetch -q --dry-run"),
        harmless("fetch of a branch to FETCH_HEAD", "", "git fetch -q origin main"),
        harmless("fetch --prefetch", "", "git fetch -q --prefetch"),
        harmless("fetch of tags by force", "git -C ../side/origin.git tag -f rt main", "git fetch -q --tags"),
        harmless("remote update", "", "git remote update 2>/dev/null >&2"),
        harmless("ls-remote", "", "git ls-remote -q origin >../side/said"),
        moves("fetch . feature:ffb (ff)", "", "git fetch -q . feature:ffb"),
        moves("fetch . +feature:ffb (forced)", "", "git fetch -q . +old:ffb"),
        moves("fetch . --force into a new branch", "", "git fetch -q --force . main:fresh"),
        moves("fetch origin main:local", "", "git fetch -q origin main:localcopy").leaves(FETCHED),
        moves(
            "fetch origin with a tag that moves",
            "git tag rt old",
            "git fetch -q origin '+refs/tags/*:refs/tags/*'",
        )
        .leaves(FETCHED),
        moves("fetch --prune into branches", "", "git fetch -q --prune . '+refs/heads/f*:refs/heads/p*'"),
        moves("fetch --update-head-ok", BEHIND, "git fetch -q --update-head-ok origin main:main")
            .leaves(FETCHED),
        moves("pull (ff)", BEHIND, "git pull -q --no-rebase").leaves(FETCHED),
        moves("pull --ff-only", BEHIND, "git pull -q --ff-only").leaves(FETCHED),
        moves("pull (merge)", "", "git pull -q --no-rebase").leaves(FETCHED),
        moves("pull --no-verify (merge)", "", "git pull -q --no-rebase --no-verify").leaves(FETCHED),
        moves("pull . BRANCH", "", "git pull -q --no-rebase . feature").leaves(FETCHED),
        moves("pull --rebase", "", "git pull -q --rebase").leaves(FETCHED),
        moves("pull --rebase --autostash", "echo x >>f2", "git pull -q --rebase --autostash")
            .leaves(Left::Fetched(super::rebases::AUTOSTASH_BACK)),
        moves("pull on an unborn branch", "git switch -q --orphan fresh", "git pull -q origin main")
            .leaves(Left::Fetched("git rm -q -r -f .")),
        harmless("pull of what is there", "", "git pull -q --no-rebase . old"),
        harmless(
            "pull on detached HEAD",
            "git switch -q --detach three",
            "git pull -q --no-rebase origin main",
        ),
    ]
}

fn pushes() -> Vec<Row> {
    vec![
        push_free("push", "", "git push -q origin ffb"),
        push_guarded("push main", READY, "git push -q origin main"),
        push_guarded("push HEAD:main", READY, "git push -q origin HEAD:main"),
        push_guarded("push by default", READY, "git push -q"),
        push_guarded("push main non-ff rejected", "", "git push -q origin main").code(1),
        push_guarded("push --force main", "", "git push -q --force origin main"),
        push_guarded(
            "push --delete main",
            "git -C ../side/origin.git symbolic-ref HEAD refs/heads/feature",
            "git push -q --delete origin main",
        ),
        unseen("push --no-verify", "", "git push -q --no-verify origin ffb", "told not to ask"),
        unseen("push --no-verify main", READY, "git push -q --no-verify origin main", "told not to ask"),
        push_free("push --force", "git branch -f feature pick", "git push -q --force origin feature"),
        push_free(
            "push --force-with-lease",
            "git branch -f feature pick",
            "git push -q --force-with-lease origin feature",
        ),
        push_free("push -u", "", "git push -q -u origin ffb"),
        push_free("push --delete", "", "git push -q --delete origin feature"),
        push_free("push tag", "git tag t1", "git push -q origin t1"),
        push_guarded("push --all --atomic", "", "git push -q --all --atomic --force origin"),
        push_guarded("push --mirror", "", "git push -q --mirror origin"),
        harmless("push --dry-run", "", "git push -q --dry-run origin ffb"),
        unseen(
            "send-pack plumbing",
            "",
            "git send-pack --force ../side/origin.git ffb 2>/dev/null",
            "plumbing",
        ),
        moves("push to self (git push . feature:ffb)", "", "git push -q . feature:ffb"),
        moves("push to self by force", "", "git push -q . +old:ffb"),
        moves("push to self of a new branch", "", "git push -q . main:refs/heads/fresh"),
        moves("push to self --delete", "", "git push -q . :ffb"),
        moves("push --no-verify to self", "", "git push -q --no-verify . +old:ffb"),
        moves("send-pack to self", "", "git send-pack --force . old:ffb 2>/dev/null"),
        moves("push from a clone", CLONE, "git -C ../side/clone push -q origin HEAD:fresh"),
        moves("push --delete from a clone", CLONE, "git -C ../side/clone push -q origin :pick"),
        harmless(
            "push of a tag from a clone",
            CLONE,
            "git -C ../side/clone push -q origin HEAD:refs/tags/fresh",
        ),
    ]
}

fn others() -> Vec<Row> {
    vec![
        harmless("remote add", "", "git remote add -f other ../side/origin.git 2>/dev/null"),
        harmless("remote rename", "", "git remote rename origin upstream 2>/dev/null"),
        harmless("remote remove", "", "git remote remove origin"),
        harmless("remote prune", "", "git remote prune origin >../side/said"),
        harmless("remote set-head -a", "", "git remote set-head origin -a >../side/said 2>&1"),
        harmless("remote set-head -d", "git remote set-head origin main", "git remote set-head origin -d"),
        harmless("remote set-url", "", "git remote set-url origin /nowhere"),
        harmless("bundle create", "", "git bundle create -q ../side/b main"),
        moves(
            "bundle create+fetch",
            "",
            "git bundle create -q ../side/b main && git fetch -q ../side/b main:fromb",
        ),
        harmless(
            "bundle unbundle",
            "git bundle create -q ../side/b main",
            "git bundle unbundle ../side/b >../side/said",
        ),
        harmless("clone from work", "", "git clone -q . ../side/clone"),
        harmless("clone --shared --bare", "", "git clone -q --shared --bare . ../side/clone"),
        harmless(
            "fetch in a clone",
            "git clone -q . ../side/clone; git commit -q --allow-empty -m x",
            "git -C ../side/clone fetch -q",
        ),
        harmless("submodule update", WITH_SM, "git submodule update -q"),
        harmless(
            "submodule update --init (fresh)",
            "git switch -q withsm; rm -rf .git/modules/sm; git config --unset submodule.sm.url",
            "git -c protocol.file.allow=always submodule update -q --init",
        ),
        harmless("commit in a submodule", WITH_SM, "git -C sm commit -q --allow-empty -m x"),
        moves(
            "commit of a submodule",
            &format!("{WITH_SM}; git -C sm commit -q --allow-empty -m x; git add sm"),
            "git commit -q -m x",
        ),
        moves(
            "commit of a new submodule",
            "git -c protocol.file.allow=always submodule --quiet add $PWD/../side/sub.git more",
            "git commit -q -m x",
        ),
        harmless(
            "submodule status, sync, foreach",
            WITH_SM,
            "git submodule status >../side/said && git submodule --quiet sync && git submodule --quiet foreach true",
        ),
        harmless("submodule deinit", WITH_SM, "git submodule --quiet deinit -f sm >../side/said"),
    ]
}

const WITH_SM: &str = "git switch -q withsm; git -c protocol.file.allow=always submodule update -q --init";
