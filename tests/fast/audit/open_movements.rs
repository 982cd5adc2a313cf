//! What the authority allowed ends: with its outcome, or with the git that it was allowed for (docs/rules.md R6.9).

use cmw::domain::audit::journal_entry::JournalEntry;
use cmw::store::audit::journal;
use cmw::store::disk::RealDisk;
use cmw::store::document::Document;

use crate::support::{Agent, World};

/// A lock of Dev-B, and a commit `$X` to which main could move; a git that has prepared this movement waits for
/// its next command on descriptor 3.
const PREPARED: &str = "
    cmw-lock acquire --purpose honest --quiet
    M=$(git rev-parse main) X=$(git commit-tree -p main -m new 'main^{tree}')
    mkfifo p; git update-ref --stdin <p >out & G=$!; exec 3>p
    printf 'start\\nupdate refs/heads/main %s %s\\nprepare\\n' $X $M >&3
    until grep -q 'prepare: ok' out; do sleep 0.02; done; ";

fn violations(world: &World) -> String {
    let verify = world.person().run("cmw-audit verify");
    let all = world.person().run("cmw-audit violations").all();
    assert_eq!(verify.code == 0, !all.contains("V1"), "{}\n{all}", verify.all());
    all
}

fn dev(world: &World) -> Agent {
    world.agent("Dev-B")
}

#[test]
fn an_allowed_movement_ends_with_its_git() {
    for between in ["cmw-lock release --quiet", "cmw-lock release --quiet; cmw-lock acquire --quiet"] {
        for frozen in [false, true] {
            let world = World::ready();
            dev(&world).ok(&format!(
                "{PREPARED} kill -9 $G; wait $G; rm -f .git/refs/heads/main.lock .git/HEAD.lock; {between}; echo $X >x"
            ));
            if frozen {
                world.person().ok("cmw-freeze now --reason stop");
            }
            dev(&world).ok("git -c core.hooksPath= update-ref refs/heads/main $(cat x)");
            assert!(violations(&world).contains("refs/heads/main"), "{between}, frozen: {frozen}");
        }
    }
}

