//! Lock files that a killed git leaves behind: which ones are found, and that no living git is robbed.

#![expect(clippy::unwrap_used, reason = "what a test cannot do ends it")]

use std::path::Path;

use crate::support::{World, gits};
use cmw::adapters::git::stale_locks::StaleLock;
use cmw::adapters::git::{GitEnv, Repo, discover};

fn open(world: &World, dir: &str, git: &Path) -> Repo {
    let env = GitEnv { program: Some(git.to_owned()), ..GitEnv::default() };
    discover(&world.at(dir), &env).unwrap()
}

fn names(world: &World, locks: &[StaleLock]) -> Vec<String> {
    let name = |lock: &StaleLock| lock.path.strip_prefix(world.root()).unwrap().display().to_string();
    locks.iter().map(name).collect()
}

#[test]
fn what_is_left_over_is_found_and_what_else_lies_there_is_not() {
    for git in gits() {
        let world = World::with(&git);
        let stranger = world.unidentified();
        stranger.ok("git worktree add -q ../linked && git tag t && git pack-refs --all");
        let stale = [
            ".git/HEAD.lock",
            ".git/MERGE_HEAD.lock",
            ".git/index.lock",
            ".git/next-index-12.lock",
            ".git/packed-refs.lock",
            ".git/refs/cmw/rescue/Dev-A/1.lock",
            ".git/refs/heads/a/b.lock",
            ".git/refs/tags/t.lock",
            ".git/worktrees/linked/HEAD.lock",
            ".git/worktrees/linked/index.lock",
        ];
        for name in stale {
            world.write(&format!("repo/{name}"), "");
        }
        // A pin, a link, and what is not git's.
        stranger.ok("mkdir .git/refs/heads/pinned.lock && ln -s nowhere .git/config.lock");
        for name in [".git/cmw/state.lock", ".git/locks/write.lock", ".git/other.lock", "index.lock"] {
            world.write(&format!("repo/{name}"), "");
        }
        let expected = stale.map(|name| format!("repo/{name}"));
        for dir in ["repo", "linked"] {
            let repo = open(&world, dir, &git);
            assert_eq!(repo.stale_locks(60_000), [], "they are young");
            assert_eq!(names(&world, &repo.stale_locks(0)), expected, "from {dir}");
        }
        stranger.ok("find .git -name '*.lock' -type f | xargs touch -d '2 minutes ago'");
        let repo = open(&world, "repo", &git);
        let found = repo.stale_locks(60_000);
        assert_eq!(names(&world, &found), expected);
        assert!(found.iter().all(|lock| (120_000..180_000).contains(&lock.age_ms)), "{found:?}");
        for lock in &found {
            repo.remove_stale(lock).unwrap();
            repo.remove_stale(lock).unwrap();
        }
        assert_eq!(repo.stale_locks(0), []);
        stranger.ok("rm .git/config.lock; git commit -q --allow-empty -m x && git tag -f t");
        assert!(world.at("repo/.git/refs/heads/pinned.lock").is_dir());
    }
}

#[test]
fn what_changed_since_it_was_looked_at_stays() {
    let (world, git) = (World::new(), &gits()[0]);
    let repo = open(&world, "repo", git);
    for change in ["echo x >.git/index.lock", "rm .git/index.lock; : >new; mv new .git/index.lock"] {
        world.write("repo/.git/index.lock", "");
        world.unidentified().ok("touch -d '1 hour ago' .git/index.lock");
        let found = repo.stale_locks(60_000);
        assert_eq!(found.len(), 1);
        world.unidentified().ok(change);
        assert!(repo.remove_stale(&found[0]).unwrap_err().to_string().contains("another lock"));
        assert!(world.at("repo/.git/index.lock").exists());
    }
}

#[test]
fn a_lock_of_a_living_git_is_never_removed() {
    for git in gits() {
        for (dir, line) in [
            ("repo", "git commit -qa"),
            ("repo/d", "git commit -qa"),
            ("home", "git -C ../repo commit -qa"),
            ("home", "git -C .. -C repo commit -qa"),
            ("home", "git --git-dir=../repo/.git --work-tree=../repo commit -qa"),
            ("home", "GIT_DIR=../repo/.git GIT_WORK_TREE=../repo git commit -qa"),
            ("home", "git -C ../linked commit -qa"),
        ] {
            let world = World::with(&git);
            let stranger = world.unidentified();
            stranger.ok("git worktree add -q ../linked; mkdir d; echo more >>a; echo more >>../linked/a");
            world.write_program("editor", "#!/bin/sh\ntouch \"$0.waits\"; exec sleep 600\n");
            let editor = world.at("editor").display().to_string();
            let commit = stranger.cd(dir).spawn(&format!("export GIT_EDITOR={editor}; {line}"));
            crate::support::agent::wait_until("the editor", || world.at("editor.waits").exists());
            let repo = open(&world, "repo", &git);
            assert_eq!(names(&world, &repo.stale_locks(0)), [""; 0], "{line}");
            // A lock that is older than the git cannot be its.
            world.write("repo/.git/refs/tags/old.lock", "");
            world.person().ok("touch -d '1 hour ago' .git/refs/tags/old.lock");
            assert_eq!(names(&world, &repo.stale_locks(0)), ["repo/.git/refs/tags/old.lock"], "{line}");
            commit.kill().ignored();
            let name = if line.contains("linked") { "worktrees/linked/index.lock" } else { "index.lock" };
            let expected = format!("repo/.git/{name}");
            crate::support::agent::wait_until("the killed git is gone", || {
                names(&world, &repo.stale_locks(0)).contains(&expected)
            });
        }
    }
}

#[test]
fn a_lock_that_any_program_has_open_stays() {
    let (world, git) = (World::new(), &gits()[0]);
    world.write("repo/.git/index.lock", "");
    let stranger = world.unidentified();
    stranger.cd("home").ok("touch -d '1 hour ago' ../repo/.git/index.lock");
    let holder = stranger.spawn("exec 9<../repo/.git/index.lock; touch opened; sleep 600");
    crate::support::agent::wait_until("the holder", || world.at("home/opened").exists());
    let repo = open(&world, "repo", git);
    assert_eq!(repo.stale_locks(0), []);
    holder.kill().ignored();
    crate::support::agent::wait_until("no process has it open", || repo.stale_locks(0).len() == 1);
}

#[test]
fn a_git_of_another_repository_blocks_no_command() {
    let (world, git) = (World::new(), &gits()[0]);
    world.unidentified().ok("git init -q ../other; git -C ../other commit -q --allow-empty -m x");
    world.write_program("editor", "#!/bin/sh\ntouch \"$0.waits\"; exec sleep 600\n");
    let editor = world.at("editor").display().to_string();
    let stranger = world.unidentified();
    let commit = stranger.cd("other").spawn(&format!("GIT_EDITOR={editor} git commit --allow-empty"));
    crate::support::agent::wait_until("the editor", || world.at("editor.waits").exists());
    world.write("repo/.git/index.lock", "");
    let repo = open(&world, "repo", git);
    crate::support::agent::wait_until("it is seen", || repo.stale_locks(0).len() == 1);
    commit.kill().ignored();
}
