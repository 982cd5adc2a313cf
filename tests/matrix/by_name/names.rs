//! Refs by their names: whatever says where a branch is to go is asked.

use super::{each, each_with_reftables};

#[test]
fn t12_what_moves_nothing_is_allowed() {
    each(|case| {
        let dirty = "echo x >>a; git add a";
        case.harmless(&format!("{dirty}; git reset -q && git reset -q --hard"));
        case.harmless(
            "git reset -q --soft HEAD && git update-ref refs/heads/main main && git update-ref HEAD HEAD",
        );
        case.harmless("git branch -f feature feature && git merge -q old && git pull -q . old");
        let picture = case.world.picture();
        case.refused("git reset -q --hard HEAD~1");
        case.harmless("git reset -q --hard");
        assert_eq!(case.world.picture(), picture);
    });
}

#[test]
fn t13_a_transaction_is_refused_as_a_whole() {
    each(|case| {
        case.bare("git branch agent/Dev-A/x");
        let update = |refs: &[&str]| {
            let line = |name: &&str| format!("update {name} {}\\n", case.world.git(&["rev-parse", "old"]));
            format!("printf '{}' | git update-ref --stdin", refs.iter().map(line).collect::<String>())
        };
        case.refused(&update(&["refs/heads/agent/Dev-A/x", "refs/heads/main"]));
        case.refused(&update(&["refs/heads/main", "refs/heads/agent/Dev-A/x"]));
        case.refused(&update(&["refs/remotes/origin/x", "refs/tags/new", "refs/heads/feature"]));
        case.dev().ok(&update(&["refs/heads/agent/Dev-A/x", "refs/remotes/origin/x", "refs/tags/new"]));
    });
}

#[test]
fn t14_no_plumbing_moves_main() {
    each(|case| {
        case.bare("git bundle create -q ../side/b feature");
        let commit =
            "commit refs/heads/main\\ncommitter A <a@example.org> 1767225600 +0000\\ndata 1\\nx\\n\\n";
        for line in [
            "git update-ref refs/heads/main feature",
            "git update-ref --no-deref refs/heads/main feature main",
            "git update-ref -d refs/heads/main",
            "git push -q . +feature:main",
            "git push -q --no-verify . +feature:main",
            "git send-pack --force . feature:main",
            "git fetch -q --update-head-ok . +feature:main",
            "git fetch -q --update-head-ok ../side/b +feature:main",
            "git clone -q . ../side/clone; cd ../side/clone && git push -q origin +origin/feature:main",
            &format!("printf '{commit}' | git fast-import --quiet --force"),
        ] {
            case.refused(line);
        }
        if case.minor >= 44 {
            let replay = "git replay --onto ahead --contained three..main >../side/said";
            case.fails(&format!("{replay} && git update-ref --stdin <../side/said"));
        }
    });
}

#[test]
fn t15_a_branch_becomes_no_alias() {
    each(|case| {
        if case.minor >= 46 {
            case.refused("git symbolic-ref refs/heads/main refs/heads/feature");
            case.refused("git symbolic-ref refs/heads/alias refs/heads/main");
            case.refused("git symbolic-ref refs/remotes/origin/x refs/heads/main");
        }
        case.bare(
            "git symbolic-ref refs/heads/alias refs/heads/main; git symbolic-ref refs/x/y refs/heads/main",
        );
        for name in ["refs/heads/alias", "refs/x/y"] {
            case.refused(&format!("git update-ref {name} feature"));
        }
        case.refused("git branch -f alias feature");
        case.refused("git symbolic-ref -d refs/heads/alias");
    });
}

#[test]
fn t16_main_is_not_renamed() {
    each(|case| {
        case.refused("git branch -m main x");
        case.refused("git branch -M feature ffb");
        case.bare("git pack-refs --all");
        case.refused("git branch -m main x");
    });
}

#[test]
fn t17_a_branch_that_is_checked_out_is_not_copied_over() {
    each(|case| {
        let said = case.fails("git branch -C feature main");
        assert!(said.contains("main"), "{said}");
    });
    each_with_reftables(|case| {
        case.fails("git branch -C feature main");
    });
}

#[test]
fn t19_hooks_that_are_diverted_for_good_are_found() {
    each(|case| {
        case.world.git(&["config", "extensions.worktreeConfig", "true"]);
        for (divert, back) in [
            ("git config core.hooksPath /dev/null", "cmw-init"),
            ("git config --unset core.hooksPath", "cmw-init"),
            (
                "git config --worktree core.hooksPath /dev/null",
                "git config --worktree --unset core.hooksPath",
            ),
            (
                "git config -f ../side/inc core.hooksPath /dev/null; git config includeIf.onbranch:main.path $PWD/../side/inc",
                "git config --remove-section includeIf.onbranch:main",
            ),
        ] {
            case.bare(divert);
            let output = case.world.agent("Librarian").run("cmw-doctor");
            assert_eq!(output.code, 1, "{divert}\n{output}");
            assert!(output.all().contains("core.hooksPath is "), "{divert}\n{output}");
            case.world.person().ok(back);
        }
        case.refused("git commit -q --allow-empty -m x");
    });
}
