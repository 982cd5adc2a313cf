//! Hook programs replaced under running gits.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cmw::store::disk::RealDisk;
use cmw::store::guard::hookdir;

use crate::support::programs::runs_alone;

/// What git starts for a commit.
const NAMES: [&str; 5] =
    ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction"];

fn git(dir: &Path, args: &[&str]) {
    let status = command(dir, "git").args(args).status().unwrap();
    assert!(status.success(), "git {args:?}");
}

fn command(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(dir);
    for (name, value) in [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
        ("GIT_AUTHOR_NAME", "A"),
        ("GIT_AUTHOR_EMAIL", "a@example.org"),
        ("GIT_COMMITTER_NAME", "A"),
        ("GIT_COMMITTER_EMAIL", "a@example.org"),
    ] {
        command.env(name, value);
    }
    command
}

const WRITERS: usize = 20;
const COMMITS: usize = 6;

#[test]
fn an_upgrade_disturbs_no_commit() {
    if !runs_alone(module_path!(), "an_upgrade_disturbs_no_commit") {
        return;
    }
    // Two versions of a program that allows everything; what follows the program is not run.
    let old = std::fs::read("/bin/true").unwrap();
    let new = [old.as_slice(), b"another version"].concat();
    upgrade_under_commits(tempfile::tempdir().unwrap().path(), &old, &new);
}

#[test]
fn an_upgrade_lets_no_commit_pass_without_its_hooks() {
    if !runs_alone(module_path!(), "an_upgrade_lets_no_commit_pass_without_its_hooks") {
        return;
    }
    // Git passes a hook by that is not there, and says nothing: so each run leaves a line.
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let script =
        |version: &str| format!("#!/bin/sh\n# {version}\necho \"${{0##*/}}\" >>'{}'\n", log.display());
    upgrade_under_commits(dir.path(), script("one").as_bytes(), script("two").as_bytes());
    let text = std::fs::read_to_string(&log).unwrap();
    for name in ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"] {
        let runs = text.lines().filter(|line| *line == name).count();
        assert_eq!(runs, WRITERS * COMMITS, "{name}");
    }
}

fn upgrade_under_commits(root: &Path, old: &[u8], new: &[u8]) {
    git(root, &["init", "-q", "-b", "main", "repo"]);
    let repo = root.join("repo");
    git(&repo, &["commit", "-q", "--allow-empty", "-m", "first"]);
    let disk = RealDisk::open(&repo.join(".git")).unwrap();
    assert_eq!(hookdir::install(&disk, old, &NAMES).unwrap(), NAMES.len());
    let hooks = repo.join(".git").join(hookdir::DIR);
    for i in 0..WRITERS {
        git(&repo, &["worktree", "add", "-q", "-b", &format!("b{i}"), &format!("../w{i}")]);
    }
    // Git ≥ 2.46 takes packed-refs.lock for a moment in each commit; twenty at once on a slow
    // machine wait longer for it than git's usual second, which is not what is tested here.
    git(&repo, &["config", "core.packedRefsTimeout", "-1"]);
    git(&repo, &["config", "core.filesRefLockTimeout", "-1"]);
    git(&repo, &["config", "core.hooksPath", hooks.to_str().unwrap()]);
    // All writers are started first: a process that this one forks while a new program is open for
    // writing would hold it open, and git would find the text busy.
    let script = format!("for i in $(seq {COMMITS}); do git commit -q --allow-empty -m $i || exit 1; done");
    let mut writers: Vec<Child> = (0..WRITERS)
        .map(|i| {
            let mut writer = command(&root.join(format!("w{i}")), "sh");
            writer.args(["-c", &script]).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let (mut upgrades, mut during) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(120);
    while writers.iter_mut().any(|writer| writer.try_wait().unwrap().is_none()) {
        assert!(Instant::now() < deadline, "the writers do not end");
        let program = if upgrades % 2 == 0 { new } else { old };
        let before = std::fs::metadata(hooks.join("pre-commit")).unwrap().ino();
        assert_eq!(hookdir::install(&disk, program, &NAMES).unwrap(), NAMES.len());
        assert_ne!(std::fs::metadata(hooks.join("pre-commit")).unwrap().ino(), before);
        upgrades += 1;
        during += usize::from(writers.iter_mut().any(|writer| writer.try_wait().unwrap().is_none()));
    }
    for writer in writers {
        let output = writer.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "after {upgrades} upgrades: {said}");
    }
    assert!(during >= 3, "only {during} upgrades fell into the commits");
    let program = if upgrades % 2 == 0 { old } else { new };
    let states = hookdir::installed(&disk, program, &NAMES).unwrap();
    assert!(states.iter().all(|(_, state)| *state == hookdir::HookState::Ok), "{states:?}");
}
