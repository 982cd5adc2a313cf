//! The table of git's operations: the lines that git writes to its hook, and the verdict on each.
//!
//! A line is `old>new:ref` with `h/`, `r/`, `t/` for heads, remotes, tags. Old: `0` zeros though the
//! ref exists (do not care), `+` zeros and there is no such ref, `o` the present value. New: `n`
//! another object, `=` the present one, `0` deletion, `ref:…` symbolic.

use crate::domain::guard::ref_rules::*;

fn oid(c: char) -> Oid {
    Oid::parse(c.to_string().repeat(40).as_bytes()).unwrap()
}

fn full(short: &str) -> String {
    for (from, to) in [("h/", "refs/heads/"), ("r/", "refs/remotes/"), ("t/", "refs/tags/")] {
        if let Some(rest) = short.strip_prefix(from) {
            return format!("{to}{rest}");
        }
    }
    short.to_owned()
}

fn parse(spec: &str) -> (RefLine, CurrentRef) {
    let (old, rest) = spec.split_once('>').unwrap();
    let (new, name) = rest.rsplit_once(':').unwrap();
    let present = RefTarget::Oid(oid('1'));
    let value = if old == "+" { RefTarget::Zero } else { present.clone() };
    let line = RefLine {
        old: if old == "o" { present.clone() } else { RefTarget::Zero },
        new: match new {
            "n" => RefTarget::Oid(oid('2')),
            "=" => value.clone(),
            "0" => RefTarget::Zero,
            symbolic => RefTarget::Symref(
                RefName::parse(full(symbolic.strip_prefix("ref:").unwrap()).as_bytes()).unwrap(),
            ),
        },
        name: RefName::parse(full(name).as_bytes()).unwrap(),
    };
    (line, CurrentRef::of(value))
}

/// Dev-A in a repository whose integration branches are main and release/**.
fn judge(spec: &str, mode: Mode) -> RefVerdict {
    let (line, current) = parse(spec);
    judge_line(&line, &current, mode, false)
}

fn judge_line(line: &RefLine, current: &CurrentRef, mode: Mode, prune_possible: bool) -> RefVerdict {
    let me = Role::parse("Dev-A").unwrap();
    let protect = ["main", "master", "release/**"].map(|glob| RefGlob::parse(glob).unwrap());
    classify(line, current, &RefContext { own_role: Some(&me), mode, protect: &protect, prune_possible })
}

const BRANCH: RefVerdict = RefVerdict::Protected(Guarded::Branch);
const SYMREF: RefVerdict = RefVerdict::Protected(Guarded::Symref);
const TAG: RefVerdict = RefVerdict::Protected(Guarded::Tag);
const GIT: RefVerdict = RefVerdict::Harmless(Harmless::Git);
const P: RefVerdict = RefVerdict::Pseudo;

