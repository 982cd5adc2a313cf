//! Tests of which movements the journal explains.

use crate::domain::audit::ref_ledger::*;
use crate::domain::identity::actor::Actor;
use crate::domain::util::time::BootTime;

const MAIN: &str = "refs/heads/main";

fn boot(name: &str) -> BootId {
    BootId(name.to_owned())
}

fn intent_of(name: &str, old: &str, new: &str) -> JournalEntry {
    JournalEntry::Intent {
        at: WallTime(1_000),
        when: BootTime { boot: boot("b"), ms: 1 },
        by: Actor::System,
        token: 1,
        name: name.to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
        files: Vec::new(),
        outside: Vec::new(),
        git: None,
        git_lock: None,
        document: 0,
    }
}

fn intent(old: &str, new: &str) -> JournalEntry {
    intent_of(MAIN, old, new)
}

fn observed_of(name: &str, new: &str) -> JournalEntry {
    JournalEntry::Observed { at: WallTime(1_000), name: name.to_owned(), new: new.to_owned(), token: 1 }
}

fn observed(new: &str) -> JournalEntry {
    observed_of(MAIN, new)
}

fn aborted(new: &str) -> JournalEntry {
    JournalEntry::Aborted { at: WallTime(1_000), name: MAIN.to_owned(), new: new.to_owned(), expired: false }
}

fn seen(name: &str, value: &str, log: &[(&str, &str)]) -> JournalEntry {
    let present = there(value, log);
    JournalEntry::Baseline {
        at: WallTime(0),
        by: Actor::User,
        why: String::new(),
        refs: vec![present.to_ref_state(name)],
    }
}

fn there(value: &str, log: &[(&str, &str)]) -> RefWithReflog {
    let line = |(old, new): &(&str, &str)| ReflogLine {
        old: (*old).to_owned(),
        new: (*new).to_owned(),
        at: WallTime(500_000),
        who: "A <a@b>".to_owned(),
        what: "commit: x".to_owned(),
    };
    RefWithReflog { value: value.to_owned(), log: log.iter().map(line).collect() }
}

fn book(entries: &[JournalEntry]) -> RefLedger {
    RefLedger::of(entries.iter())
}

fn compared(book: &RefLedger, refs: &[(&str, RefWithReflog)], boot_id: &str) -> LedgerFindings {
    let present = refs.iter().map(|(name, present)| ((*name).to_owned(), present.clone())).collect();
    book.compare(&present, &boot(boot_id), |name| {
        if name.starts_with("refs/tags/") { WatchLevel::OnceThere } else { WatchLevel::Always }
    })
}

/// Returns `was>is` of each violation.
fn found(book: &RefLedger, refs: &[(&str, RefWithReflog)]) -> Vec<String> {
    let found = compared(book, refs, "b");
    let strays = found.strays.iter().map(|(stray, _)| stray).chain(&found.revealed);
    strays.map(|stray| format!("{}>{}", stray.was, stray.is)).collect()
}

/// Returns the same, and checks that it is not found again once it is noted.
fn found_once(entries: &[JournalEntry], refs: &[(&str, RefWithReflog)]) -> Vec<String> {
    let mut noted = entries.to_vec();
    let first = compared(&book(entries), refs, "b");
    for stray in first.strays.iter().map(|(stray, _)| stray).chain(&first.revealed) {
        let (cause, refs) = (ViolationCause::Unknown, vec![stray.clone()]);
        noted.push(JournalEntry::Strayed { at: WallTime(0), by: Actor::System, cause, refs });
    }
    assert_eq!(found(&book(&noted), refs), [""; 0], "twice: {first:?}");
    found(&book(entries), refs)
}

#[test]
fn every_way_around_the_hooks_shows_once() {
    let base = || vec![seen(MAIN, "a", &[("", "a")])];
    let with = |more: &[JournalEntry]| [base(), more.to_vec()].concat();
    let main = |value: &str, log: &[(&str, &str)]| vec![(MAIN, there(value, log))];
    for (entries, refs, expected) in [
        // Moved, with and without a line in the reflog.
        (base(), main("x", &[("", "a"), ("a", "x")]), vec!["a>x"]),
        (base(), main("x", &[("", "a")]), vec!["a>x"]),
        // Gone.
        (base(), vec![], vec!["a>"]),
        // There and back.
        (base(), main("a", &[("", "a"), ("a", "x"), ("x", "a")]), vec!["a>a"]),
        // The same movement twice, allowed once.
        (
            with(&[intent("a", "c"), observed("c"), intent("c", "a"), observed("a")]),
            main("a", &[("", "a"), ("a", "c"), ("c", "a"), ("a", "c"), ("c", "a")]),
            vec!["a>a"],
        ),
        // Covered by an allowed movement.
        (
            with(&[intent("x", "c"), observed("c")]),
            main("c", &[("", "a"), ("a", "x"), ("x", "c")]),
            vec!["a>x"],
        ),
        (with(&[intent("x", "c"), observed("c")]), main("c", &[]), vec!["a>x"]),
        // Allowed, aborted, then done without the hooks.
        (with(&[intent("a", "c"), aborted("c")]), main("c", &[("", "a"), ("a", "c")]), vec!["a>c"]),
        // A branch that no allowed movement created.
        (base(), vec![(MAIN, there("a", &[("", "a")])), ("refs/heads/n", there("n", &[]))], vec![">n"]),
        // A tag that was moved, and one that was deleted.
        (
            with(&[seen("refs/tags/t", "t", &[])]),
            vec![(MAIN, there("a", &[("", "a")])), ("refs/tags/t", there("x", &[]))],
            vec!["t>x"],
        ),
        (with(&[seen("refs/tags/t", "t", &[])]), main("a", &[("", "a")]), vec!["t>"]),
    ] {
        assert_eq!(found_once(&entries, &refs), expected, "{entries:?} {refs:?}");
    }
}

