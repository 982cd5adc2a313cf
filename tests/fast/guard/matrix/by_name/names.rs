//! Refs by their names: whatever says where a branch is to go is asked.

use super::each;

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
