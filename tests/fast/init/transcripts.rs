//! Transcripts of `cmw-init`: setting up, again, differently, wrongly, and back to how it was.

use std::collections::BTreeMap;

use crate::support::{World, assert_transcript, gits};

#[test]
fn setting_up_and_again_and_differently() {
    let world = World::new();
    let text = world.transcript(|t| {
        t.person("cmw-lock status").ignored();
        t.person("cmw-init --dry-run").ignored();
        t.person("ls .git/cmw .git/audit; git config core.hooksPath").ignored();
        t.person("cmw-init").ignored();
        t.person("ls .git/cmw .git/audit .git/cmw/hooks").ignored();
        t.person("cmw-init").ignored();
        t.person("cmw-init --roles 2 --preset solo").ignored();
        t.person("git config cmw.lock.lease 1m && cmw-init --quiet && cmw-lock acquire --json | jq .ok")
            .ignored();
        t.person("git config --get-regexp ^cmw").ignored();
        t.person("git status --short --ignored").ignored();
        t.note("Agents do not change the rules under which they work.");
        t.agent("Dev-A", "cmw-init --preset strict").ignored();
        t.agent("Dev-A", "cmw-init --quiet").ignored();
        t.agent("Dev-A", "cmw-init --uninstall").ignored();
        t.person("cmw-init --uninstall --dry-run").ignored();
        t.person("cmw-init --uninstall").ignored();
        t.person("cmw-init --uninstall").ignored();
        t.person("cmw-lock status").ignored();
    });
    assert_transcript("init", &text);
}

#[test]
fn json_and_help() {
    let world = World::new();
    let text = world.transcript(|t| {
        t.unidentified("cmw-init --help").ignored();
        t.unidentified("cmw-init --version").ignored();
        t.person("cmw-init --roles 3 --json | jq .").ignored();
        t.person("cmw-init --uninstall --json | jq .").ignored();
    });
    assert_transcript("init-json", &text);
}

#[test]
fn where_it_cannot_be_set_up() {
    let world = World::new();
    world.git(&["init", "-q", "--bare", "../bare.git"]);
    std::fs::create_dir(world.at("empty")).unwrap();
    let text = world.transcript(|t| {
        t.person("cmw-init --repo ../bare.git").ignored();
        t.person("cmw-init --repo ../empty").ignored();
        t.person("cmw-init --repo ../nothing").ignored();
        t.person("cd ../bare.git && cmw-init").ignored();
        t.person("cd .git && cmw-init --dry-run >/dev/null && echo fine").ignored();
    });
    assert_transcript("init-where", &text);
}

/// Each key with values that make no sense.
const BAD: &[&str] = &[
    "cmw.mode parallel",
    "cmw.mode ''",
    "cmw.preset brave",
    "cmw.roles 0",
    "cmw.roles x",
    "cmw.roles -3",
    "cmw.roles 1001",
    "cmw.roles 99999999999999999999",
    "cmw.role.Dev/A.kind dev",
    "cmw.role.ALL.kind dev",
    "cmw.role.Dev-A.kind 'a wizard'",
    "cmw.role.Dev-A.pane -1",
    "cmw.role.Dev-A.colour red",
    "cmw.session 'a:b'",
    "cmw.session ''",
    "cmw.protect ''",
    "cmw.protect '/etc'",
    "cmw.protect 'a**b/['",
    "cmw.lock.lease soon",
    "cmw.lock.lease 0s",
    "cmw.lock.lease 31m",
    "cmw.lock.leaseMax 1",
    "cmw.lock.grace -1s",
    "cmw.lock.ticket 9999999d",
];

#[test]
fn bad_configuration_is_named_with_its_key_and_remedy() {
    let world = World::new();
    let before = world.files("repo");
    let text = world.transcript(|t| {
        for bad in BAD {
            let key = bad.split(' ').next().unwrap();
            let output = t.person(&format!("git config {bad} && cmw-init"));
            assert_eq!(output.code, 78, "\n{output}");
            let remedy = output.stderr.lines().find_map(|line| line.strip_prefix("next: "));
            let remedy = remedy.unwrap_or_else(|| panic!("no remedy in\n{output}"));
            let remedied = world.person().run(remedy);
            assert!(remedied.code == 0, "the remedy fails:\n{remedied}");
            world.person().run(&format!("git config --unset-all {key}")).ignored();
            world
                .person()
                .run(&format!("git config --remove-section {}", key.rsplit_once('.').unwrap().0))
                .ignored();
            world.person().run("git config --remove-section cmw").ignored();
        }
        for line in
            ["cmw-init --roles 0", "cmw-init --roles x", "cmw-init --preset brave", "cmw-init --mode 2"]
        {
            t.person(line).ignored();
        }
    });
    assert_transcript("init-bad", &text);
    let changed: Vec<String> = differing(&before, &world.files("repo"));
    assert_eq!(changed, Vec::<String>::new(), "a refused cmw-init left something");
}