#[test]
fn what_was_allowed_never_shows() {
    let base = || vec![seen(MAIN, "a", &[("", "a")])];
    let with = |more: &[JournalEntry]| [base(), more.to_vec()].concat();
    let main = |value: &str, log: &[(&str, &str)]| vec![(MAIN, there(value, log))];
    let renamed = |value: &str, log: &[(&str, &str)]| {
        let mut present = there(value, log);
        present.log.push(ReflogLine {
            old: value.to_owned(),
            new: value.to_owned(),
            at: WallTime(0),
            who: String::new(),
            what: format!("Branch: renamed {MAIN} to refs/heads/new"),
        });
        present
    };
    for (entries, refs) in [
        (base(), main("a", &[("", "a")])),
        // An expired reflog, and one with a line that moves nothing.
        (base(), main("a", &[])),
        (base(), main("a", &[("", "a"), ("a", "a")])),
        (with(&[intent("a", "c"), observed("c")]), main("c", &[("", "a"), ("a", "c")])),
        // Git was killed before or after it moved the ref, and did not report it.
        (with(&[intent("a", "c")]), main("c", &[("", "a"), ("a", "c")])),
        (with(&[intent("a", "c")]), main("a", &[("", "a")])),
        // With refs in files a deletion is asked twice, and one half of it is aborted.
        (with(&[intent("a", ""), intent("a", ""), aborted(""), observed("")]), vec![]),
        // Outcomes that come late.
        (
            with(&[intent("a", "c"), intent("c", "d"), observed("d"), observed("c")]),
            main("d", &[("", "a"), ("a", "c"), ("c", "d")]),
        ),
        (
            with(&[intent("a", "c"), intent("c", "d"), observed("c")]),
            main("d", &[("", "a"), ("a", "c"), ("c", "d")]),
        ),
        // Packing refs reports outcomes without intents.
        (with(&[observed(""), observed("a")]), main("a", &[("", "a")])),
        // A new tag.
        (base(), vec![(MAIN, there("a", &[("", "a")])), ("refs/tags/t", there("t", &[]))]),
        // Renamed under the lock: the hooks see only the deletion of the old name.
        (with(&[intent("a", ""), observed("")]), vec![("refs/heads/new", renamed("a", &[("", "a")]))]),
        // And moved on before the comparison.
        (
            with(&[
                intent("a", ""),
                observed(""),
                intent_of("refs/heads/new", "a", "c"),
                observed_of("refs/heads/new", "c"),
            ]),
            vec![("refs/heads/new", {
                let mut present = renamed("a", &[("", "a")]);
                present.log.push(there("c", &[("a", "c")]).log.remove(0));
                present.value = "c".to_owned();
                present
            })],
        ),
        // Written through a symbolic ref.
        (
            vec![
                seen("refs/heads/alias", "ref:refs/heads/main", &[]),
                intent_of("refs/heads/alias", "a", "c"),
                observed_of("refs/heads/alias", "c"),
            ],
            vec![("refs/heads/alias", there("ref:refs/heads/main", &[]))],
        ),
    ] {
        assert_eq!(found(&book(&entries), &refs), [""; 0], "{entries:?}");
    }
}

#[test]
fn a_power_cut_is_no_violation() {
    let entries =
        [seen(MAIN, "a", &[("", "a")]), intent("a", "c"), observed("c"), intent("c", "d"), observed("d")];
    let book = book(&entries);
    let after = |value: &str, log: &[(&str, &str)], boot: &str| {
        let found = compared(&book, &[(MAIN, there(value, log))], boot);
        (found.strays.len(), found.power_cut.len())
    };
    // The refs lost their end: git syncs none.
    assert_eq!(after("a", &[("", "a")], "later"), (0, 1));
    assert_eq!(after("c", &[("", "a"), ("a", "c")], "later"), (0, 1));
    assert_eq!(after("a", &[("", "a")], "b"), (1, 0), "in the same boot nothing was lost");
    assert_eq!(after("x", &[("", "a")], "later"), (1, 0), "it never was there");
    // The journal lost its end: what only the reflog has was written just after its last line.
    let lines = [("", "a"), ("a", "c"), ("c", "d"), ("d", "e")];
    let mut present = there("e", &lines);
    present.log[3].at = WallTime(60_000);
    let found = |boot: &str| {
        let found = compared(&book, &[(MAIN, present.clone())], boot);
        (found.strays.len(), found.power_cut.len())
    };
    assert_eq!(found("later"), (0, 1));
    assert_eq!(found("b"), (1, 0));
    assert_eq!(after("e", &lines, "later"), (1, 0), "long after its last line");
}
