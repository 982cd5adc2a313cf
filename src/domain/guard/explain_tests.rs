//! A table of states, and the refusal of a commit in each.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::guard::explain::*;
use crate::domain::guard::permission::Evidence;
use crate::domain::guard::permission::Known;
use crate::domain::guard::permission::Need;
use crate::domain::guard::ref_rules::Guarded;
use crate::domain::guard::ref_rules::RefVerdict;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::identity::roster::Roster;
use crate::domain::lock::checks::Warnings;
use crate::domain::lock::release::Release;
use crate::domain::lock::write_lock::Recovery;
use crate::domain::lock::write_lock::UnsavedWork;
use crate::domain::lock::write_lock::WriteLock;
use crate::domain::policy::checks::Check;
use crate::domain::policy::checks::Level;
use crate::domain::policy::compiled::Policy;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootId, BootTime, Now};

const PROTECTED: Option<RefVerdict> = Some(RefVerdict::Protected(Guarded::Branch));

fn process(pid: u32) -> Process {
    Process { pid, start_ticks: 1, boot: BootId("b".to_owned()) }
}

fn caller(name: &str, pid: u32) -> Caller {
    let actor = Actor::try_from(name.to_owned()).unwrap();
    Caller { actor, process: process(pid) }
}

fn facts(ms: u64, dead: &[u32]) -> Facts {
    let now = Now { wall: WallTime(0), boot: BootTime { boot: BootId("b".to_owned()), ms } };
    let dead: BTreeSet<Process> = dead.iter().map(|pid| process(*pid)).collect();
    Facts { now, dead, active: BTreeMap::new(), saver: None, endings: BTreeMap::new() }
}