fn differing(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names = before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name));
    let mut names: Vec<String> = names.cloned().collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn any_number_of_roles() {
    for roles in [1, 2, 12, 40] {
        let world = World::new();
        let said = world.person().ok(&format!("cmw-init --roles {roles} --json | jq '.data.roles | length'"));
        assert_eq!(said, format!("{roles}\n"));
        let first = world.person().ok("git config cmw.roles");
        assert_eq!(first, format!("{roles}\n"));
        let name = world.person().ok("cmw-init --json | jq -r '.data.roles[-1]'");
        world.agent(name.trim()).run("cmw-lock status").ignored();
    }
}

#[test]
fn roles_by_name() {
    let world = World::new();
    let text = world.transcript(|t| {
        t.person("git config cmw.role.Boss.kind orchestrator; git config cmw.role.Smith.kind dev; git config cmw.role.Books.kind librarian").ignored();
        t.person("cmw-init").ignored();
        t.agent("Smith", "cmw-lock acquire").ignored();
        t.agent("Boss", "cmw-lock force-release --reason 'because'").ignored();
        t.agent("Books", "cmw-lock acquire").ignored();
        t.agent("Dev-A", "cmw-lock acquire").ignored();
    });
    assert_transcript("init-names", &text);
}

/// What a repository may look like before: a script, and the words it must find afterwards.
const BEFORE: &[(&str, &str)] = &[
    ("plain", ":"),
    (
        "a user hook",
        "printf '#!/bin/sh\\necho mine >>$HOME/ran\\n' >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ),
    (
        "a relative hooksPath",
        "mkdir -p .husky/_; printf '#!/bin/sh\\necho mine >>$HOME/ran\\n' >.husky/_/pre-commit; chmod +x .husky/_/pre-commit; git config core.hooksPath .husky/_",
    ),
    (
        "an absolute hooksPath",
        "mkdir ../my-hooks; printf '#!/bin/sh\\necho mine >>$HOME/ran\\n' >../my-hooks/pre-commit; chmod +x ../my-hooks/pre-commit; git config core.hooksPath $HOME/../my-hooks",
    ),
    (
        "a comment in the configuration",
        "printf '# by hand\\n[core]\\n\\tabbrev = 9 ; short\\n' >>.git/config",
    ),
    ("a linked work tree", "git worktree add -q -b linked ../linked"),
];

#[test]
fn uninstalling_leaves_everything_byte_for_byte_as_it_was() {
    for git in gits() {
        for (what, script) in BEFORE {
            for damage in ["", "echo x >.git/cmw/state.json"] {
                let world = World::with(&git);
                let person = world.person();
                person.ok(script);
                person.ok("git status >/dev/null");
                let (files, status) = (world.files("repo"), person.ok("git status"));
                person.ok("cmw-init --roles 4 --session x");
                let dev = world.agent("Dev-A");
                dev.ok("cmw-heartbeat register && cmw-lock acquire && cmw-lock release");
                person.ok(damage);
                let output = person.run("cmw-init --uninstall");
                assert_eq!(output.code, 0, "{what}\n{output}");
                assert_eq!(person.ok("git status"), status, "{what}");
                assert_eq!(differing(&files, &world.files("repo")), Vec::<String>::new(), "{what} {damage}");
            }
        }
    }
}

#[test]
fn what_others_put_beside_our_files_stays() {
    let world = World::new();
    let person = world.person();
    person.ok("cmw-init --roles 4");
    let dev = world.agent("Dev-A");
    dev.ok(
        "cmw-heartbeat register && cmw-lock acquire && git commit -q --allow-empty -m x && cmw-lock release",
    );
    dev.ok("for i in 1 2; do cmw-send Dev-B --subject s -- body; done");
    world.agent("Dev-B").ok("cmw-heartbeat register && cmw-inbox next");
    person.ok("cd .git && mkdir messages/other && ln -s /etc messages/link && for f in audit/mine.txt \
         audit/archive/old.log messages/mine.txt messages/other/x messages/Dev-B/new/note.json locks/mine \
         messages/Dev-B/cur/1.json.7; do echo mine >$f; done");
    person.ok("cmw-init --uninstall");
    let left = person.ok("cd .git && find audit messages locks cmw instance-registry.json message-registry* ! -type d 2>/dev/null | sort");
    let mine = "audit/archive/old.log\naudit/mine.txt\nlocks/mine\nmessages/Dev-B/cur/1.json.7\n\
                messages/Dev-B/new/note.json\nmessages/link\nmessages/mine.txt\nmessages/other/x\n";
    assert_eq!(left, mine);
}

#[test]
fn a_script_without_a_terminal_sets_up_and_an_agents_does_not() {
    let world = World::new();
    let stranger = world.unidentified();
    stranger.ok("cmw-init --roles 4 && cmw-init --preset strict && cmw-init");
    let weaker = stranger.run("cmw-init --preset solo");
    assert!(weaker.code == 77 && weaker.stderr.contains("weakening the policy"), "{weaker}");
    for signs in ["CLAUDECODE=1", "CLAUDE_ROLE=Dev-A", "CLAUDE_ROLE=Nobody"] {
        for line in ["cmw-init --roles 5", "cmw-init --dry-run --mode worktrees", "cmw-init --uninstall"] {
            let output = stranger.run(&format!("{signs} {line}"));
            assert_eq!(output.code, 77, "{signs} {line}\n{output}");
        }
    }
    assert_eq!(stranger.ok("git config cmw.preset; cmw --json | jq -r .data.preset"), "strict\nstrict\n");
    // A command that changes nothing is refused to no known actor.
    stranger.ok("CLAUDECODE=1 cmw-init; CLAUDE_ROLE=Dev-A cmw-init");
    stranger.ok("cmw-init --uninstall");
}

#[test]
fn the_hook_that_was_there_goes_on_working() {
    for (what, script) in BEFORE {
        let world = World::new();
        let person = world.person();
        person.ok(script);
        let has_hook = script.contains("echo mine");
        person.ok("cmw-init && cmw-lock acquire");
        let commit = "rm -f $HOME/ran; mkdir -p sub; cd sub; git commit -q --allow-empty -m x; cat $HOME/ran 2>/dev/null; :";
        let expected = if has_hook { "mine\n" } else { "" };
        assert_eq!(person.ok(commit), expected, "{what}");
        // Once more: ours is in effect already, and what it chains must not be forgotten.
        person.ok("cmw-init --preset solo");
        assert_eq!(person.ok(commit), expected, "{what}");
        person.ok("cmw-lock release; cmw-init --uninstall");
        assert_eq!(person.ok(commit), expected, "{what}");
        person.ok("cmw-init && cmw-lock acquire");
        assert_eq!(person.ok(commit), expected, "{what}");
    }
}

#[test]
fn a_hooks_path_of_the_user_s_own_configuration_is_chained_and_comes_back() {
    let world = World::new();
    world.write_program("home/hooks/pre-commit", "#!/bin/sh\necho mine >>$HOME/ran\n");
    world.write("home/gitconfig", format!("[core]\n\thooksPath = {}\n", world.at("home/hooks").display()));
    let person = world.person();
    let run = |line: &str| person.ok(&format!("export GIT_CONFIG_GLOBAL=$HOME/gitconfig; {line}"));
    let files = world.files("repo");
    run("cmw-init && cmw-lock acquire");
    assert_eq!(run("git commit -q --allow-empty -m x; cat $HOME/ran"), "mine\n");
    run("cmw-init --uninstall");
    assert_eq!(run("rm $HOME/ran; git commit -q --allow-empty -m x; cat $HOME/ran"), "mine\n");
    let changed = differing(&files, &world.files("repo"));
    let ours = changed.iter().filter(|f| f.contains("config") || f.contains("hooks") || f.contains("cmw"));
    assert_eq!(ours.count(), 0, "{changed:?}");
}

#[test]
fn a_linked_work_tree_and_a_subdirectory_set_up_the_whole_repository() {
    let world = World::new();
    world.git(&["worktree", "add", "-q", "-b", "linked", "../linked"]);
    let person = world.person();
    person.ok("cd ../linked && mkdir sub && cd sub && cmw-init");
    for dir in ["repo", "linked"] {
        let output = world.unidentified().cd(dir).run("git branch x");
        assert!(output.code != 0 && output.stderr.contains("needs the write lock"), "{dir}\n{output}");
    }
    assert!(world.at("repo/.git/cmw/state.json").exists());
    assert!(!world.at("repo/.git/worktrees/linked/cmw").exists());
    person.ok("cd ../linked && cmw-init --uninstall");
    world.unidentified().cd("linked").ok("git commit -q --allow-empty -m x");
}

#[test]
fn a_reftable_repository_is_guarded_too() {
    for git in gits() {
        let world = World::with(&git);
        if world.unidentified().run("git init -q --ref-format=reftable -b main ../tables").code != 0 {
            // This git does not know the format, so there is no such repository with it.
            continue;
        }
        let (person, dev) = (world.person(), world.agent("Dev-A"));
        person.cd("tables").ok("git commit -q --allow-empty -m first && cmw-init");
        let output = dev.cd("tables").run("git branch x");
        assert!(output.code != 0 && output.stderr.contains("needs the write lock"), "\n{output}");
        dev.ok("cmw-lock acquire --files a && echo x >a && git add a && git commit -q -m x");
        assert_ne!(dev.run("echo x >b && git add b && git commit -q --no-verify -m x").code, 0);
        dev.ok("git stash -q -u; git gc -q; git pack-refs --all; cmw-lock release");
        person.ok("cmw-init --uninstall");
        dev.ok("git commit -q --allow-empty -m x");
    }
}
