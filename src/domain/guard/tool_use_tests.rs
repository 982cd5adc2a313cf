//! Tests of the tool calls that are refused to an agent.

use crate::domain::guard::tool_use::*;

/// Judges a line typed in `/r`, the shared work tree of this repository; `/r/other` is another one.
fn said(line: &str) -> Result<Vec<String>, String> {
    let git_dirs = [PathBuf::from("/r/.git")];
    let is_ours = |dir: &Path| dir.starts_with("/r") && !dir.starts_with("/r/other");
    let is_our_server = |name: Option<&str>| name.is_none_or(|name| name == "team");
    let exists = |path: &Path| path.extension().is_some() || path.ends_with("Makefile");
    let place = CommandContext {
        exists: &exists,
        cwd: Path::new("/r"),
        git_dirs: &git_dirs,
        is_shared: &is_ours,
        is_ours: &is_ours,
        is_our_server: &is_our_server,
    };
    let commits = judge(line, &place).map_err(|refusal| refusal.lines())?;
    Ok(commits.iter().map(|commit| commit.call.command().to_owned()).collect())
}

#[track_caller]
fn refused(lines: &[&str], words: &str) {
    for line in lines {
        let text = said(line).expect_err(line);
        assert!(text.contains(words), "{line}: {text}");
        assert!(!text.contains("verify") && !text.to_lowercase().contains("hookspath"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}

#[track_caller]
fn allowed(lines: &[&str]) {
    for line in lines {
        assert_eq!(said(line), Ok(Vec::new()), "{line}");
    }
}

#[test]
fn checks_are_not_skipped() {
    refused(
        &[
            "git commit --no-verify -m x",
            "git commit -nm x",
            "git commit -qn -m x -- a",
            "cd sub && git commit --no-verif -m x",
            "git -C sub push --no-verify",
            "x=$(git merge --no-verify side)",
            "bash -c 'git commit -n -m x'",
            "timeout 60 git commit -n -m x",
        ],
        "the checks before a commit",
    );
    refused(
        &[
            "git -c core.hooksPath=/dev/null commit -m x -- a",
            "git -c CORE.HOOKSPATH= commit -m x -- a",
            "git config core.hooksPath /tmp/x",
            "git config --local --unset core.hooksPath",
            "git config hook.cmw-guard-commit.enabled false",
        ],
        "agents may not change the checks",
    );
    allowed(&[
        "git -C /elsewhere commit --no-verify -m x",
        "cd /r/other && git commit -n -m x",
        "cd \"$DIR\" && git commit -n -m x",
        "echo 'git commit --no-verify'",
        "git config --get core.hooksPath",
        "git config user.name x",
        "git push -n",
        "git log -n 5",
        "cat <<'EOF' >notes\ngit commit --no-verify\nEOF",
    ]);
}

#[test]
fn no_process_writes_below_git_by_hand() {
    refused(
        &[
            "echo x >.git/HEAD",
            "cd sub; rm -rf ../.git/cmw",
            "rm -rf /r/.git",
            "rm -rf .",
            "rm -rf /r",
            "cp x .git/hooks/pre-commit",
            "sed -i s/a/b/ .git/config",
            "chmod -x .git/cmw/hooks/pre-commit",
            "tee -a /r/.git/info/exclude <x",
            "mv .git .git2",
            "sh -c 'truncate -s 0 .git/cmw/state.json'",
        ],
        "belongs to git and cmw",
    );
    allowed(&[
        "cat .git/HEAD",
        "cp .git/config /tmp/x",
        "ls -la .git >list",
        "echo x >.gitignore",
        "mkdir -p .github/workflows",
        "rm -rf build",
        "sed s/a/b/ .git/config",
    ]);
    let below = judge_file(Path::new("/r/.git/refs/heads/main"), &[PathBuf::from("/r/.git")]);
    assert!(below.is_err());
    assert_eq!(judge_file(Path::new("/r/.gitignore"), &[PathBuf::from("/r/.git")]), Ok(()));
}

#[test]
fn no_role_types_into_panes_of_others() {
    refused(
        &[
            "tmux send-keys -t %1 y Enter",
            "tmux send -t x q",
            "tmux select-pane -t 1 \\; send-keys y",
            "tmux -L team kill-server",
            "tmux paste-buffer -t %2",
            "tmux respawn-pane -k -t %1 bash",
            "env X=1 /usr/bin/tmux kill-session",
        ],
        "would act on panes of others",
    );
    allowed(&[
        "tmux capture-pane -p",
        "tmux list-panes",
        "tmux -L mine send-keys -t x y",
        "tmux -S /tmp/s kill-server",
    ]);
}

#[test]
fn no_commit_contains_the_work_of_others() {
    refused(
        &[
            "git add -A",
            "git add .",
            "git add --all",
            "git add -u",
            "git add -vA -- a",
            "cd sub && git add ..",
            "git commit -a -m x",
            "git commit -qam x",
            "git commit -m x .",
            "git stash",
            "git stash pop",
            "git stash push -- a",
            "git checkout .",
            "git checkout -- .",
            "git checkout HEAD -- :/",
            "git checkout -f",
            "git restore .",
            "git restore --staged .",
            "git reset --hard",
            "git reset --hard HEAD~1",
            "git clean -fd",
            "git clean -fdx .",
            "git rm -r .",
        ],
        "of others too",
    );
    refused(
        &[
            "git switch side",
            "git switch -c new",
            "git checkout side",
            "git checkout -b new",
            "git checkout -",
        ],
        "others work on the branch",
    );
    allowed(&[
        "git add a b",
        "git add -- sub/dir",
        "git add -p a",
        "git stash list",
        "git stash show -p",
        "git checkout -- a.rs",
        "git checkout HEAD -- a",
        "git checkout a.rs",
        "git checkout Makefile",
        "git restore a",
        "git reset -- a",
        "git reset -q a",
        "git clean -n",
        "git clean -fd build",
        "git status && git diff . && git log -- .",
        "cd other && git add -A && git stash && git switch x",
    ]);
}

#[test]
fn what_would_commit_is_found() {
    for (line, commits) in [
        ("git commit -m x -- a", vec!["commit"]),
        ("git add a && git commit -m \"$(cat <<'EOF'\ngit commit\nEOF\n)\"", vec!["commit"]),
        ("git cherry-pick x; git revert --no-edit y", vec!["cherry-pick", "revert"]),
        ("git commit --dry-run", vec![]),
        ("git cherry-pick --abort", vec![]),
        ("git -C /elsewhere commit -m x", vec![]),
        ("git --git-dir=/x commit -m x", vec![]),
        ("cmw-commit -m x -- a", vec![]),
        ("cmw-lock run -- git commit -m x", vec![]),
        ("(cd /tmp && git commit -m x); git commit -m y", vec!["commit"]),
    ] {
        assert_eq!(said(line).unwrap(), commits, "{line}");
    }
}
