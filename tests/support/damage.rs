//! The scene of the hook tests: commands that move nothing and must never be refused, and damage of the
//! state document.

use std::path::Path;

use super::World;

/// Commands that move no protected ref, and succeed for every actor at any time.
pub(crate) const HARMLESS: &[&str] = &[
    "git status",
    "git fetch -q ../other '+refs/heads/*:refs/remotes/other/*'",
    "git fetch -q ../other main",
    "echo x >>a; git stash push -q && git stash pop -q && git checkout -q -- a",
    "echo x >>a; git stash -q; echo x >>a; git stash -q; git stash drop -q && git stash clear",
    "git checkout -q -- a",
    "git checkout -q HEAD~1 -- a && git checkout -q HEAD -- a",
    "git switch -q --detach && git switch -q main",
    "git switch -q side && git switch -q -",
    "git switch -q --detach && git commit -q --allow-empty --no-verify -m x; git switch -q main",
    "git gc -q --prune=now",
    "git pack-refs --all --prune",
    "git tag new-tag && git tag -a -m x newer-tag",
    "git reset -q && git reset -q --hard && git reset -q --soft HEAD",
    "git update-ref refs/heads/main main",
    "git merge -q --no-commit --no-ff side && git merge --abort",
    "git merge -q --squash side && git reset -q --hard",
    "! git merge -q --no-commit clash && git merge --abort",
    "git merge -q main~1 && git pull -q . main",
    "git switch -q --detach; ! git rebase -q clash && git rebase --abort && git switch -q main",
    "! git cherry-pick clash && git cherry-pick --abort",
    "git cherry-pick -n side && git reset -q --hard",
    "git bisect start -q HEAD HEAD~1 >/dev/null && git bisect reset >/dev/null 2>&1",
    "git worktree add -q --detach ../tree && git worktree remove ../tree",
    "git remote add other ../other && git remote set-head other -d 2>/dev/null; git remote remove other",
    "git reflog expire --expire=now --all",
    "git log -1 && git diff && git show && git grep -q first && git blame a && git ls-files",
];

/// What may have happened to the state.
pub(crate) const BROKEN_STATE: &[(&str, &str, &str)] = &[
    ("truncated", "head -c 100 $S >x && mv x $S", "cmw-doctor"),
    ("empty", ": >$S", "cmw-doctor"),
    ("missing", "rm $S", "cmw-doctor"),
    ("newer", "sed -i 's/\"format\": *1/\"format\":2/' $S", "cmw --version"),
    ("garbage", "echo garbage >$S", "cmw-doctor"),
    ("a directory", "rm $S && mkdir $S", "cmw-doctor"),
];

/// Two commits on `main`; `ahead` is one further, `side` went its own way, `clash` conflicts.
pub(crate) fn scene(git: &Path, args: &str) -> World {
    let world = World::with(git);
    world.write("repo/a", "first\nsecond\n");
    world.git(&["commit", "-q", "-a", "-m", "second"]);
    world.git(&["tag", "old", "HEAD~1"]);
    for (branch, start, file, text) in
        [("ahead", "main", "d", "d\n"), ("side", "main~1", "b", "b\n"), ("clash", "main~1", "a", "other\n")]
    {
        world.git(&["switch", "-q", "-c", branch, start]);
        world.write(&format!("repo/{file}"), text);
        world.git(&["add", file]);
        world.git(&["commit", "-q", "-m", branch]);
    }
    world.git(&["switch", "-q", "main"]);
    world.git(&["clone", "-q", "--bare", ".", "../other"]);
    // What takes the lock by itself has tests of its own (tests/auto_lock.rs).
    world.person().ok(&format!("git config cmw.lock.auto false && cmw-init {args}"));
    world
}

/// Every ref and its value.
pub(crate) fn refs(world: &World) -> String {
    world.git(&["for-each-ref", "--format=%(refname) %(objectname)"])
}

/// Has the person let stand what went around the hooks: what [`restore`] does is not pushed otherwise.
pub(crate) fn adopt(world: &World) {
    world.person().run("cmw-audit verify; cmw-audit adopt --all --reason x").ignored();
}

/// Puts refs, index and work tree back to how they were.
pub(crate) fn restore(world: &World, refs_before: &str) {
    for dir in ["rebase-merge", "rebase-apply"] {
        let _ = std::fs::remove_dir_all(world.at(&format!("repo/.git/{dir}")));
    }
    world.git(&["checkout", "-q", "-f", "--detach"]);
    for line in refs(world).lines() {
        let name = line.split(' ').next().unwrap();
        if !refs_before.lines().any(|before| before.split(' ').next() == Some(name)) {
            world.git(&["update-ref", "--no-deref", "-d", name]);
        }
    }
    for line in refs_before.lines() {
        let (name, oid) = line.split_once(' ').unwrap();
        world.git(&["update-ref", name, oid]);
    }
    world.git(&["checkout", "-q", "-f", "main"]);
    world.git(&["reset", "-q", "--hard"]);
    world.git(&["clean", "-q", "-f", "-d"]);
    let _ = std::fs::remove_dir_all(world.at("new"));
    world.git(&["worktree", "prune"]);
}
