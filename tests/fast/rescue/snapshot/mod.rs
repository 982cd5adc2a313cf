//! The rescue snapshot with real gits: in every state of a repository nothing is lost, nothing is
//! touched, and what was not saved is named.

#![expect(clippy::unwrap_used, reason = "what a test cannot do ends it")]

mod again;
mod states;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{World, gits};
use cmw::adapters::git::rescue::snapshot::{Snapshot, SnapshotLimits};
use cmw::adapters::git::{GitEnv, Repo, discover};
use cmw::domain::rescue::note::{RescueNote, SkippedPath};
use states::{CONFLICTS, STATES};

const STAMP: &str = "20261124T161500Z";

fn open_with(world: &World, dir: &str, program: &Path) -> Repo {
    let pairs = [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("HOME", "/nonexistent"),
        // No author and no committer is configured.
        ("GIT_AUTHOR_NAME", ""),
        ("GIT_COMMITTER_NAME", ""),
    ];
    let variables = pairs.map(|(name, value)| (OsString::from(name), OsString::from(value))).to_vec();
    let env = GitEnv { program: Some(program.to_owned()), variables, ..GitEnv::default() };
    discover(&world.at(dir), &env).unwrap()
}

fn message() -> String {
    let text = |text: &str| text.to_owned();
    RescueNote {
        role: text("Dev-A"),
        reason: text("lease expired"),
        lock: Some(text("WL-0007")),
        ..RescueNote::default()
    }
    .message()
}

fn snap(repo: &Repo) -> Option<Snapshot> {
    repo.snapshot("Dev-A", STAMP, &message(), SnapshotLimits::default()).unwrap()
}

/// What must not change: the very bytes of the index, all files, all refs but ours.
fn untouched(world: &World, dir: &str) -> (Option<Vec<u8>>, BTreeMap<String, Vec<u8>>, String) {
    let git_dir = world.git_in(dir, &["rev-parse", "--absolute-git-dir"]);
    let mut files = world.files(dir);
    files.retain(|name, _| !name.starts_with(".git/"));
    let refs = world.git_in(dir, &["for-each-ref", "--format=%(refname) %(objectname)"]);
    let refs = refs.lines().filter(|line| !line.starts_with("refs/cmw/")).collect::<Vec<_>>().join("\n");
    (std::fs::read(Path::new(&git_dir).join("index")).ok(), files, refs)
}

/// The bytes of each path in a tree, without any filter.
fn tree(world: &World, dir: &str, tree: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(world.at(dir)).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output.stdout
    };
    let listed = git(&["ls-tree", "-r", "-z", "--full-tree", tree]);
    let records = listed.split(|b| *b == 0).filter(|record| !record.is_empty());
    records
        .map(|record| {
            let tab = record.iter().position(|b| *b == b'\t').unwrap();
            let head = String::from_utf8_lossy(&record[..tab]).into_owned();
            let fields: Vec<&str> = head.split(' ').collect();
            let bytes = match fields[1] {
                "blob" => git(&["cat-file", "blob", fields[2]]),
                _ => fields[2].as_bytes().to_vec(),
            };
            (record[tab + 1..].to_vec(), [fields[0].as_bytes(), b" ", &bytes].concat())
        })
        .collect()
}

/// What lies in a work tree, as a tree would have it; without what is ignored.
fn on_disk(world: &World, dir: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let root = world.at(dir);
    let entries = walkdir::WalkDir::new(&root).into_iter().filter_entry(|e| e.file_name() != ".git");
    for entry in entries.map(Result::unwrap) {
        let path = entry.path().strip_prefix(&root).unwrap().as_os_str().as_bytes().to_vec();
        let kind = entry.file_type();
        if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            found.insert(path, [b"120000 ", target.as_os_str().as_bytes()].concat());
        } else if kind.is_file() && !path.ends_with(b".ignored") {
            let runs = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
            let mode: &[u8] = if runs { b"100755 " } else { b"100644 " };
            found.insert(path, [mode, &std::fs::read(entry.path()).unwrap()].concat());
        }
    }
    found
}

