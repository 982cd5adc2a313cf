//! Snapshots that are taken again, after a kill or beside other people's work; and unstaging.

use cmw::adapters::git::rescue::snapshot::SnapshotLimits;

use crate::rescue::snapshot::states::CONFLICTS;
use crate::rescue::snapshot::{STAMP, message, open_with, snap, untouched, world_in};
use crate::support::{World, gits};

#[test]
fn the_same_work_is_the_same_snapshot_and_other_work_has_another_name() {
    for git in gits() {
        let world = world_in(&git, "echo x >>a; echo y >b; git add b");
        let repo = open_with(&world, "repo", &git);
        let first = snap(&repo).unwrap();
        assert_eq!(snap(&repo).unwrap(), first);
        world.write("repo/c", "z");
        let second = snap(&repo).unwrap();
        assert_eq!(second.ref_name, format!("{}-2", first.ref_name));
        assert_eq!(snap(&repo).unwrap(), second);
        world.git(&["reset", "-q"]);
        let third = snap(&repo).unwrap();
        assert_eq!(third.ref_name, format!("{}-3", first.ref_name), "only the index differs");
        let odd = repo.snapshot("Dev-A", "no time", "", SnapshotLimits::default());
        assert!(odd.is_err(), "it is no name of a ref");
        let odd = repo.snapshot("Dev-A", "t", "", SnapshotLimits::default()).unwrap().unwrap();
        assert_eq!(odd.ref_name, "refs/cmw/rescue/Dev-A/t");
        // A ref takes the place of the directory.
        world.git(&["update-ref", "refs/cmw/rescue/Dev-B", "HEAD"]);
        let beside = repo.snapshot("Dev-B", STAMP, &message(), SnapshotLimits::default()).unwrap().unwrap();
        assert_eq!(beside.ref_name, format!("refs/cmw/rescue/Dev-B-2/{STAMP}"));
    }
}

#[test]
fn killed_anywhere_it_blocks_nothing_and_the_next_try_succeeds() {
    for git in gits() {
        let script = "echo x >>a; echo y >b; echo z >z; git add b; git checkout -qb o; git commit -qm o b; \
                      git checkout -q main; echo m >b; git add b; git commit -qm m b; git merge -q o; echo s >s";
        let (mut killed, mut done) = (0, None);
        for at in 1.. {
            let world = world_in(&git, script);
            // The git of that number is killed when it has done its work, and with it the process that
            // waits for it; so are all that come after.
            world.write_program(
                "git",
                &format!(
                    "#!/bin/sh\nn=$(cat '{dir}/count' 2>/dev/null || echo 0); n=$((n+1)); echo $n >'{dir}/count'\n\
                     if [ $n -gt {at} ]; then kill -KILL $$; fi\n\
                     if [ $n -eq {at} ]; then case {at} in *[02468]) kill -KILL $$;; esac; '{git}' \"$@\"; kill -KILL $$; fi\n\
                     exec '{git}' \"$@\"\n",
                    dir = world.root().display(),
                    git = git.display()
                ),
            );
            let before = untouched(&world, "repo");
            let broken = open_with(&world, "repo", &world.at("git"));
            let first = broken.snapshot("Dev-A", STAMP, &message(), SnapshotLimits::default());
            assert_eq!(untouched(&world, "repo"), before);
            let refs = world.git(&["for-each-ref", "refs/cmw"]);
            // A process of ours that is killed leaves its directory; a new one does not mind.
            std::fs::create_dir_all(world.at("repo/.git/cmw/rescue-0123/x")).unwrap();
            let second = snap(&open_with(&world, "repo", &git)).unwrap();
            assert_eq!(untouched(&world, "repo"), before);
            assert_eq!(second.ref_name, format!("refs/cmw/rescue/Dev-A/{STAMP}"), "killed at {at}: {refs}");
            assert_eq!(world.git(&["for-each-ref", "refs/cmw"]).lines().count(), 1);
            assert!(world.at("repo/.git/cmw/rescue-0123").exists(), "it is not old");
            world.git(&["commit", "-qm", "next", "-a"]);
            match first {
                Err(_) => killed += 1,
                Ok(snapshot) => {
                    assert_eq!(snapshot.as_ref(), Some(&second));
                    done = snapshot;
                    break;
                }
            }
        }
        assert!(done.is_some() && killed >= 8, "{killed}");
    }
}

#[test]
fn old_leftovers_go() {
    let world = world_in(&gits()[0], "echo x >>a");
    for (name, age) in
        [("rescue-old", "2 hours ago"), ("rescue-new", "30 minutes ago"), ("state.json", "2 hours ago")]
    {
        std::fs::create_dir_all(world.at("repo/.git/cmw").join(name)).unwrap();
        world.unidentified().ok(&format!("touch .git/cmw/{name}/index; touch -d '{age}' .git/cmw/{name}"));
    }
    snap(&open_with(&world, "repo", &gits()[0])).unwrap();
    let left: Vec<String> = world.files("repo/.git/cmw").into_keys().collect();
    assert_eq!(left, ["rescue-new/index", "state.json/index"]);
}

