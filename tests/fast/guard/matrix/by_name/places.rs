//! Places and callers of all kinds, and hooks that are broken.

use std::collections::BTreeSet;

use std::collections::BTreeMap;

use cmw::domain::audit::journal_entry::JournalEntry;
use cmw::store::audit::journal;
use cmw::store::disk::RealDisk;

use super::{Case, each, each_with_reftables};

#[test]
fn t23_a_commit_is_judged_alike_in_every_place() {
    each(|case| {
        let places = [
            "cd ../side/linked; echo x >>a; git add a",
            "cd sub; echo x >>s; git add s",
            "git --git-dir=.git --work-tree=. rm -q --cached a",
            "cp .git/index ../side/index; export GIT_INDEX_FILE=$PWD/../side/index; git rm -q --cached f2",
        ];
        for place in places {
            for flag in ["", "--no-verify"] {
                case.refused(&format!("{place}; git commit -q {flag} -m x"));
                case.bare("git reset -q --hard; git -C ../side/linked reset -q --hard");
            }
        }
        case.refused("git checkout -q --orphan new; git commit -q -m x");
        case.refused("git commit -q --no-verify -m x");
        case.bare("git switch -q -f main");
        case.harmless("git switch -q --detach && git commit -q --allow-empty -m x && git switch -q main");
        case.lock_goes_to_dev();
        for place in places {
            let moved = case.refs();
            case.dev().ok(&format!("{place}; git commit -q -m x"));
            assert_ne!(case.refs(), moved, "{place}");
            case.bare("git reset -q --hard; git -C ../side/linked reset -q --hard");
        }
        case.dev().ok("git checkout -q --orphan new; git commit -q -m x");
    });
}

#[test]
fn t24_a_borrowed_name_gives_no_right() {
    each(|case| {
        case.world
            .person()
            .ok("cmw-init --preset team && git config user.name A && git config user.email a@b");
        for role in ["Dev-A", "Dev-B"] {
            case.world.agent(role).ok("cmw-heartbeat register");
        }
        let words = "CLAUDE_ROLE says Dev-B, but this process runs in the pane of Dev-A";
        for line in ["git commit -q --allow-empty -m x", "git commit -q --no-verify --allow-empty -m x"] {
            let said = case.refused(&format!("export CLAUDE_ROLE=Dev-B TMUX_PANE=%9; {line}"));
            assert!(said.contains(words), "{said}");
            for way in ["setsid --wait", "env -i PATH=\"$PATH\" HOME=\"$HOME\"", "nohup"] {
                let said = case.refused(&format!("{way} {line}"));
                assert!(said.contains("Dev-B has the write lock"), "{way}: {said}");
                let holder = case.world.agent("Dev-B");
                holder.ok(&format!("{way} {line}"));
            }
            // Away from its ancestors and without a name: an unidentified process.
            let away = format!(
                "(env -u CLAUDE_ROLE setsid sh -c 'while [ $(ps -o ppid= $$) = '$$' ]; do sleep .01; done; {line}' >../side/said 2>&1; echo $? >../side/code) & sleep .3"
            );
            let refs = case.refs();
            case.dev().run(&away).ignored();
            crate::support::agent::wait_until("it", || case.world.at("side/code").exists());
            assert_ne!(case.world.read("side/code").trim(), "0", "{}", case.world.read("side/said"));
            assert_eq!(case.refs(), refs);
            std::fs::remove_file(case.world.at("side/code")).unwrap();
        }
    });
}

#[test]
fn t25_a_broken_hook_is_a_finding() {
    each(|case| {
        let hook = ".git/cmw/hooks/reference-transaction";
        for damage in [
            "rm $H; ln -s /nowhere $H",
            "cp $H x; chmod -x x; mv -f x $H",
            "rm $H; : >$H; chmod +x $H",
            "rm $H",
        ] {
            case.world.unidentified().ok(&format!("H={hook}; {damage}"));
            let output = case.world.agent("Librarian").run("cmw-doctor");
            assert_eq!(output.code, 1, "{damage}\n{output}");
            assert!(output.all().contains("reference-transaction"), "{damage}\n{output}");
            case.world.person().ok("cmw-init");
            case.refused("git branch new");
        }
    });
}