/// Each kind of row of the matrix of git's operations, shared mode.
const OPERATIONS: &[(&str, &[(&str, RefVerdict)])] = &[
    ("commit, amend, merge, cherry-pick, revert, am", &[("0>n:HEAD", P), ("o>n:h/main", BRANCH)]),
    ("commit on detached HEAD", &[("o>n:HEAD", P)]),
    ("commit (root, unborn branch)", &[("0>n:HEAD", P), ("+>n:h/newroot", BRANCH)]),
    ("merge, pseudo refs", &[("+>n:ORIG_HEAD", P), ("+>n:AUTO_MERGE", P), ("o>0:AUTO_MERGE", P)]),
    ("merge --abort, reset --hard in place", &[("0>=:HEAD", P), ("o>=:h/main", RefVerdict::NoOp)]),
    ("rebase", &[("o>n:HEAD", P), ("o>n:h/feature", BRANCH), ("0>ref:h/feature:HEAD", P)]),
    ("rebase, pseudo refs", &[("+>n:REBASE_HEAD", P), ("o>0:CHERRY_PICK_HEAD", P)]),
    ("rebase --apply", &[("o>n:HEAD", P), ("0>n:h/feature", BRANCH), ("0>ref:h/feature:HEAD", P)]),
    ("rebase --abort", &[("0>=:h/conflict", RefVerdict::NoOp), ("0>ref:h/conflict:HEAD", P)]),
    ("rebase --update-refs", &[("o>n:h/pick", BRANCH), ("o>n:h/mid", BRANCH)]),
    ("rebase -r labels", &[("+>n:refs/rewritten/onto", GIT), ("o>0:refs/rewritten/onto", GIT)]),
    ("stash push", &[("+>n:refs/stash", GIT), ("0>=:HEAD", P), ("o>=:h/main", RefVerdict::NoOp)]),
    ("stash pop, drop, clear", &[("o>0:refs/stash", GIT)]),
    ("reset --hard HEAD~1", &[("0>n:HEAD", P), ("o>n:h/main", BRANCH)]),
    ("checkout, switch", &[("0>ref:h/feature:HEAD", P)]),
    ("switch -c", &[("+>n:h/newb", BRANCH), ("0>ref:h/newb:HEAD", P)]),
    ("checkout --detach", &[("0>n:HEAD", P)]),
    ("checkout --orphan", &[("0>ref:h/orph:HEAD", P)]),
    ("branch create", &[("+>n:h/nb", BRANCH)]),
    ("branch -D", &[("0>0:h/feature", BRANCH)]),
    ("branch -f", &[("0>n:h/feature", BRANCH)]),
    ("branch -m other", &[("o>0:h/feature", BRANCH)]),
    ("branch -m current", &[("o>0:h/main", BRANCH), ("o>0:HEAD", P), ("0>ref:h/main2:HEAD", P)]),
    ("branch -M over another", &[("o>0:h/feature", BRANCH), ("0>0:h/ffb", BRANCH)]),
    ("tag, tag -a, fetched tag", &[("+>n:t/t1", RefVerdict::TagCreation)]),
    ("tag -d", &[("0>0:t/v1", TAG)]),
    ("tag -f", &[("o>n:t/v1", TAG)]),
    ("tag -f in place", &[("o>=:t/v1", RefVerdict::NoOp)]),
    (
        "fetch",
        &[("o>n:r/origin/main", GIT), ("+>n:r/origin/new", GIT), ("+>n:t/rt", RefVerdict::TagCreation)],
    ),
    ("fetch --prune, remote remove", &[("0>0:r/origin/feature", GIT), ("o>0:r/origin/main", GIT)]),
    ("maintenance prefetch", &[("+>n:refs/prefetch/remotes/origin/main", GIT)]),
    ("fetch . a:b, push . a:b, bundle, replay", &[("o>n:h/ffb", BRANCH)]),
    ("fetch origin main:local", &[("+>n:h/localcopy", BRANCH)]),
    ("push, received here", &[("+>n:h/ffb", BRANCH)]),
    ("push --delete, received here", &[("o>0:h/feature", BRANCH)]),
    ("push --mirror", &[("o>n:HEAD", P), ("o>0:t/rt", TAG), ("+>n:h/conflict", BRANCH)]),
    ("update-ref move", &[("0>n:h/feature", BRANCH)]),
    ("update-ref no-op", &[("0>=:h/feature", RefVerdict::NoOp)]),
    ("update-ref --stdin", &[("0>n:h/feature", BRANCH), ("+>n:h/zz", BRANCH), ("0>0:t/v1", TAG)]),
    ("commit-tree + update-ref", &[("0>n:h/main", BRANCH), ("0>n:HEAD", P)]),
    ("symbolic-ref HEAD", &[("0>ref:h/feature:HEAD", P)]),
    ("symbolic-ref alias", &[("+>ref:h/feature:h/alias", SYMREF)]),
    ("symbolic-ref -d", &[("0>0:h/alias", BRANCH)]),
    ("write via alias", &[("0>n:h/alias", BRANCH), ("0>n:h/feature", BRANCH)]),
    ("worktree add -b", &[("+>n:h/wtb", BRANCH), ("0>ref:h/wtb:HEAD", P), ("o>=:h/wtb", RefVerdict::NoOp)]),
    ("notes add", &[("+>n:refs/notes/commits", RefVerdict::Protected(Guarded::Notes))]),
    ("replace", &[("+>n:refs/replace/1234", RefVerdict::Protected(Guarded::Replace))]),
    ("bisect", &[("+>n:refs/bisect/bad", GIT), ("0>0:refs/bisect/good-1", GIT), ("0>n:HEAD", P)]),
    ("gc, pack-refs: all are created", &[("0>=:h/main", RefVerdict::NoOp), ("0>=:t/v1", RefVerdict::NoOp)]),
    ("remote set-head", &[("0>ref:r/origin/main:r/origin/HEAD", GIT)]),
    ("fast-import", &[("+>n:h/fi", BRANCH)]),
    ("filter-branch", &[("+>n:refs/original/refs/heads/main", GIT), ("o>n:h/main", BRANCH)]),
    ("delete what is not there", &[("+>0:h/gone", RefVerdict::NoOp)]),
];

