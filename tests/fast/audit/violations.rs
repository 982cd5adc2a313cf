//! Tests of violations: a movement around the hooks is found once, and nothing else is (docs/rules.md R6.2,
//! R6.3). Real git, each installed version.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use std::path::Path;

use crate::support::{Output, World, gits};

/// Four commits on `main`, branches `side` (one of its own), `old` (behind) and `spare`; a tag.
fn scene(git: &Path, format: &str) -> Option<World> {
    let world = World::with(git);
    if format == "reftable" {
        let script =
            "rm -rf .git && git init -q -b main --ref-format=reftable && git add a && git commit -q -m first";
        if world.unidentified().run(script).code != 0 {
            return None;
        }
    }
    for text in ["second", "third", "fourth"] {
        world.write("repo/a", text);
        world.git(&["commit", "-q", "-a", "-m", text]);
    }
    world.git(&["tag", "v1", "HEAD~1"]);
    world.git(&["branch", "old", "HEAD~2"]);
    world.git(&["branch", "spare", "HEAD~1"]);
    world.git(&["switch", "-q", "-c", "side", "HEAD~1"]);
    world.write("repo/b", "b");
    world.git(&["add", "b"]);
    world.git(&["commit", "-q", "-m", "side"]);
    world.git(&["switch", "-q", "main"]);
    world.git(&["clone", "-q", "--bare", ".", "../origin"]);
    world.git(&["remote", "add", "origin", "../origin"]);
    world.git(&["fetch", "-q", "origin"]);
    world.person().ok("git config cmw.lock.auto false && cmw-init --preset solo");
    Some(world)
}

fn scenes() -> Vec<World> {
    let all = gits().into_iter().flat_map(|git| ["files", "reftable"].map(|format| scene(&git, format)));
    all.flatten().collect()
}

fn is_files(world: &World) -> bool {
    !world.at("repo/.git/reftable").exists()
}

/// `cmw-audit verify --json` of the person, and its exit code.
fn verify(world: &World) -> (i32, serde_json::Value) {
    let output = world.person().run("cmw-audit verify --json");
    let answer: serde_json::Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"));
    (output.code, answer["data"].clone())
}

/// `name was is` of all open violations, ids by their first four digits.
fn open(world: &World) -> Vec<String> {
    let (_, data) = verify(world);
    let mut told = Vec::new();
    for violation in data["violations"].as_array().unwrap() {
        for place in violation["refs"].as_array().unwrap() {
            let text = |key: &str| place[key].as_str().unwrap().chars().take(4).collect::<String>();
            told.push(format!("{} {}>{}", place["name"].as_str().unwrap(), text("was"), text("is")));
        }
    }
    told
}

fn oid(world: &World, name: &str) -> String {
    world.git(&["rev-parse", name])[..4].to_owned()
}

/// A git that asks no hook.
const BARE: &str = "git -c core.hooksPath=/dev/null";