/// A world in a state: git may fail there, as a merge with conflicts does.
fn world_in(git: &Path, script: &str) -> World {
    let world = World::with(git);
    world.unidentified().run(script).ignored();
    world
}

#[test]
fn nothing_is_lost_and_nothing_is_touched() {
    for git in gits() {
        for (name, script) in STATES.iter().chain(CONFLICTS) {
            let world = world_in(&git, script);
            let (before, there) = (untouched(&world, "repo"), on_disk(&world, "repo"));
            let snapshot = snap(&open_with(&world, "repo", &git));
            let snapshot = snapshot.unwrap_or_else(|| panic!("{name}: nothing was saved"));
            assert_eq!(snapshot.ref_name, format!("refs/cmw/rescue/Dev-A/{STAMP}"));
            assert_eq!(untouched(&world, "repo"), before, "{name}: something was touched");
            let is_tolerated = |s: &SkippedPath| s.path == b".git/index" && name.contains("broken");
            assert!(snapshot.skipped.iter().all(is_tolerated), "{name}: {:?}", snapshot.skipped);
            let saved = tree(&world, "repo", snapshot.commit.as_str());
            let mut expected = there;
            if name.contains("line ends") {
                expected.insert(b"b".to_vec(), b"100644 a\nb\n".to_vec());
            }
            assert_eq!(saved, expected, "{name} with {}", git.display());
            let log = world.git(&["log", "-1", "--format=%an <%ae> %cn%n%B", &snapshot.ref_name]);
            assert!(log.starts_with("cmw rescue <cmw@localhost.invalid> cmw rescue\n"), "{log}");
            assert!(log.contains(&format!("Cmw-Files: {}", snapshot.changed)), "{log}");
            assert_eq!(world.files("repo/.git/cmw"), BTreeMap::new(), "{name}: left over");
            if name.contains("broken") {
                // Fsck and everything else would stumble over it.
                std::fs::remove_file(world.at("repo/.git/index")).unwrap();
            }
            world.git(&["fsck", "--strict", "--no-dangling"]);
        }
    }
}

#[test]
fn the_index_and_every_stage_of_it_are_saved() {
    for git in gits() {
        for (name, script) in STATES.iter().chain(CONFLICTS) {
            let world = world_in(&git, script);
            if name.contains("broken") {
                continue;
            }
            let snapshot = snap(&open_with(&world, "repo", &git)).unwrap();
            let at = |suffix: &str| format!("{}{suffix}", snapshot.commit);
            let unborn = name.contains("unborn");
            let of_index = tree(&world, "repo", &at(if unborn { "^1" } else { "^2" }));
            let mut stages = BTreeMap::new();
            for record in world.git(&["ls-files", "--stage", "-z"]).split('\0').filter(|r| !r.is_empty()) {
                let (head, path) = record.split_once('\t').unwrap();
                let fields: Vec<&str> = head.split(' ').collect();
                // What is only intended to be added has no content.
                let is_intended = fields[1].starts_with("e69de29") && *name == "intent to add";
                if fields[2] != "0" {
                    stages.insert(format!("{}/{path}", fields[2]), fields[1].to_owned());
                } else if !is_intended {
                    let path = path.as_bytes().to_vec();
                    let odd = String::from_utf8_lossy(&path).contains('\u{fffd}');
                    assert!(odd || of_index.contains_key(&path), "{name}: {record}");
                }
            }
            let parents = world.git(&["log", "-1", "--format=%P", &snapshot.ref_name]);
            let expected = if unborn { 1 } else { 2 } + usize::from(!stages.is_empty());
            assert_eq!(parents.split(' ').count(), expected, "{name}");
            if !unborn {
                assert_eq!(parents.split(' ').next().unwrap(), world.git(&["rev-parse", "HEAD"]));
            }
            if *name == "merge" {
                assert_eq!(of_index[&b"a".to_vec()], b"100644 m\n", "ours");
            }
            for (path, oid) in stages {
                assert_eq!(world.git(&["rev-parse", &at(&format!("^3:{path}"))]), oid, "{name}: {path}");
            }
        }
    }
}

