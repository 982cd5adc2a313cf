//! Tests of the tool uses that are refused to an agent, and of what it is told instead.

use serde_json::json;

use super::Client;
use crate::support::World;

#[test]
fn a_commit_that_git_would_refuse_is_refused_before_it_runs() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    client.shell("git add a && git commit -m x").nothing();
    world.agent("Dev-B").ok("cmw-lock acquire --purpose 'the long one'");
    let refused = client.shell("git add a && git commit -m 'it is done' -- a");
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    for words in [
        "cmw: refused: Dev-B has the write lock for \"the long one\"",
        "\nyou are number 1 in the queue; nothing is lost\n",
        "\nnext: cmw-lock run -- git commit -m 'it is done' -- a\n",
    ] {
        assert!(refused.err.contains(words), "{words:?} is not in {}", refused.err);
    }
    let again = client.shell("git commit -m x");
    assert!(again.err.contains("number 1 in the queue"), "one ticket, not two: {}", again.err);
    world.agent("Dev-B").ok("cmw-lock release");
    // It is offered, and taken up by the commit.
    client.shell("git commit -m x").nothing();
    world.agent("Dev-A").ok("echo x >>a && git commit -q -m x -- a");
}

#[test]
fn what_git_allows_is_not_refused() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    world.agent("Dev-B").ok("cmw-lock acquire && git init -q ../other && mkdir sub && git init -q sub/inner");
    let other = world.at("other");
    for line in [
        format!("cd {} && git commit --allow-empty -m x", other.display()),
        format!("git -C {} commit -n -m x && git -C ../other add -A", other.display()),
        "cd sub/inner && git add -A && git stash && git commit -n -m x".to_owned(),
        "git switch --detach 2>/dev/null | cat".replace("git switch --detach", "git log"),
        "cmw-commit -m x -- a".to_owned(),
        "cmw-lock run -- git commit -m x".to_owned(),
        "git status; git diff; git fetch".to_owned(),
    ] {
        client.shell(&line).nothing();
    }
}

#[test]
fn in_work_trees_of_their_own_roles_do_as_they_like() {
    let world = World::ready_with(&crate::support::gits()[0], "--mode worktrees");
    let client = Client::begun(&world, "Dev-A");
    world.agent("Dev-B").ok("cmw-lock acquire");
    world.agent("Dev-A").ok("git worktree add -q -b agent/Dev-A/x ../tree");
    let tree = world.at("tree");
    for line in ["git add -A && git commit -m x", "git stash", "git reset --hard", "git clean -fdx"] {
        let event = json!({"tool_name": "Bash", "tool_input": {"command": line}, "cwd": tree});
        client.event("PreToolUse", event).nothing();
    }
    let skips = json!({"tool_name": "Bash", "tool_input": {"command": "git commit -n -m x"}, "cwd": tree});
    assert_eq!(client.event("PreToolUse", skips).code, 2);
    // Where it is typed does not matter, but where it runs.
    client.shell("cd ../tree && git commit -m x").nothing();
    client.shell("git -C ../tree commit -m x").nothing();
    assert_eq!(client.shell("git commit -m x").code, 2, "on the integration branch it needs the lock");
}

#[test]
fn what_would_harm_others_is_refused_with_the_command_to_type_instead() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    for (line, why, next) in [
        (
            "git commit --no-verify -m x",
            "the checks before a commit",
            "next: cmw-commit -m 'what was done' -- PATHS",
        ),
        ("git add -A", "stages the work of others", "next: git add -- YOUR/FILES"),
        ("git commit -am x", "takes the work of others", "next: cmw-commit"),
        ("git stash", "work of others", "next: git diff"),
        ("git checkout .", "undoes the work of others", "next: git restore"),
        ("git reset --hard", "undoes the work of others", "next: git restore"),
        ("git clean -fd", "new files of others", "next: git clean -n"),
        ("git switch -c mine", "others work on the branch", "next: cmw-send"),
        ("echo x >.git/HEAD", "belongs to git and cmw", "next: cmw"),
        ("tmux send-keys -t %1 y Enter", "panes of others", "next: cmw-send"),
    ] {
        let refused = client.shell(line);
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{line}");
        assert!(
            refused.err.starts_with("cmw: refused: ") && refused.err.lines().count() == 3,
            "{}",
            refused.err
        );
        assert!(refused.err.contains(why) && refused.err.contains(next), "{line}: {}", refused.err);
    }
    for (tool, file) in [
        ("Write", ".git/refs/heads/main"),
        ("Edit", "sub/../.git/config"),
        ("MultiEdit", ".git/cmw/state.json"),
    ] {
        let event = json!({"tool_name": tool, "tool_input": {"file_path": world.at("repo").join(file)}});
        let refused = client.event("PreToolUse", event);
        assert!(refused.code == 2 && refused.err.contains("belongs to git and cmw"), "{refused:?}");
    }
    // By a link, too.
    world.agent("Dev-A").ok("ln -s .git inside");
    let event = json!({"tool_name": "Write", "tool_input": {"file_path": world.at("repo/inside/HEAD")}});
    assert_eq!(client.event("PreToolUse", event).code, 2);
    let event = json!({"tool_name": "Write", "tool_input": {"file_path": world.at("repo/.gitignore")}});
    client.event("PreToolUse", event).nothing();
}

#[test]
fn a_refusal_is_recorded() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    world.agent("Dev-B").ok("cmw-lock acquire");
    assert_eq!(client.shell("git commit -m x").code, 2);
    let log = world.person().ok("cmw-audit verify >/dev/null; cmw-audit log");
    assert!(log.contains("Dev-A") && log.contains("Dev-B has the write lock"), "{log}");
}

#[test]
fn while_paused_nothing_is_changed_by_any_tool() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    world.person().ok("cmw pause Dev-A --reason 'let me look'");
    let tool = |tool: &str, input: serde_json::Value| {
        client.event("PreToolUse", json!({"tool_name": tool, "tool_input": input}))
    };
    for (name, input) in [
        ("Edit", json!({"file_path": "a"})),
        ("Bash", json!({"command": "make"})),
        ("mcp__db__execute", json!({"sql": "drop table x"})),
        ("Task", json!({"prompt": "do it for me"})),
        ("FromAnotherVersion", json!({})),
    ] {
        let refused = tool(name, input);
        assert!(refused.code == 2 && refused.err.contains("User paused you"), "{name}: {refused:?}");
    }
    for (name, input) in
        [("Read", json!({"file_path": "a"})), ("Bash", json!({"command": "cmw-inbox"})), ("Grep", json!({}))]
    {
        tool(name, input).nothing();
    }
    world.person().ok("cmw resume");
    tool("Bash", json!({"command": "make"})).nothing();
}

#[test]
fn whose_edit_it_was_is_known() {
    let world = World::ready();
    let client = Client::begun(&world, "Dev-A");
    world.write("repo/b", "of Dev-A\n");
    let edit = json!({"tool_name": "Write", "tool_input": {"file_path": world.at("repo/b")}});
    client.event("PostToolUse", edit).nothing();
    let refused = world.agent("Dev-B").run("git add b; git commit -m x");
    assert!(refused.code != 0 && refused.stderr.contains("b (Dev-A)"), "{refused}");
    world.agent("Dev-A").ok("git commit -q -m x -- b");
}