#[test]
fn every_bypass_is_found_once() {
    for world in scenes() {
        let files = is_files(&world);
        assert_eq!(verify(&world).0, 0, "{}", world.person().run("cmw-audit verify"));
        let newer = world.git(&["--version"]);
        let first = oid(&world, "HEAD~3");
        let (main, before) = (oid(&world, "main"), oid(&world, "main~1"));
        let (side, spare, old) = (oid(&world, "side"), oid(&world, "spare"), oid(&world, "old"));
        let ways: Vec<(&str, String, Vec<String>)> = vec![
            ("-c", format!("{BARE} update-ref refs/heads/main main~1"), vec![format!("refs/heads/main {main}>{before}")]),
            (
                "environment",
                "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/dev/null git update-ref refs/heads/side main~1".to_owned(),
                vec![format!("refs/heads/side {side}>{}", oid(&world, "main~2"))],
            ),
            (
                "hooks moved away",
                "mv .git/cmw/hooks .git/cmw/away; git update-ref refs/heads/spare main~1; mv .git/cmw/away .git/cmw/hooks".to_owned(),
                vec![format!("refs/heads/spare {spare}>{}", oid(&world, "main~2"))],
            ),
            (
                "a commit",
                format!("echo x >>a; {BARE} commit -q -a -m sneaky; {BARE} branch -q new"),
                vec![],
            ),
            ("gone", format!("{BARE} update-ref -d refs/heads/old"), vec![format!("refs/heads/old {old}>")]),
            ("there and back", {
                let to = &world.git(&["rev-parse", "HEAD~3"]);
                format!("t=$(git rev-parse spare); {BARE} update-ref refs/heads/spare {to}; {BARE} update-ref refs/heads/spare $t")
            }, vec![]),
            ("a tag", format!("{BARE} tag -f v1 {first}"), vec![]),
        ];
        let mut known = 0;
        for (what, script, expected) in ways {
            world.unidentified().ok(&script);
            let found = open(&world);
            assert!(found.len() > known, "{what} was not found, {newer} {files}");
            for line in &expected {
                assert!(found[known..].contains(line), "{what}: {line} is not in {found:?}");
            }
            known = found.len();
            assert_eq!(open(&world).len(), known, "{what} was found twice");
        }
        if files {
            for (what, script) in [
                ("a file", "x=$(git rev-parse side~1); echo $x >.git/refs/heads/side"),
                (
                    "packed",
                    "git pack-refs --all; sed -i \"s,^.* refs/heads/spare,$(git rev-parse side) refs/heads/spare,\" .git/packed-refs",
                ),
            ] {
                world.unidentified().ok(script);
                let found = open(&world);
                assert_eq!(found.len(), known + 1, "{what}: {found:?}");
                known += 1;
                assert_eq!(open(&world).len(), known, "{what} was found twice");
            }
        }
        let log = world.person().ok("cmw-audit log --all --event VIOLATION_FOUND");
        assert_eq!(log.lines().count(), known, "{log}");
        let mail = world.agent("Librarian").ok("cmw-inbox list");
        assert!(mail.contains("SECURITY_ALERT  HIGH") && mail.contains("main moved from"), "{mail}");
        let shown = world.person().run("cmw-audit violations");
        assert!(shown.stdout.contains("A <a@example.org>: commit: sneaky"), "{shown}");
    }
}

#[test]
fn what_git_asks_no_hook_for_is_found() {
    for world in scenes() {
        let holder = world.agent("Dev-A");
        holder.ok("cmw-lock acquire");
        let mut known = 0;
        let mut grows = |what: &str, script: &str| {
            holder.ok(script);
            let found = open(&world);
            assert!(found.len() > known, "{what}: {found:?}");
            known = found.len();
            assert_eq!(open(&world).len(), known, "{what} was found twice");
        };
        grows("copied", "git branch -C spare copied");
        grows(
            "the reflog's update",
            "echo x >>a; git commit -q -a -m x; git reflog delete --updateref main@{0}",
        );
        if !is_files(&world) {
            grows("renamed", "git branch -m old older");
        }
    }
}

#[test]
fn what_is_allowed_is_never_found() {
    for world in scenes() {
        let holder = world.agent("Dev-A");
        holder.ok("cmw-lock acquire");
        let files = is_files(&world);
        let has_symrefs = !world.git(&["--version"]).contains(" 2.3");
        for script in [
            "echo 1 >>a; git commit -q -a -m x; git commit -q --amend -m y",
            "git branch b1; git branch -f b1 HEAD~1; git branch -D b1",
            "git switch -q -c b2; git switch -q main; git branch -D b2",
            "git merge -q --no-edit side",
            "git reset -q --hard HEAD~1; git reset -q --hard; git reset -q",
            "git checkout -q --detach; git commit -q --allow-empty -m d; git switch -q main",
            "git cherry-pick side >/dev/null; git revert --no-edit HEAD >/dev/null",
            "git switch -q side; git rebase -q main; git switch -q main",
            "echo s >>a; git stash -q; git stash pop -q; git checkout -q -- a",
            "git tag t1; git tag -a -m x t2; git tag -f t1 HEAD~1; git tag -d t1",
            "git notes add -m n; git notes add -f -m n2; git notes remove",
            "git replace HEAD~1 HEAD~2; git replace -d HEAD~1",
            "git fetch -q . main:fetched; git push -q . main:pushed; git push -q . :pushed",
            "git push -q origin side:elsewhere; git fetch -q --prune origin; git pull -q --no-rebase origin elsewhere",
            "git worktree add -q -b w ../w; cd ../w; git commit -q --allow-empty -m w; cd ../repo; git worktree remove ../w",
            "git symbolic-ref refs/heads/alias refs/heads/spare; git update-ref refs/heads/alias HEAD~1; git symbolic-ref -d refs/heads/alias",
            "printf 'start\\nupdate refs/heads/u1 HEAD\\nupdate refs/heads/u2 HEAD\\ncommit\\n' | git update-ref --stdin",
            "git gc -q --prune=now; git pack-refs --all; git repack -q -a -d",
            "git branch b3; git pack-refs --all; git branch -D b3; git branch b3; git update-ref -d refs/heads/b3",
            "git reflog expire --expire=now --all",
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do git branch many$i; done; git pack-refs --all; git branch -q -D $(git for-each-ref --format='%(refname:short)' refs/heads/many*)",
            "! git rebase -q --onto HEAD~1 side~1 old >/dev/null 2>&1 || true; git rebase --abort 2>/dev/null; git switch -q main",
            "git bisect start -q HEAD HEAD~2 >/dev/null; git bisect reset >/dev/null 2>&1",
        ] {
            // Before 2.46 git asks no hook for a symbolic ref: that is found, and must be.
            if script.contains("symbolic-ref") && !has_symrefs {
                continue;
            }
            let output = holder.run(script);
            let (code, data) = verify(&world);
            assert_eq!(code, 0, "files: {files}, {}\n{output}\n{data:#}", world.git(&["--version"]));
        }
        if files {
            for script in
                ["git branch -m old older", "git branch -M older spare; git commit -q --allow-empty -m m"]
            {
                holder.ok(script);
                assert_eq!(verify(&world).0, 0, "{script} {:?}", open(&world));
            }
            holder.ok("git branch -m main trunk; git commit -q --allow-empty -m t; git branch -m trunk main");
            assert_eq!(open(&world), [""; 0]);
        }
        let (_, data) = verify(&world);
        assert!(data["anchors"].as_u64().unwrap() >= 1 && data["journal"]["lines"].as_u64().unwrap() > 50);
    }
}