#[test]
fn staged_content_that_the_work_tree_has_no_more_is_in_the_second_parent() {
    for git in gits() {
        let world = world_in(&git, "echo staged >>a; echo new >n; git add a n; echo other >a; rm n");
        let commit = snap(&open_with(&world, "repo", &git)).unwrap().commit;
        assert_eq!(world.git(&["show", &format!("{commit}^2:a")]), "first\nstaged");
        assert_eq!(world.git(&["show", &format!("{commit}^2:n")]), "new");
        assert_eq!(world.git(&["show", &format!("{commit}:a")]), "other");
        assert_eq!(world.git(&["ls-tree", "--name-only", commit.as_str()]), "a");
    }
}

#[test]
fn nothing_uncommitted_is_nothing_to_save() {
    for git in gits() {
        for script in [
            "true",
            "echo x >x.ignored; echo '*.ignored' >.git/info/exclude",
            "touch -d 2020-01-01 a",
            "git worktree add -q wt; git worktree add -q d/wt; echo x >>wt/a",
            "git init -q nested; echo x >nested/x",
        ] {
            let world = world_in(&git, script);
            assert_eq!(snap(&open_with(&world, "repo", &git)), None, "{script}");
            assert_eq!(world.git(&["for-each-ref", "refs/cmw"]), "");
        }
        let world = World::with(&git);
        world.git(&["clone", "-q", "--bare", ".", "../bare"]);
        assert_eq!(snap(&open_with(&world, "bare", &git)), None);
    }
}

#[test]
fn other_kinds_of_repositories() {
    for git in gits() {
        for (init, script) in [
            ("git init -q --object-format=sha256", ""),
            ("git init -q --ref-format=reftable", ""),
            ("git init -q", "git sparse-checkout set --no-cone d"),
            ("git init -q", "git sparse-checkout set --cone --sparse-index d"),
            ("git init -q", "git worktree add -q -b w ../linked; cd ../linked"),
            ("git init -q --separate-git-dir=../elsewhere.git", ""),
        ] {
            let world = World::with(&git);
            let made = world.unidentified().run(&format!(
                "rm -rf r; {init} r && cd r && mkdir d e && echo 1 >d/x && echo 2 >e/y && git add . && \
                 git commit -qm one && {{ {script}\ntrue; }} && echo more >>d/x && echo 3 >d/n && \
                 echo 4 >d/s && git add d/s && pwd >../../where"
            ));
            if made.code != 0 && made.stderr.contains("ref-format") {
                continue;
            }
            assert_eq!(made.code, 0, "{made}");
            let dir =
                world.read("where").trim().trim_start_matches(world.root().to_str().unwrap()).to_owned();
            let dir = dir.trim_start_matches('/');
            let before = untouched(&world, dir);
            let snapshot = snap(&open_with(&world, dir, &git)).unwrap();
            assert_eq!((untouched(&world, dir), snapshot.skipped), (before, vec![]), "{init} {script}");
            assert_eq!(snapshot.changed, 3);
            let commit = snapshot.commit.as_str();
            let shown = world.git_in(dir, &["diff", "--name-status", &format!("{commit}^"), commit]);
            assert_eq!(shown, "A\td/n\nA\td/s\nM\td/x", "{init} {script}");
            let named = world.git_in(dir, &["for-each-ref", "--format=%(objectname)", "refs/cmw/rescue/"]);
            assert_eq!(named, commit);
        }
    }
}

fn whys(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let text = |s: &SkippedPath| (String::from_utf8_lossy(&s.path).into_owned(), s.why.clone());
    snapshot.skipped.iter().map(text).collect()
}

