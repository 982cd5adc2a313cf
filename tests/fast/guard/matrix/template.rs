//! The repository in which every row begins, and copies of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::World;

/// Everything that rows need. In `repo/`: `main` (one, two, three, four), `ahead` of it, branches that
/// went their own way, tags, a submodule; in `side/`: the remote, a linked work tree.
const SCRIPT: &str = r#"
set -e
find . -mindepth 1 -delete
git init -q -b main --template= $FORMAT .
g() { git config "$1" "$2"; }
# Copies have other inodes, and the times of the originals.
g core.checkStat minimal; g core.trustctime false
g gc.auto 0; g maintenance.auto false; g advice.detachedHead false; g cmw.lock.auto false
g cmw.lock.lease 12h; g cmw.lock.leaseMax 12h; g receive.denyCurrentBranch ignore
c() { git add -A; git commit -q -m "$1"; }
mkdir sub ../side
printf '1\n2\n3\n4\n5\n' >a; echo s >sub/s; c one
git branch old; git tag v0; git branch gone
echo 2 >f2; c two; git tag two
git branch ffb
git switch -q -c feature; echo 1 >feat; c feat; echo 2 >feat2; c feat2
git switch -q -c conflict two; echo other >a; c other; echo c >c2; c c2
git switch -q main; echo 3 >f3; c three; git tag -a -m three v1; git tag three
git switch -q -c pick; echo 1 >p; c p; git branch mid; echo 2 >p2; c p2
git switch -q main
git clone -q --bare --template= . ../side/origin.git
for b in $(git -C ../side/origin.git for-each-ref --format='%(refname)' refs/heads); do
    case $b in */main|*/feature|*/gone) ;; *) git -C ../side/origin.git update-ref -d "$b";; esac
done
git branch -q -D gone
git remote add origin "$(cd ../side/origin.git && pwd)"
git fetch -q origin
git branch -q -u origin/main
sed -i 1s/1/one/ a; echo 4 >f4; c four
git switch -q -c ahead; echo 5 >ff; c ahead
git init -q -b main --template= ../side/sub.git
(cd ../side/sub.git; echo s >s; c sub)
git switch -q -c withsm main
git -c protocol.file.allow=always submodule --quiet add "$(cd ../side/sub.git && pwd)" sm
c submodule
git switch -q main
rm -rf sm
git config submodule.sm.ignore all
git worktree add -q -b wtb ../side/linked
cd ../side/origin.git
GIT_INDEX_FILE=$PWD/tmp; export GIT_INDEX_FILE
git read-tree main
git update-index --add --cacheinfo 100644,$(echo r | git hash-object -w --stdin),r
r=$(git commit-tree $(git write-tree) -p main -m remote)
for ref in heads/main heads/newremote tags/rt; do git update-ref refs/$ref $r; done
git update-ref -d refs/heads/gone
rm tmp
unset GIT_INDEX_FILE
cd ../../repo
git repack -q -a -d
git status --short
"#;

/// Makes `repo/` and `side/`.
pub(crate) fn make(world: &World, reftable: bool) {
    let format = if reftable { "--ref-format=reftable" } else { "" };
    let said = world.unidentified().ok(&format!("FORMAT={format}\n{SCRIPT}"));
    assert_eq!(said, "", "nothing is changed");
}

/// Makes `repo/` and `side/` of one place like those of another.
/// What is called like one of `keep` may stay.
pub(crate) fn copy(from: &Path, to: &Path, keep: &[String]) {
    for dir in ["repo", "side"] {
        copy_dir(&from.join(dir), &to.join(dir), keep);
    }
}

/// Makes a tree, or a file, like another.
pub(crate) fn copy_any(from: &Path, to: &Path) {
    if from.is_dir() { copy_dir(from, to, &[]) } else { copy_file(from, to, false) }
}

/// Makes a tree like another, with its times; what is like it already stays. Objects and programs,
/// which are never written to, are linked.
fn copy_dir(from: &Path, to: &Path, keep: &[String]) {
    if fs::symlink_metadata(to).is_ok_and(|meta| !meta.is_dir()) {
        fs::remove_file(to).unwrap();
    }
    fs::create_dir_all(to).unwrap();
    let is_fixed = ["objects", "hooks"].iter().any(|name| from.components().any(|c| c.as_os_str() == *name));
    let mut wanted = BTreeSet::new();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&source, &target, keep);
        } else {
            copy_file(&source, &target, is_fixed);
        }
        wanted.insert(entry.file_name());
    }
    for entry in fs::read_dir(to).unwrap().map(Result::unwrap) {
        let stays =
            wanted.contains(&entry.file_name()) || keep.iter().any(|name| *entry.file_name() == **name);
        if !stays {
            remove(&entry.path());
        }
    }
}

fn copy_file(from: &Path, to: &Path, link: bool) {
    let meta = fs::symlink_metadata(from).unwrap();
    if let Ok(there) = fs::symlink_metadata(to) {
        let is_it = if link {
            (meta.dev(), meta.ino()) == (there.dev(), there.ino())
        } else {
            let what = |meta: &fs::Metadata| (meta.mode(), meta.len(), meta.mtime(), meta.mtime_nsec());
            meta.is_file() && what(&meta) == what(&there)
        };
        if is_it {
            return;
        }
        remove(to);
    }
    if meta.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from).unwrap(), to).unwrap();
    } else if link {
        fs::hard_link(from, to).unwrap();
    } else if meta.is_file() {
        fs::copy(from, to).unwrap();
        let modified = meta.modified().unwrap();
        fs::File::open(to).and_then(|file| file.set_modified(modified)).unwrap();
    }
}

/// Removes a file or a tree; whether it is there is not asked.
pub(crate) fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        let _ = fs::remove_file(path);
    }
}
