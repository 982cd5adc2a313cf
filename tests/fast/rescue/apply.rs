//! Applying a rescue: what may be written, what is a conflict, and what is never touched.

use std::collections::BTreeMap;

use crate::rescue::{STAMP, open, rescue};
use crate::support::{World, gits};

/// Before, what the holder did, what was done since, and what a conflict is named for: none.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    ("", "echo 2 >>a", "", &[]),
    ("", "echo 2 >>a", "echo 2 >>a", &[]),
    ("", "echo 2 >>a", "echo 3 >>a", &["a: it was changed since"]),
    ("", "echo 2 >>a", "rm a", &["a: it was removed since"]),
    ("", "echo 2 >>a", "rm a; mkdir a; echo x >a/b", &["a: a directory is there"]),
    ("", "echo 2 >>a", "rm a; mkfifo a", &["a: something that is not a file is there"]),
    ("", "echo 2 >>a", "rm a; ln -s ../outside a", &["a: it was changed since"]),
    (
        "",
        "echo 2 >>a",
        "git commit -qm other --allow-empty; git mv a b; git commit -qm moved",
        &["a: it was removed since"],
    ),
    ("", "echo n >n", "", &[]),
    ("", "echo n >n", "echo n >n", &[]),
    ("", "echo n >n", "echo other >n", &["n: another file of that name is there"]),
    ("", "mkdir d; echo n >d/n", "mkdir d; echo x >d/x", &[]),
    ("", "mkdir d; echo n >d/n", "echo x >d", &["d/n: d is in the way"]),
    ("", "mkdir -p d/e; echo n >d/e/n", "ln -s ../outside d", &["d/e/n: d is in the way"]),
    ("", "rm a", "", &[]),
    ("", "rm a", "rm a", &[]),
    ("", "rm a", "echo 3 >>a", &["a: it was changed since"]),
    ("", "chmod +x a", "", &[]),
    ("", "chmod +x a", "chmod +x a", &[]),
    ("", "chmod +x a", "echo 3 >>a", &["a: it was changed since"]),
    ("", "chmod +x a; echo 2 >>a", "chmod +x a", &[]),
    ("ln -s x l", "ln -sf y l", "", &[]),
    ("ln -s x l", "ln -sf y l", "ln -sf z l", &["l: it was changed since"]),
    ("ln -s x l", "rm l; echo f >l", "", &[]),
    ("", "rm a; ln -s x a", "", &[]),
    ("mkdir d; echo f >d/f", "rm -r d; echo d >d", "", &[]),
    (
        "mkdir d; echo f >d/f",
        "rm -r d; echo d >d",
        "echo more >d/f",
        &["d: a directory is there", "d/f: it was changed since"],
    ),
    ("mkdir d; echo f >d/f", "rm -r d; echo d >d", "echo g >d/g", &["d: a directory is there"]),
    ("mkdir d; echo f >d/f", "rm -r d; echo d >d", "rm d/f; mkdir -p d/e/g", &[]),
    ("echo d >d", "rm d; mkdir -p d/e; echo f >d/e/f", "", &[]),
    (
        "echo d >d",
        "rm d; mkdir -p d/e; echo f >d/e/f",
        "echo x >>d",
        &["d: it was changed since", "d/e/f: d is in the way"],
    ),
    ("", "printf x >\"$(printf 'n\\nl\\351')\"; echo q >'\"q\"'", "", &[]),
    (
        "git config core.autocrlf true; printf 'a\\r\\n' >c; git add c",
        "printf 'b\\r\\n' >>c; printf 'n\\r\\n' >n",
        "",
        &[],
    ),
    (
        "git config core.autocrlf true; printf 'a\\r\\n' >c; git add c",
        "printf 'b\\r\\n' >>c",
        "printf 'c\\r\\n' >>c",
        &["c: it was changed since"],
    ),
    (
        "echo '*.f filter=f' >.gitattributes; git config filter.f.clean 'tr a-z A-Z'; git config filter.f.smudge 'tr A-Z a-z'; echo one >1.f; git add .",
        "echo two >1.f; echo new >2.f",
        "",
        &[],
    ),
    (
        "echo '*.f filter=f' >.gitattributes; echo one >1.f",
        "git config filter.f.clean false; git config filter.f.smudge false; git config filter.f.required true; echo two >1.f; echo new >2.f",
        "",
        &[],
    ),
];

