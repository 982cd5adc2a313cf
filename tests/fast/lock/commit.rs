//! `cmw-commit`: exactly the files that were named, whatever else twelve agents have staged in the one
//! index; and what each of two agents sees who share it.
#![cfg(feature = "test-clock")]

use std::time::{Duration, Instant};

use crate::support::agent::wait_until;
use crate::support::{Agent, World, assert_transcript, gits};

/// The client tells that an agent edited a file.
fn edited(who: &Agent, file: &str) {
    let event = format!(r#"{{"tool_name":"Edit","tool_input":{{"file_path":"{file}"}}}}"#);
    who.ok(&format!("echo '{event}' | cmw-hook claude PostToolUse"));
}

/// A repository in which Dev-A edited `a` and Dev-B `b` and the new file `n`, as the client told.
fn two_at_work(git: &std::path::Path) -> World {
    let world = World::with(git);
    world.write("repo/b", "first\n");
    world.git(&["add", "b"]);
    world.git(&["commit", "-q", "-m", "second"]);
    world.person().ok("cmw-init --roles 4");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev.ok("echo of Dev-A >>a");
    edited(&dev, "a");
    other.ok("echo of Dev-B >>b; echo new of Dev-B >n; git add b");
    edited(&other, "b");
    edited(&other, "n");
    world
}

#[test]
fn two_agents_in_one_index() {
    let world = two_at_work(&gits()[0]);
    let text = world.transcript(|t| {
        t.note("A plain commit would take along what Dev-B has staged.");
        t.agent("Dev-A", "git add a; git commit -m 'mine'").ignored();
        t.agent("Dev-A", "cmw-commit -m mine -- a").ignored();
        t.agent("Dev-A", "git show --format=%s --name-only; git status --short").ignored();
        t.note("By path git does the same.");
        t.agent("Dev-A", "echo more >>a; git commit -qm 'mine too' a; git status --short").ignored();
        t.note("So would `add -A` and `commit -a`.");
        t.agent("Dev-A", "echo still more >>a; git add -A; git commit -m 'all of it'").ignored();
        t.agent("Dev-A", "git commit -am 'all of it'").ignored();
        t.agent("Dev-A", "cmw-commit -m 'all of it' -- .").ignored();
        t.note("What Dev-B did is as Dev-B left it.");
        t.agent("Dev-B", "cmw-commit -m 'of Dev-B' -- b n").ignored();
        t.agent("Dev-B", "git show --format=%s --name-only; git status --short").ignored();
        t.note(
            "A stash takes what lies there, whoever it is of: hooks are not asked. Nothing is lost by it.",
        );
        t.agent("Dev-B", "echo again >>b; git stash -q; git status --short").ignored();
        t.agent("Dev-A", "tail -n 1 a; git stash pop -q; tail -n 1 a; git status --short").ignored();
        t.note("Whose a file is, is known only while nobody edits it by a shell command.");
        t.agent("Dev-B", "echo by hand >>a; git commit -qam 'both'; git show --format=%s --name-only")
            .ignored();
    });
    assert_transcript("shared-index", &text);
}

#[test]
fn only_the_named_files_are_committed() {
    for git in gits() {
        let world = two_at_work(&git);
        let dev = world.agent("Dev-A");
        dev.ok("mkdir -p src/deep 'with space'; echo 1 >src/deep/x; echo 2 >src/y; echo 3 >'with space/*'; echo 4 >'with space/z'; git rm -q --cached a; git reset -q a");
        for (paths, files) in [
            ("src", "src/deep/x src/y"),
            ("'with space/*'", "with space/*"),
            ("'with space'", "with space/z"),
            ("a", "a"),
        ] {
            let json =
                dev.ok(&format!("cmw-commit -m x --json -- {paths} | jq -r '.data.files | join(\",\")'"));
            assert_eq!(json.trim().replace(',', " "), files.replace(',', " "), "{paths}");
            let staged = world.git(&["diff", "--cached", "--name-only"]);
            assert_eq!(staged, "b", "what Dev-B has staged stays staged");
        }
        // From a subdirectory, deletions and both sides of a move, and names that are no patterns.
        dev.ok("cd src && rm y && mv deep/x z && cmw-commit -m moved -- y deep z");
        assert_eq!(
            world.git(&["show", "--format=", "--name-only", "--no-renames"]),
            "src/deep/x\nsrc/y\nsrc/z"
        );
        assert_eq!(world.git(&["diff", "--cached", "--name-only"]), "b");
        world.agent("Dev-B").ok("cmw-commit -m theirs -- b n");
        assert_eq!(world.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn what_is_suggested_runs_where_it_was_suggested() {
    let world = two_at_work(&gits()[0]);
    let dev = world.agent("Dev-A");
    dev.ok("mkdir sub; echo x >sub/s; echo y >'sub/with space'; git add sub a");
    for line in ["git commit -m 'all of it'", "cmw-commit -m 'all of it' -- .."] {
        let refused = dev.run(&format!("cd sub && {line}"));
        let next = refused.stderr.lines().find_map(|line| line.strip_prefix("next: ")).unwrap().to_owned();
        assert!(refused.code != 0 && next.starts_with("cmw-commit"), "{refused}");
        dev.ok(&format!("cd sub && {next}"));
        assert_eq!(world.git(&["show", "--format=", "--name-only"]), "a\nsub/s\nsub/with space");
        dev.ok("cmw-lock run -- git reset -q --soft HEAD~1");
    }
}

#[test]
fn a_named_file_that_brings_nothing_is_said() {
    let world = two_at_work(&gits()[0]);
    let dev = world.agent("Dev-A");
    let done = dev.run("echo '*.log' >.git/info/exclude; echo x >x.log; cmw-commit -m x -- a x.log");
    assert!(done.code == 0 && done.stderr.contains("x.log: nothing to commit there"), "{done}");
}

#[test]
fn a_claim_by_a_pattern_makes_no_role_an_owner() {
    let world = World::ready_with(&gits()[0], "--roles 4");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    world.person().ok("cmw-lock acquire --files z");
    for (claim, refused) in [("'**'", false), ("'?'", false), ("a", true)] {
        other.fails(75, &format!("cmw-lock acquire --files {claim}")).ignored();
        dev.ok("echo x >>a; git add a");
        world.person().ok("cmw-lock release");
        // It is the turn of Dev-B, who does not come: then Dev-A's.
        world.pass_ms(61_000);
        let output = dev.run("git commit -q -m x");
        assert_eq!(output.code != 0, refused, "{claim}: {output}");
        other.ok("cmw-lock cancel");
        dev.run("cmw-lock cancel").ignored();
        world.person().ok("cmw-lock acquire --files z");
    }
}

#[test]
fn inside_of_a_command_that_has_the_lock_it_joins_it() {
    let world = two_at_work(&gits()[0]);
    let dev = world.agent("Dev-A");
    let began = Instant::now();
    dev.ok("cmw-lock run -- sh -c 'cmw-commit -m x -- a && cmw-lock run -- true && cmw-lock status'");
    // Who waited for itself would wait for a minute.
    assert!(began.elapsed() < Duration::from_secs(45), "it does not wait");
    assert_eq!(dev.ok("cmw-lock status"), "the write lock is free\n");
}

#[test]
fn two_calls_of_one_role_at_once_both_land() {
    let world = two_at_work(&gits()[0]);
    world.write_program("repo/.git/hooks/pre-commit", "#!/bin/sh\nsleep 0.3\n");
    world.person().ok("cmw-init");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev.ok("echo c >c");
    other.ok("cmw-lock acquire --files z");
    let calls = [dev.spawn("cmw-commit -m one -- a"), dev.spawn("cmw-commit -m two -- c")];
    wait_until("the second call", || other.ok("cmw-lock queue").contains("waiting"));
    std::thread::sleep(Duration::from_millis(300));
    other.ok("cmw-lock release");
    for call in calls {
        let done = call.wait();
        assert_eq!(done.code, 0, "{done}");
    }
    let mut subjects: Vec<String> =
        world.git(&["log", "--format=%s", "-2"]).lines().map(str::to_owned).collect();
    subjects.sort();
    assert_eq!(subjects, ["one", "two"]);
}

#[test]
fn what_is_staged_while_other_hooks_run_is_not_swept_up() {
    let world = two_at_work(&gits()[0]);
    let script = format!(
        "#!/bin/sh\ntouch {0}/in; while [ ! -e {0}/go ]; do sleep 0.02; done\n",
        world.root().display()
    );
    world.write_program("repo/.git/hooks/pre-commit", &script);
    world.person().ok("cmw-init");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev.ok("git reset -q; git add a");
    let running = dev.spawn("git commit -q -m mine");
    wait_until("the hook", || world.at("in").exists());
    other.ok("git add b; touch ../go");
    let refused = running.wait();
    assert!(refused.code != 0 && refused.stderr.contains("the work of others: b (Dev-B)"), "{refused}");
    // Neither does what skips the friendlier hook.
    let refused = dev.run("git commit -q --no-verify -m mine");
    assert!(refused.code != 0 && refused.stderr.contains("the work of others: b (Dev-B)"), "{refused}");
}

#[test]
fn what_cannot_be_committed_is_said_and_nothing_changes() {
    let world = two_at_work(&gits()[0]);
    let dev = world.agent("Dev-A");
    dev.ok("echo '*.log' >.git/info/exclude; echo x >x.log");
    let picture = world.picture();
    for (line, code, words) in [
        ("cmw-commit -m x -- no-such-file", 2, "there is no file no-such-file"),
        ("cmw-commit -m x -- x.log", 1, "nothing to commit there"),
        ("echo x >abc; cmw-commit -m x -- ab; code=$?; rm abc; exit $code", 2, "there is no file ab"),
        ("head -c 1100000 /dev/zero | tr '\\0' x | cmw-commit -F - -- a", 2, "larger than 1 MiB"),
        ("cmw-commit -m x", 2, "required"),
        ("cmw-commit -- a", 2, "required"),
        ("cmw-commit -m '' -- a", 1, "git made no commit"),
        ("cmw-commit -m x -F y -- a", 2, "cannot be used with"),
        ("cmw-commit -F no-such-file -- a", 1, "git made no commit"),
        ("cmw-commit -m x -- ../outside", 69, "outside repository"),
        ("cmw-commit -m x -- n/", 69, ""),
        ("cd .git && cmw-commit -m x -- config", 78, "no work tree"),
        ("cmw-commit -m '' -- n", 1, "git made no commit"),
    ] {
        let output = dev.run(line);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains(words), "no {words:?} in\n{output}");
        assert!(output.code == code || words.is_empty() && output.code != 0, "{code}:\n{output}");
        assert_eq!(world.picture(), picture, "{line}");
        assert_eq!(dev.ok("cmw-lock status"), "the write lock is free\n", "{line}");
    }
    // Another hook says no: new files are unknown to git again.
    world.write_program("repo/.git/hooks/commit-msg", "#!/bin/sh\nexit 1\n");
    world.person().ok("cmw-init");
    assert_eq!(dev.run("cmw-commit -m x -- a n").code, 1);
    assert_eq!(world.picture(), picture);
    // Conflicts cannot be committed by path.
    world.git(&["switch", "-q", "-f", "-c", "side", "main~1"]);
    world.write("repo/a", "other\n");
    world.git(&["commit", "-q", "-a", "-m", "other"]);
    world.git(&["switch", "-q", "main"]);
    world.write("repo/a", "ours\n");
    world.git(&["commit", "-q", "-a", "-m", "ours"]);
    dev.run("cmw-lock run -- git merge -q side").ignored();
    let output = dev.fails(1, "cmw-commit -m x -- a");
    assert!(output.stderr.contains("a has conflicts"), "{output}");
    let output = dev.fails(1, "cmw-commit -m x -- n");
    assert!(output.stderr.contains("a merge is in progress"), "{output}");
}

#[test]
fn a_message_may_come_from_a_file_or_from_standard_input() {
    let world = two_at_work(&gits()[0]);
    let dev = world.agent("Dev-A");
    dev.ok("printf 'one\\n\\ntwo\\n' >message; mkdir sub; cd sub; cmw-commit -F ../message -- ../a");
    assert_eq!(world.git(&["log", "-1", "--format=%B"]), "one\n\ntwo");
    dev.ok("echo x >>a; echo 'from a pipe' | cmw-commit -F - -- a");
    // What starts agents gives them sockets.
    dev.ok("echo x >>a; python3 -c 'import socket,subprocess; a,b=socket.socketpair(); b.sendall(b\"from a pipe\"); b.close(); subprocess.check_call([\"cmw-commit\",\"-F\",\"-\",\"--\",\"a\"],stdin=a)' && git reset -q HEAD && cmw-lock run -- git reset -q --soft HEAD~1 && git reset -q");
    dev.ok("echo x >>a; cmw-commit -m first -m second -- a");
    assert_eq!(world.git(&["log", "-2", "--format=%B"]), "first\n\nsecond\n\nfrom a pipe");
}

#[test]
fn it_waits_for_the_lock_and_keeps_its_place_when_it_gives_up() {
    let world = two_at_work(&gits()[0]);
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    other.ok("cmw-lock acquire --files b");
    let refused = dev.fails(75, "cmw-commit -m mine --wait 50ms -- a");
    assert!(
        refused.stderr.contains("you are number 1")
            && refused.stderr.ends_with("next: cmw-commit -m mine -- a\n"),
        "{refused}"
    );
    let waiting = dev.spawn("cmw-commit -m mine -- a");
    wait_until("it to wait", || other.ok("cmw-lock queue").contains("waiting"));
    other.ok("cmw-commit -m theirs -- b n");
    assert!(other.ok("cmw-lock status").contains("Dev-B holds"), "it was held before, so it stays held");
    other.ok("cmw-lock release");
    let done = waiting.wait();
    assert!(done.code == 0 && done.stdout.starts_with("committed "), "{done}");
    assert_eq!(world.git(&["log", "--format=%s", "-2"]), "mine\ntheirs");
}

#[test]
fn killed_half_way_it_leaves_no_lock_and_loses_nothing() {
    for git in gits() {
        for stop in ["pre-commit", "commit-msg", "reference-transaction", "post-commit"] {
            let world = World::with(&git);
            // The hook that runs after ours stops there, so that the commit can be killed in it.
            let script = format!(
                "#!/bin/sh\n[ -e {0} ] && exit 0\n[ \"$1\" = committed ] && exit 0\ntouch {0}; sleep 600\n",
                world.at("reached").display()
            );
            world.write_program(&format!("repo/.git/hooks/{stop}"), &script);
            world.person().ok("cmw-init --roles 4");
            let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
            let running = dev.spawn("echo x >>a; echo new >n; setsid cmw-commit -m killed -- a n");
            wait_until(stop, || world.at("reached").exists());
            let group =
                "ps -eo pgid,args | awk '$2 == \"cmw-commit\" && $4 == \"killed\" { print $1; exit }'";
            world.unidentified().ok(&format!("/bin/kill -9 -- -$({group})"));
            running.wait().ignored();
            let next = other.run("echo y >y; cmw-commit -m y -- y");
            assert_eq!(next.code, 0, "killed in {stop}\n{next}");
            let text = other.ok("cat a n y");
            assert!(text.contains('x') && text.contains("new"), "{stop}: {text}");
            dev.ok("cmw-commit -m 'x after all' -- a n || git diff --quiet HEAD -- a n");
            assert_eq!(world.git(&["status", "--porcelain"]), "", "{stop}");
        }
    }
}

#[test]
fn a_branch_of_ones_own_needs_no_lock() {
    let world = World::ready_with(&gits()[0], "--roles 4 --mode worktrees");
    let (dev, other) = (world.agent("Dev-A"), world.agent("Dev-B"));
    other.ok("cmw-lock acquire");
    dev.ok(
        "git worktree add -q -b agent/Dev-A/x ../tree && cd ../tree && echo x >>a && cmw-commit -m x -- a",
    );
    assert!(!world.read("repo/.git/audit/write-lock-intents.json").contains("Dev-A"));
    dev.fails(75, "echo x >>a; cmw-commit -m x --wait 0s -- a").ignored();
}

#[test]
fn a_role_that_is_paused_changes_nothing() {
    let world = two_at_work(&gits()[0]);
    let dev = world.agent("Dev-A");
    let asks = |tool: &str, input: &str| {
        let event =
            format!(r#"{{"hook_event_name":"PreToolUse","tool_name":"{tool}","tool_input":{input}}}"#);
        dev.run(&format!("echo '{event}' | cmw-hook claude PreToolUse"))
    };
    assert_eq!(asks("Edit", r#"{"file_path":"a"}"#).code, 0);
    world.person().ok("cmw pause Dev-A --reason 'let me look'");
    for (tool, input) in [("Edit", r#"{"file_path":"a"}"#), ("Bash", r#"{"command":"make"}"#)] {
        let refused = asks(tool, input);
        assert!(refused.code == 2 && refused.stderr.contains("User paused you"), "{refused}");
    }
    assert_eq!(asks("Read", "{}").code + asks("Bash", r#"{"command":"cmw-inbox"}"#).code, 0);
    for line in [
        "git commit -q -m x a",
        "cmw-commit -m x -- a",
        "cmw-lock acquire",
        "git commit -q --no-verify -m x a",
    ] {
        let refused = dev.run(line);
        assert!(refused.code != 0 && refused.stderr.contains("User paused you"), "{refused}");
    }
    for rubbish in ["", "null", "[]", "{"] {
        assert_eq!(dev.run(&format!("echo '{rubbish}' | cmw-hook claude PreToolUse")).code, 0, "{rubbish}");
    }
    world.person().ok("cmw resume");
    dev.ok("git commit -q -m x a");
}