#[test]
fn what_is_not_saved_is_named() {
    for git in gits() {
        let world = world_in(
            &git,
            "echo x >t; echo y >fifo; echo z >'git~1'; git add t fifo; git commit -qm t
             truncate -s 3M big; truncate -s 2M a; rm fifo; mkfifo fifo; mkfifo untracked
             git init -q nested; git -C nested commit -q --allow-empty -m n; echo 1 >nested/x
             git init -q empty; echo 1 >empty/x
             git init -q ../sub; git -C ../sub commit -q --allow-empty -m s
             git -c protocol.file.allow=always submodule --quiet add \"$PWD/../sub\" sub; git commit -qm sub
             echo 1 >sub/x; echo small >small",
        );
        let (before, limits) = (
            untouched(&world, "repo"),
            SnapshotLimits { file_bytes_max: 1 << 20, total_bytes_max: 10 << 20 },
        );
        let repo = open_with(&world, "repo", &git);
        let snapshot = repo.snapshot("Dev-A", STAMP, &message(), limits).unwrap().unwrap();
        assert_eq!(untouched(&world, "repo"), before);
        let whys = whys(&snapshot);
        let why = |path: &str| whys.get(path).unwrap_or_else(|| panic!("{path} is not in {whys:?}")).as_str();
        assert_eq!(why("big"), "3 MiB, larger than 1 MiB");
        assert_eq!(why("a"), "2 MiB, larger than 1 MiB");
        assert_eq!(why("fifo"), "it is a FIFO");
        assert!(why("nested").contains("a nested repository"));
        assert!(why("empty").contains("a nested repository"));
        assert!(why("sub").contains("a submodule with uncommitted changes"));
        assert!(why("git~1").contains("git~1"), "{whys:?}");
        assert_eq!(whys.len(), 7, "{whys:?}");
        let saved = tree(&world, "repo", snapshot.commit.as_str());
        let names: Vec<String> = saved.keys().map(|p| String::from_utf8_lossy(p).into_owned()).collect();
        assert_eq!(names, [".gitmodules", "a", "nested", "small", "sub", "t"]);
        assert_eq!(saved[&b"a".to_vec()], b"100644 first\n", "what is too large keeps what was there");
        let text = world.git(&["log", "-1", "--format=%B", &snapshot.ref_name]);
        assert_eq!(RescueNote::parse(&text).unwrap().skipped, snapshot.skipped);
    }
}

#[test]
fn when_not_everything_fits_most_is_saved() {
    let git = &gits()[0];
    let world = world_in(
        git,
        "head -c 600 /dev/zero >a; for n in 1 2 3; do head -c 300 /dev/zero >b$n; done; echo x >z",
    );
    let limits = SnapshotLimits { file_bytes_max: 1 << 20, total_bytes_max: 1_000 };
    let snapshot =
        open_with(&world, "repo", git).snapshot("Dev-A", STAMP, &message(), limits).unwrap().unwrap();
    assert_eq!(world.git(&["ls-tree", "--name-only", snapshot.commit.as_str()]), "a\nb1\nz");
    let whys = whys(&snapshot);
    assert_eq!(whys.len(), 2);
    assert!(whys["b2"].contains("all files together would be more than 1000 bytes"), "{whys:?}");
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_saved() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything.
        return;
    }
    for git in gits() {
        let world = world_in(
            &git,
            "echo x >u; chmod 0 u; mkdir -p d/e; echo y >d/e/f; chmod 0 d/e; echo 2 >>a; chmod 0 a; echo z >z",
        );
        let snapshot = snap(&open_with(&world, "repo", &git)).unwrap();
        let whys = whys(&snapshot);
        assert_eq!(whys.keys().collect::<Vec<_>>(), ["a", "d/e/", "u"], "{whys:?}");
        assert!(whys.values().all(|why| why.contains("ermission denied")), "{whys:?}");
        let saved = tree(&world, "repo", snapshot.commit.as_str());
        assert_eq!(saved.keys().map(Vec::as_slice).collect::<Vec<_>>(), [b"a", b"z"]);
        assert_eq!(saved[&b"a".to_vec()], b"100644 first\n");
        world.unidentified().ok("chmod 755 d/e");
    }
}