#[test]
fn t25_a_damaged_state_refuses_what_is_protected_and_nothing_else() {
    each(|case| {
        for damage in ["echo no >$S", ": >$S", "rm $S"] {
            case.world.unidentified().ok(&format!("S=.git/cmw/state.json; cp $S ../side/state; {damage}"));
            case.fails("git commit -q --allow-empty --no-verify -m x");
            case.fails("git branch -D feature");
            case.harmless(
                "git fetch -q && echo x >>a && git stash push -q && git stash pop -q && git checkout -q -- a",
            );
            case.harmless(
                "git switch -q feature && git switch -q main && git gc -q && git tag t && git tag t2",
            );
            case.bare("git tag -d t t2");
            case.world.unidentified().ok("cp ../side/state .git/cmw/state.json");
        }
    });
}

#[test]
fn t25_a_journal_that_cannot_be_written_refuses_what_is_protected_and_nothing_else() {
    each(|case| {
        case.lock_goes_to_dev();
        // One that is damaged itself is set aside (docs/decisions.md D30).
        case.world.unidentified().ok("L=.git/cmw/journal.lock; rm -f $L && mkdir $L");
        for line in ["git commit -q --allow-empty -m x", "git commit -q --no-verify --allow-empty -m x"] {
            case.fails(line);
        }
        case.fails("git branch -D feature");
        case.harmless(
            "git fetch -q && echo x >>a && git stash push -q && git stash pop -q && git reset -q --hard",
        );
        case.harmless("git switch -q feature && git switch -q main && git gc -q");
        case.world.unidentified().ok("rmdir .git/cmw/journal.lock");
        case.dev().ok("git commit -q --allow-empty -m x");
        assert_eq!(case.open(), [""; 0], "2.{}", case.minor);
    });
}

#[test]
fn t25_other_formats_are_guarded_too() {
    let holder_only = |case: &Case, dir: &str, setup: &str| {
        case.world.unidentified().ok(setup);
        case.world.person().ok(&format!("cd {dir} && git config cmw.lock.auto false && cmw-init"));
        let lines = [
            "git commit -q --allow-empty -m x",
            "git commit -q --no-verify --allow-empty -m x",
            "git update-ref refs/heads/nb $(git commit-tree $(git mktree </dev/null) -m x)",
        ];
        for line in lines {
            let output = case.dev().run(&format!("cd {dir} && {line}"));
            assert!(output.code != 0 && output.stderr.contains("refused: "), "{setup}\n{output}");
            assert!(!output.stderr.contains("panicked"), "{output}");
        }
        case.dev().ok(&format!("cd {dir} && cmw-lock acquire && {}", lines.join(" && ")));
    };
    each(|case| {
        holder_only(case, "../side/sha", "git init -q --object-format=sha256 ../side/sha");
        holder_only(
            case,
            "../side/split",
            "git clone -q . ../side/split; cd ../side/split; git config core.splitIndex true; git update-index --split-index; git config index.version 4",
        );
        holder_only(
            case,
            "../side/sparse",
            "git clone -q . ../side/sparse; cd ../side/sparse; git sparse-checkout set --cone --sparse-index sub 2>/dev/null",
        );
    });
    each_with_reftables(|case| {
        holder_only(case, "../side/ref", "git init -q --ref-format=reftable ../side/ref");
        holder_only(
            case,
            "../side/both",
            "git init -q --ref-format=reftable --object-format=sha256 ../side/both",
        );
    });
}

#[test]
fn t25_six_writers_leave_a_journal_in_which_each_value_follows_the_one_before() {
    each(|case| {
        case.lock_goes_to_dev();
        let write = "i=0; while [ $i -lt 8 ]; do i=$((i+1)); git update-ref refs/heads/busy $(git commit-tree HEAD^{tree} -m W$i) 2>/dev/null; done";
        let writers: Vec<_> = (0..6).map(|w| case.dev().spawn(&write.replace('W', &w.to_string()))).collect();
        for writer in writers {
            writer.wait().ignored();
        }
        let disk = RealDisk::open(&case.world.at("repo/.git")).unwrap();
        let mut value = BTreeMap::new();
        let mut moved = 0;
        for line in journal::read_chain(&disk, &BTreeSet::new()).unwrap().entries {
            let entry = line.entry;
            if let JournalEntry::Intent { name, old, new, .. } = entry
                && name == "refs/heads/busy"
            {
                let before = value.insert(name, new).unwrap_or_default();
                assert_eq!(old, before, "2.{}: movement {moved}", case.minor);
                moved += 1;
            }
        }
        assert!(moved >= 12, "{moved} movements");
        assert_eq!(value["refs/heads/busy"], case.world.git(&["rev-parse", "busy"]));
    });
}