#[test]
fn a_hook_called_by_hand_allows_nothing() {
    let world = World::ready();
    dev(&world).ok("
        cmw-lock acquire --purpose honest --quiet
        M=$(git rev-parse main) X=$(git commit-tree -p main -m new 'main^{tree}')
        echo \"$M $X refs/heads/main\" | $(git rev-parse --git-path hooks)/reference-transaction prepared
        cmw-lock release --quiet; git -c core.hooksPath= update-ref refs/heads/main $X");
    assert!(violations(&world).contains("refs/heads/main"));
}

#[test]
fn a_git_that_was_killed_before_it_said_what_it_did_is_no_violation() {
    let world = World::ready();
    // The movement without the hook stands for the last thing that git did.
    dev(&world).ok(&format!("{PREPARED} kill -9 $G; wait $G; rm -f .git/refs/heads/main.lock .git/HEAD.lock; git -c core.hooksPath= update-ref refs/heads/main $X; cmw-lock release --quiet"));
    assert!(!violations(&world).contains("V1"));
    world.person().ok("cmw-freeze now --reason stop");
    assert!(!violations(&world).contains("V1"));
}

#[test]
fn a_git_that_was_suspended_and_goes_on_is_no_violation() {
    let world = World::ready();
    dev(&world).ok(&format!(
        "{PREPARED} kill -STOP $G; cmw-lock release --quiet; cmw-audit verify >/dev/null || exit 9
         kill -CONT $G; echo commit >&3; until grep -q 'commit: ok' out; do sleep 0.02; done; exec 3>&-; wait $G"
    ));
    assert!(!violations(&world).contains("V1"));
    let log = world.person().ok("cmw-audit log --event COMMIT_VERIFIED");
    assert!(log.contains("AFTER THE LEASE WAS OVER"), "{log}");
}

/// Two lines of the journal, chained as the hooks chain them: main is allowed to go to `$X`, and went there.
const WRITTEN_BY_HAND: &str = r#"
    M=$(git rev-parse main) X=$(git commit-tree -p main -m new 'main^{tree}') J=.git/audit/journal.jsonl
    line() { printf '{"prev":"%s",%s\n' "$(tail -n 1 $J | tr -d '\n' | sha256sum | cut -c1-64)" "$1" >>$J; }
    intent() {
        line "\"kind\":\"intent\",\"at\":\"2026-11-28T09:00:00.000Z\",\"when\":$WHEN,\"by\":\"Dev-B\",\"token\":$TOKEN,\"name\":\"refs/heads/main\",\"old\":\"$M\",\"new\":\"$X\",\"files\":[],\"outside\":[]$1}"
        line "\"kind\":\"observed\",\"at\":\"2026-11-28T09:00:00.000Z\",\"name\":\"refs/heads/main\",\"new\":\"$X\",\"token\":$TOKEN}"
        git -c core.hooksPath= update-ref refs/heads/main $X
    }
    TOKEN=$(jq .state.last.token .git/cmw/state.json) WHEN=$(grep '"intent"' $J | tail -n 1 | jq -c .when)
    DOCUMENT=$(jq .seq .git/cmw/state.json); "#;

#[test]
fn a_movement_written_by_hand_is_found() {
    let none = r#"intent """#;
    let before = r#"intent ",\"document\":$BEFORE""#;
    let current = r#"intent ",\"document\":$DOCUMENT""#;
    let later = r#"intent ",\"document\":$((DOCUMENT + 5))""#;
    let with_token_0 = r#"TOKEN=0; intent ",\"document\":$DOCUMENT""#;
    for frozen in [false, true] {
        for how in [none, before, current, later, with_token_0] {
            let world = World::ready();
            dev(&world).ok("cmw-lock acquire --quiet; git commit -q --allow-empty -m a; jq .seq .git/cmw/state.json >../before; cmw-lock release --quiet");
            if frozen {
                world.person().ok("cmw-freeze now --reason stop");
            } else {
                dev(&world).ok("cmw-lock acquire --quiet; cmw-lock release --quiet");
            }
            dev(&world).ok(&format!("BEFORE=$(cat ../before); {WRITTEN_BY_HAND} {how}"));
            assert!(violations(&world).contains("refs/heads/main"), "{how}, frozen: {frozen}");
            // It is found once.
            assert!(!violations(&world).contains("V2"), "{how}, frozen: {frozen}");
            if !frozen {
                world.person().ok("cmw-audit adopt V1 --reason seen && cmw-audit verify");
            }
        }
    }
}

#[test]
fn what_was_judged_just_before_a_publish_is_no_violation() {
    let world = World::ready();
    // A hook of the repository's own runs between the checks and git: others publish meanwhile.
    dev(&world).ok("
        cmw-lock acquire --quiet
        for i in 1 2 3 4 5 6; do
            (for k in 1 2 3; do CLAUDE_ROLE=Dev-A cmw-lock acquire --quiet; CLAUDE_ROLE=Dev-A cmw-lock cancel --quiet; done) >/dev/null 2>&1 &
            git commit -q --allow-empty -m $i
        done; wait; cmw-lock release --quiet");
    assert!(world.person().ok("cmw-audit log --event LOCK_REQUESTED -n 50").lines().count() > 3);
    assert!(!violations(&world).contains("V1"));
}

#[test]
fn what_a_publish_has_overtaken_is_judged_again() {
    let world = World::ready();
    dev(&world).ok("cmw-lock acquire --quiet; git commit -q --allow-empty -m a; cmw-lock release --quiet");
    let disk = RealDisk::open(&world.at("repo/.git")).unwrap();
    let journal = || world.read("repo/.git/audit/journal.jsonl");
    let before = journal();
    let intent = before.lines().find(|line| line.contains("\"kind\":\"intent\"")).unwrap();
    let intent: JournalEntry = serde_json::from_str(intent).unwrap();
    let current = Document::load(&disk).unwrap().seq;
    let append = |judged: u64, is_same: bool| {
        journal::append_allowed(&disk, judged, |_| is_same, &mut [intent.clone()]).unwrap()
    };
    assert!(!append(current - 1, false), "another state");
    assert_eq!(journal(), before);
    assert!(append(current - 1, true), "a state that judges alike");
    assert!(append(current, false), "nothing has come in between");
    let named = format!("\"document\":{current}}}");
    assert!(journal().lines().rev().take(2).all(|line| line.ends_with(&named)), "{}", journal());
}

/// Writes main and its reflog by hand, to a commit on top of it.
const BY_HAND: &str = "
    M=$(git rev-parse main) X=$(git commit-tree -p main -m new 'main^{tree}') J=.git/audit/journal.jsonl
    line() { printf '{\"prev\":\"%s\",%s\\n' \"$(tail -n 1 $J | tr -d '\\n' | sha256sum | cut -c1-64)\" \"$1\" >>$J; }
    mark() { printf '%s %s' \"$1\" \"$2\" | sha256sum | cut -c1-16; }
    git -c core.hooksPath= update-ref refs/heads/main $X; ";

/// Dev-B has committed under its lease, then the person froze.
fn frozen_after(lease: &str) -> World {
    let world = World::ready();
    dev(&world).ok(&format!(
        "cmw-lock acquire --quiet; git commit -q --allow-empty -m a; {lease} cmw-lock release --quiet"
    ));
    world.person().ok("cmw-audit verify && cmw-freeze now --reason stop");
    world
}

#[test]
fn a_baseline_written_by_hand_accepts_nothing() {
    let world = frozen_after("");
    dev(&world).ok(&format!(r#"{BY_HAND}
        line "\"kind\":\"baseline\",\"at\":\"2026-11-28T09:00:00.000Z\",\"by\":\"System\",\"why\":\"cmw-init\",\"refs\":[{{\"name\":\"refs/heads/main\",\"value\":\"$X\",\"log\":\"$(mark $M $X)\"}}]}}""#));
    assert!(violations(&world).contains("refs/heads/main"));
}

#[test]
fn what_was_given_up_is_not_carried_out_under_another_document() {
    let world = frozen_after(
        "M=$(git rev-parse main); X=$(git commit-tree -p main -m new 'main^{tree}'); echo $M $X >../x
         printf 'start\nupdate refs/heads/main %s %s\nprepare\nabort\n' $X $M | git update-ref --stdin;",
    );
    dev(&world).ok("
        read M X <../x; echo $X >.git/refs/heads/main
        echo \"$M $X refs/heads/main\" | .git/cmw/hooks/reference-transaction committed");
    assert!(violations(&world).contains("refs/heads/main"));
}

#[test]
fn a_journal_that_was_cut_and_written_anew_is_found() {
    let world = frozen_after("");
    dev(&world).ok(r#"head -n -3 .git/audit/journal.jsonl >../j && cp ../j .git/audit/journal.jsonl
        for i in 1 2 3 4 5 6 7 8 9; do git commit -q --allow-empty -m refused; done; true"#);
    let verify = world.person().run("cmw-audit verify");
    assert!(verify.code != 0 && verify.all().contains("the ref journal, line"), "{verify}");
}

#[test]
fn an_agent_that_rebuilds_a_state_of_which_nothing_is_left_does_not_thaw() {
    let world = frozen_after("");
    dev(&world).run("rm -r .git/cmw/state.json .git/audit/orchestrator-decisions.log .git/message-registry.json .git/cmw/registry; cmw-doctor --fix").ignored();
    let refused = dev(&world).run("git commit -q --allow-empty -m x");
    assert!(refused.code != 0 && refused.stderr.contains("frozen"), "{refused}");
}

#[test]
fn an_entry_that_lies_ahead_holds_nothing_up() {
    let world = World::ready();
    dev(&world).ok("cmw-lock acquire --quiet; git commit -q --allow-empty -m a");
    dev(&world).ok(r#"J=.git/audit/journal.jsonl; line() { printf '{"prev":"%s",%s\n' "$(tail -n 1 $J | tr -d '\n' | sha256sum | cut -c1-64)" "$1" >>$J; }
        line "\"kind\":\"intent\",\"at\":\"2026-11-28T09:00:00.000Z\",\"when\":$(grep '"intent"' $J | tail -n 1 | jq -c '.when | .ms += 1000000000'),\"by\":\"Dev-B\",\"token\":0,\"name\":\"refs/stash\",\"old\":\"\",\"new\":\"$(git rev-parse main)\",\"files\":[],\"outside\":[]}"
        for i in 1 2 3; do git commit -q --allow-empty -m $i; done; cmw-lock release --quiet"#);
    assert_eq!(world.person().ok("cmw-audit log --event COMMIT_VERIFIED -n 50").lines().count(), 4);
}