#[test]
fn the_next_commit_notices_what_went_before_it() {
    for world in scenes() {
        let holder = world.agent("Dev-A");
        holder.ok("cmw-lock acquire; echo 1 >>a; git commit -q -a -m one");
        world.unidentified().ok(&format!("{BARE} update-ref refs/heads/main main~1"));
        // Covered at once: nothing of it is to be seen in the ref any more.
        holder.ok("git reset -q --hard; echo 2 >>a; git commit -q -a -m two");
        let log = holder.ok(
            "cmw-lock status >/dev/null; cmw-lock renew >/dev/null; cmw-audit log --event VIOLATION_FOUND",
        );
        assert!(log.contains("refs/heads/main moved from"), "{log}");
        assert_eq!(open(&world).len(), 1, "and no second time");
        assert_eq!(open(&world).len(), 1);
    }
}

fn assert_refused(output: &Output, words: &str) {
    assert_ne!(output.code, 0, "{output}");
    assert!(
        output.stderr.contains(words) && output.stderr.contains("next: cmw-audit violations"),
        "{output}"
    );
}

#[test]
fn a_violation_taints_its_branch_until_the_person_adopts_it() {
    for world in scenes() {
        let holder = world.agent("Dev-A");
        holder.ok("cmw-lock acquire");
        world.unidentified().ok(&format!(
            "git switch -q side; echo x >>b; {BARE} commit -q -a -m sneaky; git switch -q main"
        ));
        assert_eq!(open(&world).len(), 1);
        // Work goes on where all share one branch; nothing of the tainted one goes elsewhere.
        holder.ok("echo 1 >>a; git commit -q -a -m x; git branch harmless");
        assert_refused(&holder.run("git merge -q --no-edit side"), "refs/heads/side moved from");
        holder.ok("git reset -q --hard; git merge --abort 2>/dev/null; git reset -q --hard");
        assert_refused(&holder.run("git branch copy side"), "refs/heads/side moved from");
        holder.ok("git merge -q --no-edit side~1");
        for who in [
            world.agent("Dev-A"),
            world.agent("Librarian"),
            world.agent("Orchestrator"),
            world.unidentified(),
        ] {
            let output = who.run("cmw-audit adopt V1 --reason mine");
            assert_eq!(output.code, 77, "{output}");
        }
        let output = world.person().run("cmw-audit adopt V7 --reason x");
        assert!(output.code == 1 && output.stderr.contains("no open violation V7"), "{output}");
        world.person().ok("cmw-audit adopt V1 --reason 'it was me'");
        assert_eq!(verify(&world).0, 0);
        holder.ok("git merge -q --no-edit side; git branch copy side");
        let log = world.person().ok("cmw-audit log --all --event VIOLATIONS_ADOPTED");
        assert!(log.contains("V1: it was me"), "{log}");
        assert_eq!(verify(&world).0, 0);
    }
}