#[test]
fn another_role_adds_and_commits_meanwhile() {
    for git in gits() {
        let world = world_in(&git, "git checkout -qb work");
        let others = world.unidentified().spawn(
            "n=0; while [ ! -e ../stop ]; do n=$((n+1)); echo $n >a; echo $n >f$((n%7)); git add a f$((n%7)); \
             echo more >>a; [ $((n%3)) -gt 0 ] || git commit -qm $n; rm -f f$(((n+3)%7)); done",
        );
        let repo = open_with(&world, "repo", &git);
        for n in 0..25 {
            let saved =
                repo.snapshot("Dev-A", &format!("{n}"), &message(), SnapshotLimits::default()).unwrap();
            let Some(saved) = saved else { continue };
            // Nothing but files that came and went can be missing, and the index is of one moment.
            let of_index = format!("{}^2", saved.commit);
            let numbers = |path: &str| {
                let text = world.git(&["show", &format!("{of_index}:{path}")]);
                text.lines().next().unwrap().parse::<u32>().unwrap_or(0)
            };
            let base: u32 =
                world.git(&["log", "-1", "--format=%s", &format!("{}^", saved.commit)]).parse().unwrap_or(0);
            assert!(numbers("a") >= base, "the index is older than its commit");
        }
        world.write("stop", "");
        others.wait().ignored();
        world.git(&["fsck", "--strict", "--no-dangling"]);
    }
}

#[test]
fn unstaged_is_as_head_and_files_stay() {
    for git in gits() {
        let world = world_in(
            &git,
            "export GIT_LITERAL_PATHSPECS=1; for f in b c '*' n; do echo 1 >\"$f\"; done; git add b c '*'; git commit -qm b; git rm -q --cached c
             echo 2 >>a; echo 2 >>b; echo 2 >>'*'; git add a b '*'; git add -N n; echo 3 >>b; mkdir d; echo x >d/f; git add d",
        );
        let repo = open_with(&world, "repo", &git);
        let files = untouched(&world, "repo").1;
        let staged = || world.git(&["diff", "--cached", "--name-status", "--no-renames"]);
        repo.unstage(&[]).unwrap();
        repo.unstage(&[b"".to_vec(), b".".to_vec(), b"./".to_vec(), b"..".to_vec()]).unwrap();
        assert_eq!(staged(), "M\t*\nM\ta\nM\tb\nD\tc\nA\td/f");
        let all = |names: &[&str]| names.iter().map(|n| n.as_bytes().to_vec()).collect::<Vec<_>>();
        repo.unstage(&all(&["*", "not there", "d/f", ":!a"])).unwrap();
        assert_eq!(staged(), "M\ta\nM\tb\nD\tc");
        repo.unstage(&all(&["b", "c", "n"])).unwrap();
        assert_eq!(staged(), "M\ta");
        assert!(!world.git(&["ls-files"]).lines().any(|line| line == "n"), "intended to be added");
        assert_eq!(untouched(&world, "repo").1, files);
        world.write("repo/.git/index.lock", "");
        assert!(repo.unstage(&all(&["a"])).unwrap_err().to_string().contains("index.lock"));
        // On a branch without a commit, and in the middle of a merge.
        let world = world_in(&git, "git checkout -q --orphan new; echo x >b; git add b");
        open_with(&world, "repo", &git).unstage(&all(&["b"])).unwrap();
        assert_eq!(world.git(&["ls-files"]), "a");
        let world = world_in(&git, CONFLICTS[0].1);
        open_with(&world, "repo", &git).unstage(&all(&["a", "b"])).unwrap();
        assert_eq!(world.git(&["ls-files", "--stage"]).lines().count(), 1);
    }
}

#[test]
fn our_own_hooks_allow_it_for_every_holder() {
    for git in gits() {
        let world = World::ready_with(&git, "");
        world.agent("Dev-B").ok("cmw-lock acquire; echo 2 >>a");
        // Only programs of ours move refs of ours, and they are known by their names.
        let shell = world.at("cmw-shell");
        std::fs::copy("/bin/sh", &shell).unwrap();
        world.write_program("git", &format!("#!{}\n{} \"$@\"\n", shell.display(), git.display()));
        let repo = open_with(&world, "repo", &world.at("git"));
        let saved = snap(&repo).unwrap();
        world.person().ok("cmw-freeze now --reason 'wait'; echo 3 >>a");
        assert_eq!(snap(&repo).unwrap().ref_name, format!("{}-2", saved.ref_name));
        assert_eq!(world.unidentified().run("cmw-doctor").stdout.matches("rescue").count(), 0);
    }
}