#[test]
fn each_operation_of_git_is_told_apart() {
    for (operation, lines) in OPERATIONS {
        for (spec, expected) in *lines {
            assert_eq!(judge(spec, Mode::Shared), *expected, "{operation}: {spec}");
        }
    }
}

#[test]
fn what_must_never_be_refused_is_not_protected() {
    for mode in [Mode::Shared, Mode::Worktrees] {
        for spec in [
            "0>n:HEAD",
            "0>0:ORIG_HEAD",
            "o>n:r/x/y",
            "o>0:refs/stash",
            "+>n:refs/bisect/bad",
            "o>n:refs/worktree/x",
            "o>0:refs/rewritten/x",
            "o>n:refs/prefetch/x",
            "o>n:refs/original/x",
            "0>=:h/main",
            "0>=:refs/replace/x",
            "+>n:t/v2",
            "o>n:refs/cmw/anchor",
            "+>n:refs/cmw/rescue/Dev-B/1",
            "o>n:h/agent/Dev-A/x",
            "+>n:h/agent/dev_a/x/y",
            "o>0:h/agent/DEV-A/x",
        ] {
            assert!(!judge(spec, mode).needs_lock(), "{spec}");
        }
    }
}

#[test]
fn worktrees_mode_protects_integration_branches_and_other_roles_branches() {
    let others = RefVerdict::Protected(Guarded::OthersBranch);
    for (spec, expected) in [
        ("o>n:h/main", BRANCH),
        ("+>n:h/release/1/2", BRANCH),
        ("o>0:h/master", BRANCH),
        ("o>n:h/feature", RefVerdict::FreeBranch),
        ("o>n:h/mainline", RefVerdict::FreeBranch),
        ("o>n:h/x/main", RefVerdict::FreeBranch),
        ("o>n:h/agent/Dev-A/x", RefVerdict::OwnBranch),
        ("o>n:h/agent/Dev-B/x", others),
        ("o>n:h/agent/Dev-A", others),
        ("o>n:h/agent/Dev-A2/x", others),
        ("o>n:h/agent", others),
        ("o>n:h/Agent/Dev-A/x", RefVerdict::FreeBranch),
        ("+>ref:h/main:h/agent/Dev-A/x", SYMREF),
        ("o>n:h/cmw-selftest", RefVerdict::Protected(Guarded::SelfTest)),
        ("o>n:refs/pull/1/head", RefVerdict::Harmless(Harmless::Other)),
        ("o>n:odd/name", RefVerdict::Protected(Guarded::Other)),
    ] {
        assert_eq!(judge(spec, Mode::Worktrees), expected, "{spec}");
    }
    let (line, current) = parse("o>n:h/agent/Dev-A/x");
    let without_role =
        RefContext { own_role: None, mode: Mode::Worktrees, protect: &[], prune_possible: false };
    assert_eq!(classify(&line, &current, &without_role), others);
}