#[test]
fn a_journal_that_was_touched_shows_once() {
    let cut = "head -n -3 $J >x && cat x >$J && rm x";
    for (what, damage) in [
        ("changed", "sed -i '4s/Dev-A/Dev-B/' $J"),
        ("a line is gone", "sed -i 4d $J"),
        ("the beginning is gone", "sed -i 1,3d $J"),
        ("the end is gone", cut),
        ("all of it is gone", ": >$J"),
        ("garbage", "sed -i '5s/.*/garbage/' $J"),
    ] {
        let world = scene(&gits()[0], "files").unwrap();
        let holder = world.agent("Dev-A");
        holder.ok("cmw-lock acquire; for i in 1 2 3 4; do echo $i >>a; git commit -q -a -m $i; done");
        assert_eq!(verify(&world).0, 0);
        world.unidentified().ok(&format!("J=.git/audit/journal.jsonl; {damage}"));
        let output = world.person().run("cmw-audit verify");
        assert_ne!(output.code, 0, "{what}: {output}");
        let before =
            world.person().ok("cmw-audit log --all --json --severity high").matches("\"seq\"").count();
        assert!(before >= 1, "{what}");
        let again = world.person().run("cmw-audit verify");
        let after =
            world.person().ok("cmw-audit log --all --json --severity high").matches("\"seq\"").count();
        assert_eq!(after, before, "{what} is told twice: {again}");
        // What comes after it is anchored again.
        world.pass_ms(700_000);
        let gone = again.stderr.contains("no baseline of the refs");
        assert_eq!(gone, what.contains("beginning") || what.contains("all of it"), "{what}: {again}");
        assert!(
            again.stdout.contains("(the ref journal, line") || what == "the end is gone",
            "{what}: {again}"
        );
        if gone {
            // A new set-up lets everything stand that moved before.
            world.agent("Dev-B").run("cmw-init").ignored();
            assert_eq!(world.person().run("cmw-audit verify").code, 78, "{what}");
            world.person().ok("cmw-init");
        }
        assert_eq!(verify(&world).1["anchors"], 1, "before this look");
        assert_eq!(verify(&world).1["anchors"], 2, "{what}");
    }
}

#[test]
fn an_audit_that_is_computed_anew_differs_from_its_anchor() {
    let world = scene(&gits()[0], "files").unwrap();
    world.agent("Dev-A").ok("cmw-lock acquire; git commit -q --allow-empty -m x; cmw-lock release");
    assert_eq!(verify(&world).0, 0);
    assert!(world.git(&["log", "-1", "--format=%s", "refs/cmw/anchor"]).contains("cmw anchor"));
    // Everything is removed and set up anew: the anchors tell of the earlier one.
    let agent = world.agent("Dev-A");
    let refused = agent.run("git update-ref -d refs/cmw/anchor");
    assert!(
        refused.code != 0 && refused.stderr.contains("moving refs/cmw/anchor is not for Dev-A"),
        "{refused}"
    );
    agent.ok("git gc -q; git pack-refs --all");
    assert_eq!(verify(&world).0, 0);
    world.unidentified().ok(&format!("{BARE} update-ref -d refs/cmw/anchor"));
    assert_eq!(open(&world).len(), 1, "{:?}", open(&world));
}

#[test]
fn a_record_that_a_killed_command_left_behind_is_no_damage() {
    let world = scene(&gits()[0], "files").unwrap();
    world.person().ok("cmw-audit verify && cmw pause --reason x");
    // As if it had been killed between its publish and the log.
    let log = "repo/.git/audit/orchestrator-decisions.log";
    let text = world.read(log);
    let cut = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    world.write(log, &text[..cut]);
    let output = world.person().run("cmw-audit verify");
    assert_eq!(output.code, 0, "{output}");
}

#[test]
fn six_writers_leave_a_journal_without_a_gap() {
    for git in gits() {
        let world = scene(&git, "files").unwrap();
        world.person().ok("git config cmw.mode worktrees && cmw-init");
        let script = "for i in 1 2 3 4 5 6 7 8; do git commit-tree HEAD^{tree} -p HEAD -m $i | xargs git update-ref refs/heads/agent/$CLAUDE_ROLE/x || exit 1; done";
        std::thread::scope(|scope| {
            for role in ["Dev-A", "Dev-B", "Architect-A", "QA-A", "QA-B", "Docs"] {
                let agent = world.agent(role);
                scope.spawn(move || agent.ok(script));
            }
        });
        let (code, data) = verify(&world);
        assert_eq!(code, 0, "{data:#}");
        assert!(data["journal"]["lines"].as_u64().unwrap() >= 96, "{data:#}");
    }
}