/// All but git's own files, by their bytes and whether they may be run.
fn picture(world: &World) -> BTreeMap<String, (Vec<u8>, bool)> {
    use std::os::unix::fs::PermissionsExt;
    let mut files = world.files("repo");
    files.retain(|name, _| !name.starts_with(".git/"));
    let runs = |name: &str| {
        let meta = world.at("repo").join(name).symlink_metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o100 != 0)
    };
    files.into_iter().map(|(name, bytes)| (name.clone(), (bytes, runs(&name)))).collect()
}

fn index(world: &World) -> Vec<u8> {
    std::fs::read(world.at("repo/.git/index")).unwrap()
}

/// A world in which the holder's work was saved, and then was away; gives how it looked.
fn away(world: &World, git: &std::path::Path, before: &str, work: &str) -> BTreeMap<String, (Vec<u8>, bool)> {
    let stranger = world.unidentified();
    stranger.ok(&format!("{before}\ngit add -A; git commit -q --allow-empty -m before"));
    stranger.ok(work);
    rescue(world, git, "Dev-A", STAMP);
    let saved = picture(world);
    stranger.ok("git -c filter.f.smudge=cat -c filter.f.clean=cat -c filter.f.required=false reset -q --hard; git clean -qffd");
    std::fs::create_dir_all(world.at("outside")).unwrap();
    saved
}

#[test]
fn a_conflict_writes_nothing() {
    for git in gits() {
        for (before, work, since, conflicts) in CASES {
            let world = World::with(&git);
            let name = format!("{before} | {work} | {since}");
            let saved = away(&world, &git, before, work);
            world.unidentified().ok(since);
            let (there, staged) = (picture(&world), index(&world));
            let output = world.agent("Dev-B").run("cmw-rescue apply Dev-A");
            assert_eq!(index(&world), staged, "{name}: the index was touched");
            if conflicts.is_empty() {
                assert_eq!(output.code, 0, "{name}\n{output}");
                let expected: Vec<_> = saved.iter().collect();
                let now = picture(&world);
                let all = now.iter().filter(|(name, _)| saved.contains_key(*name)).collect::<Vec<_>>();
                assert_eq!(all, expected, "{name}\n{output}");
                // Applied, it is there already.
                let again = world.agent("Dev-B").run("cmw-rescue apply Dev-A");
                assert!(again.code == 0 && again.stdout.contains("nothing was written"), "{name}\n{again}");
                assert_eq!(picture(&world), now, "{name}");
                continue;
            }
            assert_eq!(output.code, 1, "{name}\n{output}");
            assert_eq!(picture(&world), there, "{name}: something was written");
            for conflict in *conflicts {
                assert!(output.stdout.lines().any(|l| l.trim() == *conflict), "{name}\n{output}");
            }
            assert_eq!(output.stdout.lines().count(), conflicts.len() + 1, "{output}");
            let next = output.stderr.lines().last().unwrap().trim_start_matches("next: ").to_owned();
            world.agent("Dev-B").ok(&next);
            // Whatever was there is there, and whatever was saved is somewhere.
            let now = picture(&world);
            for (path, what) in &there {
                let kept = now.get(path) == Some(what) || saved.get(path) == now.get(path);
                assert!(kept, "{name}: {path}");
            }
            for (path, (bytes, _)) in &saved {
                let flat = path.replace('/', "-");
                let copies = [path, &flat].map(|p| format!("{p}.rescued"));
                let at = copies.iter().chain([path]).filter_map(|path| now.get(path));
                assert!(at.into_iter().any(|(there, _)| there == bytes), "{name}: {path} in {now:?}");
            }
            world.agent("Dev-B").ok(&next);
            assert_eq!(picture(&world), now, "{name}: a second time makes no second copies");
            assert_eq!(std::fs::read_dir(world.at("outside")).unwrap().count(), 0, "{name}");
        }
    }
}