#[test]
fn a_freeze_stops_every_real_movement_of_a_branch() {
    for spec in ["o>n:h/main", "o>n:h/feature", "+>n:h/agent/Dev-A/x", "o>0:h/agent/Dev-B/x", "o>0:t/v1"] {
        assert!(judge(spec, Mode::Worktrees).stops_when_frozen(), "{spec}");
    }
    for spec in
        ["0>n:HEAD", "o>=:h/main", "o>0:refs/stash", "+>n:t/v2", "o>n:r/o/main", "o>n:refs/cmw/anchor"]
    {
        assert!(!judge(spec, Mode::Worktrees).stops_when_frozen(), "{spec}");
    }
    assert!(judge("o>n:refs/cmw/anchor", Mode::Shared).is_journaled());
    assert!(judge("+>n:t/v2", Mode::Shared).is_journaled());
    assert!(!judge("o>=:h/main", Mode::Shared).is_journaled());
}

#[test]
fn a_prune_needs_the_packed_value_and_no_lock() {
    let (line, mut current) = parse("o>0:h/main");
    assert_eq!(judge_line(&line, &current, Mode::Shared, true), BRANCH, "it is not packed");
    current.packed = Some(oid('1'));
    assert_eq!(judge_line(&line, &current, Mode::Shared, true), RefVerdict::PackPrune);
    assert_eq!(judge_line(&line, &current, Mode::Shared, false), BRANCH, "a real deletion holds the lock");
    current.packed = Some(oid('3'));
    assert_eq!(judge_line(&line, &current, Mode::Shared, true), BRANCH, "an older value is packed");
    let (line, mut current) = parse("0>0:h/main");
    current.packed = Some(oid('1'));
    assert_eq!(judge_line(&line, &current, Mode::Shared, true), BRANCH, "pack-refs names the old value");
}

#[test]
fn an_old_value_on_stdin_is_not_trusted() {
    // The verdict is the same for any old value on stdin.
    for (name, expected) in [("refs/heads/main", BRANCH), ("refs/tags/v1", TAG)] {
        for old in [RefTarget::Zero, RefTarget::Oid(oid('1')), RefTarget::Oid(oid('2'))] {
            let name = RefName::parse(name.as_bytes()).unwrap();
            let line = RefLine { old, new: RefTarget::Oid(oid('2')), name };
            let current = CurrentRef::of(RefTarget::Oid(oid('1')));
            assert_eq!(judge_line(&line, &current, Mode::Shared, true), expected);
        }
    }
}

#[test]
fn an_unknown_current_value_never_opens_a_protected_ref() {
    for spec in ["0>=:h/main", "+>n:t/v2", "o>0:h/main", "+>0:h/gone", "0>n:refs/notes/x"] {
        let (line, _) = parse(spec);
        let unknown = CurrentRef { value: None, packed: Some(oid('1')) };
        assert!(judge_line(&line, &unknown, Mode::Shared, true).needs_lock(), "{spec}");
    }
    for spec in ["0>n:HEAD", "o>n:r/o/x", "o>0:refs/stash", "o>n:h/agent/Dev-A/x"] {
        let (line, _) = parse(spec);
        assert!(!judge_line(&line, &CurrentRef::default(), Mode::Worktrees, true).needs_lock(), "{spec}");
    }
}

#[test]
fn a_prefix_of_another_work_tree_hides_nothing() {
    for (spec, expected) in [
        ("0>n:main-worktree/refs/heads/main", BRANCH),
        ("0>n:worktrees/x/refs/heads/main", BRANCH),
        ("0>n:main-worktree/HEAD", P),
        ("0>n:worktrees/x/HEAD", P),
        ("0>n:worktrees/x/refs/bisect/bad", GIT),
        ("0>n:foo", RefVerdict::Protected(Guarded::Other)),
        ("0>n:heads/main", RefVerdict::Protected(Guarded::Other)),
        ("+>ref:h/main:r/origin/door", SYMREF),
        ("+>ref:h/main:refs/cmw/door", SYMREF),
        ("+>ref:worktrees/x/refs/heads/main:refs/stash", SYMREF),
    ] {
        assert_eq!(judge(spec, Mode::Shared), expected, "{spec}");
    }
}