fn request() -> LockRequest {
    LockRequest {
        files: Claim::parse(&["src/**"]).unwrap(),
        purpose: "tests".to_owned(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: None,
        guessed: false,
    }
}

fn new() -> State {
    State::new("01".to_owned(), Policy::of(Roster::of_size(12)))
}

/// Returns the state after a command, independent of the reply.
fn after(mut state: State, who: &Caller, command: &Command, facts: &Facts) -> State {
    for event in decide(&state, who, command, facts).events {
        evolve(&mut state, &event, facts.now.wall, &who.actor);
    }
    state
}

fn acquire() -> Command {
    Command::Acquire { request: request(), caller: None, stand_in: None }
}

/// Explains with no violation known and no staged files.
fn looked(
    state: &State,
    who: &Caller,
    facts: &Facts,
    verdict: Option<RefVerdict>,
) -> (CommitOutlook, Warnings) {
    let explained = predict(state, who, facts, verdict, &Known::default());
    (explained.way.expect("nothing is left open"), explained.warnings)
}

fn said(state: &State, who: &Caller, facts: &Facts, verdict: Option<RefVerdict>) -> String {
    match looked(state, who, facts, verdict).0 {
        CommitOutlook::Refused(refusal) => refusal.lines(),
        CommitOutlook::Held { held, until } => format!("held {} until {}", held.lock_id(), until.clock()),
        CommitOutlook::Free { kept_until: None } => "free".to_owned(),
        CommitOutlook::Free { kept_until: Some(until) } => format!("kept until {}", until.clock()),
        CommitOutlook::FreeBranch => "free branch".to_owned(),
        CommitOutlook::NoBranch => "no branch".to_owned(),
        CommitOutlook::NotAsked => "not asked".to_owned(),
        CommitOutlook::BreakGlass { .. } => "broken".to_owned(),
    }
}

#[test]
fn the_lock_in_each_state() {
    let (a, b, c) = (caller("Dev-A", 10), caller("Dev-B", 11), caller("QA-A", 12));
    let now = facts(1_000, &[]);
    let free = new();
    assert_eq!(said(&free, &a, &now, PROTECTED), "free");
    assert_eq!(said(&free, &a, &now, None), "no branch");
    let held = after(free.clone(), &a, &acquire(), &now);
    assert_eq!(said(&held, &a, &now, PROTECTED), "held WL-0001 until 00:05Z");
    assert_eq!(
        said(&held, &b, &now, PROTECTED),
        "refused: Dev-A has the write lock for \"tests\" since 00:00Z (5m left)\n\
         nothing is lost: your files and the index are as they were\nnext: cmw-lock acquire --wait 10m"
    );
    let queued = after(after(held.clone(), &c, &acquire(), &now), &b, &acquire(), &now);
    assert!(said(&queued, &b, &now, PROTECTED).contains("you are number 2 in the queue"));
    let offered = after(queued.clone(), &a, &Command::Release { token: None }, &now);
    assert!(said(&offered, &c, &now, PROTECTED).starts_with("kept until 00:0"));
    assert!(said(&offered, &b, &now, PROTECTED).contains("reserved for QA-A, who waited for it"));
    // The holder's process is gone: its work must be saved, which no hook does.
    let dead = facts(2_000, &[10]);
    let text = said(&queued, &b, &dead, PROTECTED);
    assert!(text.starts_with("refused: Dev-A lost the write lock, and its uncommitted work"), "{text}");
    let unsaved = UnsavedWork {
        token: 1,
        former: a.actor.clone(),
        files: Claim::All,
        work_tree: None,
        reason: Release::Expired,
        ended_at: WallTime(0),
        index_stays: false,
    };
    let until = BootTime { boot: BootId("b".to_owned()), ms: 9_000 };
    let failure = Some("disk full".to_owned());
    let failed =
        State { lock: WriteLock::Recovering(Recovery { unsaved, by: process(9), until, failure }), ..new() };
    let text = said(&failed, &b, &now, PROTECTED);
    assert!(
        text.contains("could not be saved: disk full") && text.ends_with("next: cmw-lock acquire --wait 10m"),
        "{text}"
    );
}

#[test]
fn who_is_refused_and_when_all_are() {
    let (a, librarian) = (caller("Dev-A", 10), caller("Librarian", 11));
    let (user, unproven) = (caller("User", 12), caller("unproven", 13));
    let now = facts(1_000, &[]);
    let free = new();
    assert!(said(&free, &librarian, &now, PROTECTED).contains("librarians read only"));
    assert_eq!(said(&free, &unproven, &now, PROTECTED), "free");
    assert_eq!(said(&free, &user, &now, PROTECTED), "free");
    assert!(said(&free, &caller("Dev-Z", 14), &now, PROTECTED).starts_with("refused: "));
    let pause = Command::Pause { roles: vec![Role::parse("Dev-A").unwrap()], reason: "lunch".to_owned() };
    let paused = after(free.clone(), &user, &pause, &now);
    assert!(said(&paused, &a, &now, PROTECTED).starts_with("refused: User paused you since 00:00Z: lunch"));
    assert_eq!(said(&paused, &user, &now, PROTECTED), "free");
    let held_and_paused = after(after(new(), &a, &acquire(), &now), &user, &pause, &now);
    assert!(said(&held_and_paused, &a, &now, PROTECTED).contains("paused you"));
    let frozen = after(free, &user, &Command::Freeze { reason: "red".to_owned(), pins: None }, &now);
    for verdict in [PROTECTED, Some(RefVerdict::OwnBranch), Some(RefVerdict::FreeBranch)] {
        assert!(said(&frozen, &a, &now, verdict).starts_with("refused: the system is frozen by User"));
    }
}

#[test]
fn what_the_policy_says_counts() {
    let (a, b, now) = (caller("Dev-A", 10), caller("Dev-B", 11), facts(1_000, &[]));
    for verdict in [RefVerdict::OwnBranch, RefVerdict::FreeBranch] {
        let held = after(new(), &b, &acquire(), &now);
        assert_eq!(said(&held, &a, &now, Some(verdict)), "free branch");
    }
    let mut state = new();
    state.policy.lock.auto = false;
    assert!(said(&state, &a, &now, PROTECTED).contains("committing needs the write lock, and it is free"));
    let mut state = after(new(), &b, &acquire(), &now);
    state.policy.checks.set(Check::Lock, Level::Warn);
    let (way, warnings) = looked(&state, &a, &now, PROTECTED);
    assert_eq!(way, CommitOutlook::NotAsked);
    assert_eq!(warnings.len(), 1);
    // A freeze that only warns still gives no actor the lock.
    let mut state =
        after(new(), &caller("User", 12), &Command::Freeze { reason: "red".to_owned(), pins: None }, &now);
    state.policy.checks.set(Check::Freeze, Level::Warn);
    let (way, warnings) = looked(&state, &a, &now, PROTECTED);
    assert!(matches!(way, CommitOutlook::Refused(Refusal::Frozen { .. })));
    assert_eq!(warnings.len(), 1, "said once");
}

#[test]
fn what_is_foretold_is_what_the_rules_do() {
    // Over all short histories of three roles: a caller that is told that git takes the lock gets it, and one
    // that is refused does not.
    let who = [caller("Dev-A", 10), caller("Dev-B", 11), caller("User", 12)];
    let mut states = vec![(new(), 1_000)];
    let mut next = Vec::new();
    for _ in 0..4 {
        for (state, ms) in &states {
            for one in &who {
                for command in [
                    acquire(),
                    Command::Release { token: None },
                    Command::Freeze { reason: String::new(), pins: None },
                ] {
                    next.push((after(state.clone(), one, &command, &facts(*ms, &[])), ms + 30_000));
                }
            }
        }
        states.append(&mut next);
    }
    let mut seen = [0; 2];
    for (state, ms) in &states {
        for (one, dead) in who.iter().flat_map(|one| [(one, vec![]), (one, vec![10])]) {
            if dead.contains(&one.process.pid) {
                continue;
            }
            let facts = facts(*ms, &dead);
            let command = Command::Commit { request: request(), git: one.process.clone() };
            let given = decide(state, one, &command, &facts).outcome.is_ok();
            let way = looked(state, one, &facts, PROTECTED).0;
            assert_eq!(
                matches!(way, CommitOutlook::Held { .. } | CommitOutlook::Free { .. }),
                given,
                "{way:?} in {state:?}"
            );
            seen[usize::from(given)] += 1;
        }
    }
    assert!(seen.iter().all(|n| *n > 1_000), "{seen:?}");
}

#[test]
fn a_violation_of_the_branch_is_foretold() {
    let (a, now) = (caller("Dev-A", 10), facts(1_000, &[]));
    let refusal = Refusal::Tainted { violation: 1, told: "main moved".to_owned(), found: WallTime(0) };
    let known = Known { violation: Evidence::Known(Some(refusal.clone())), ..Known::default() };
    for state in [new(), after(new(), &a, &acquire(), &now)] {
        let way = |verdict| predict(&state, &a, &now, Some(verdict), &known).way;
        assert_eq!(way(RefVerdict::Protected(Guarded::Branch)), Ok(CommitOutlook::Refused(refusal.clone())));
        // No other role lands on a role's own branch.
        assert_eq!(way(RefVerdict::OwnBranch), Ok(CommitOutlook::FreeBranch));
    }
}

#[test]
fn what_is_staged_is_asked_for_only_when_it_counts() {
    let (a, b, now) = (caller("Dev-A", 10), caller("Dev-B", 11), facts(1_000, &[]));
    let known = Known { paths: Evidence::Open, owners: Evidence::Open, ..Known::default() };
    let held = after(new(), &a, &acquire(), &now);
    let way = |state: &State, who: &Caller, known: &Known| predict(state, who, &now, PROTECTED, known).way;
    assert_eq!(way(&new(), &a, &known), Err(Need::Owners), "before the lock is taken");
    assert_eq!(way(&held, &a, &known), Err(Need::Owners));
    assert!(matches!(way(&held, &b, &known), Ok(CommitOutlook::Refused(Refusal::Held { .. }))));
    let nobodys = Known { owners: Evidence::Known(BTreeMap::new()), ..known };
    assert!(matches!(way(&new(), &a, &nobodys), Ok(CommitOutlook::Free { .. })), "no claim to compare with");
    assert_eq!(way(&held, &a, &nobodys), Err(Need::Paths));
    let staged = Known { paths: Evidence::Known(vec![b"b".to_vec()]), ..nobodys };
    assert!(matches!(way(&held, &a, &staged), Ok(CommitOutlook::Refused(Refusal::OutsideClaim { .. }))));
}