#[test]
fn some_paths_are_applied_from_where_one_stands() {
    let (world, git) = (World::new(), gits().remove(0));
    away(&world, &git, "mkdir d; echo 1 >d/x", "echo 2 >>d/x; echo 2 >d/y; echo 2 >>a; echo n >dx");
    world.unidentified().ok("cd d; cmw-rescue apply Dev-A .");
    assert_eq!(world.git(&["status", "--porcelain"]), " M d/x\n?? d/y");
    world.unidentified().ok("cd d; cmw-rescue apply Dev-A ../a ./../d/../dx");
    assert_eq!(world.git(&["status", "--porcelain"]), " M a\n M d/x\n?? d/y\n?? dx");
    let elsewhere = world.unidentified().run("cd ../home; cmw-rescue apply Dev-A --repo ../repo d");
    assert!(elsewhere.code == 0 && elsewhere.stdout.contains("2 files already as in"), "{elsewhere}");
    world.unidentified().fails(2, "cmw-rescue apply Dev-A ../home").ignored();
    let bare =
        world.unidentified().run("git clone -q --mirror . ../bare && cd ../bare && cmw-rescue apply Dev-A");
    assert_eq!(bare.code, 78, "{bare}");
}

#[test]
fn another_work_tree_takes_it_too() {
    for git in gits() {
        let world = World::with(&git);
        away(&world, &git, "git worktree add -q -b w ../linked", "echo 2 >>a; echo n >n");
        world.unidentified().ok("cd ../linked && cmw-rescue apply Dev-A");
        assert_eq!(world.read("linked/a"), "first\n2\n");
        assert_eq!(world.read("linked/n"), "n\n");
        assert_eq!(world.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn applying_again_finishes() {
    let (world, git) = (World::new(), gits().remove(0));
    let work = "for n in $(seq 1 400); do echo $n >f$n; done; rm a; echo 2 >>b; echo x >z";
    let saved = away(&world, &git, "echo 1 >b", work);
    for n in 0..12 {
        let apply = world.agent("Dev-B").spawn("cmw-rescue apply Dev-A");
        crate::support::agent::wait_until("some of it", || {
            apply.is_over() || world.at(&format!("repo/f{}", 10 + n * 20)).exists()
        });
        apply.kill().ignored();
        // No file is there in part.
        for (name, (bytes, _)) in picture(&world) {
            let is_whole = saved.get(&name).is_some_and(|saved| saved.0 == bytes);
            assert!(
                is_whole || ["a", "b"].contains(&name.as_str()) || name.starts_with(".cmw-rescue-"),
                "{name}"
            );
        }
        if n < 6 {
            world.unidentified().ok("rm -f f* .cmw-rescue-*; git checkout -q .");
        }
    }
    world.agent("Dev-B").ok("cmw-rescue apply Dev-A; rm -f .cmw-rescue-*");
    assert_eq!(picture(&world), saved);
}

#[test]
fn a_path_that_leads_elsewhere_is_refused() {
    let (world, git) = (World::new(), gits().remove(0));
    world.unidentified().ok("echo 2 >>a");
    let good = rescue(&world, &git, "Dev-A", STAMP);
    // Git's own commands make no such tree, so it is written by hand.
    let message = world.git(&["log", "-1", "--format=%B", good.commit.as_str()]);
    world.write("message", message);
    for name in [".git", "..", ".GIT"] {
        world.unidentified().ok(&format!(
            "blob=$(echo evil | git hash-object -w --stdin)
             raw() {{ printf '%s' \"$1\" | sed 's/../\\\\x&/g' | xargs -0 printf '%b'; }}
             inner=$({{ printf '100644 config\\0'; raw $blob; }} | git hash-object -t tree -w --literally --stdin)
             outer=$({{ printf '40000 {name}\\0'; raw $inner; }} | git hash-object -t tree -w --literally --stdin)
             bad=$(git commit-tree $outer -p HEAD -p {good}^2 -F ../message)
             git update-ref refs/cmw/rescue/Evil/1 $bad",
            good = good.commit
        ));
        let config = world.read("repo/.git/config");
        for more in ["", " --copies"] {
            let output = world.unidentified().run(&format!("cmw-rescue apply Evil/1{more}"));
            assert_eq!(output.code, 65, "{output}");
            assert!(output.stderr.contains("which no work tree may have"), "{output}");
        }
        assert_eq!(world.read("repo/.git/config"), config);
    }
    assert!(open(&world, "repo", &git).rescues().unwrap().len() == 2);
}
