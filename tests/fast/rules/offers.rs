//! Tests of offers: single scenes of a lock that no waiter takes at once, of missed places, of work to be
//! saved first, and of clocks that stand still.

use super::scenes::{ask, holder, save, waiting};
use super::*;

/// A request of a role that goes away at once.
fn away() -> Command {
    Command::Acquire { request: request(Priority::Normal), caller: None, stand_in: None }
}

fn release() -> Command {
    Command::Release { token: None }
}

fn look(node: &mut Node) {
    ask(node, 3, Command::Observe(Vec::new())).unwrap();
}

fn kept_for(node: &Node) -> String {
    node.state.offer().map_or("-".to_owned(), |offer| offer.to.to_string())
}

/// Dev-A holds the lock; Dev-B and then the Orchestrator have asked and gone away.
fn two_are_away() -> Node {
    let mut node = first();
    ask(&mut node, 1, away()).unwrap();
    ask(&mut node, 2, away()).unwrap();
    ask(&mut node, 0, away()).unwrap();
    node
}

#[test]
fn an_offer_is_kept_for_a_minute_and_taken_up_by_the_next_call() {
    let mut node = two_are_away();
    ask(&mut node, 1, release()).unwrap();
    assert_eq!((holder(&node), kept_for(&node)), ("-".to_owned(), "Dev-B".to_owned()));
    assert!(matches!(ask(&mut node, 0, away()), Ok(Reply::Queued { place: 2, .. })), "no role overtakes it");
    node.ms += 59_000;
    assert!(matches!(ask(&mut node, 2, away()), Ok(Reply::Granted(_))));
    assert_eq!(node.state.queue.len(), 1);
}

#[test]
fn a_commit_takes_an_offer_up_and_a_beat_does_not() {
    let mut node = two_are_away();
    ask(&mut node, 1, release()).unwrap();
    ask(&mut node, 2, Command::Register).unwrap();
    assert_eq!(kept_for(&node), "Dev-B");
    let commit = Command::Commit { request: request(Priority::Normal), git: process(40) };
    assert!(matches!(ask(&mut node, 2, commit), Ok(Reply::Granted(held)) if held.auto));
}

#[test]
fn a_missed_offer_costs_a_place_and_the_third_the_ticket() {
    let mut node = two_are_away();
    let stay = |node: &mut Node| {
        // Both do something all the time, but neither takes the lock up.
        for who in [2, 0] {
            let at = node.state.queue.iter_mut().find(|w| w.actor == askers()[who].0.actor);
            if let Some(waiter) = at {
                waiter.asked.ms = node.ms;
            }
        }
    };
    ask(&mut node, 1, release()).unwrap();
    let mut kept = vec![kept_for(&node)];
    for _ in 0..5 {
        node.ms += 60_000;
        stay(&mut node);
        look(&mut node);
        kept.push(kept_for(&node));
    }
    assert_eq!(kept, ["Dev-B", "Orchestrator", "Dev-B", "Orchestrator", "Dev-B", "Orchestrator"]);
    assert_eq!(node.state.queue.len(), 1, "Dev-B has missed three");
    node.ms += 60_000;
    look(&mut node);
    assert!(node.state.queue.is_empty() && node.state.lock == WriteLock::Free);
}

#[test]
fn a_missed_offer_goes_on_whatever_the_priority() {
    let mut node = first();
    ask(&mut node, 1, away()).unwrap();
    ask(
        &mut node,
        2,
        Command::Acquire { request: request(Priority::Critical), caller: None, stand_in: None },
    )
    .unwrap();
    ask(&mut node, 0, waiting(0, Priority::Low)).unwrap();
    ask(&mut node, 1, release()).unwrap();
    assert_eq!(kept_for(&node), "Dev-B");
    node.ms += 60_000;
    look(&mut node);
    assert_eq!(holder(&node), "Orchestrator", "a ghost delays no waiter for more than its offer");
}

#[test]
fn only_who_was_active_in_the_last_minute_gets_an_offer() {
    let mut node = two_are_away();
    node.ms += queue::PRESENT_WITHIN_MS;
    ask(&mut node, 1, release()).unwrap();
    assert_eq!((kept_for(&node), node.state.queue.len()), ("-".to_owned(), 2), "both keep their places");
    let mut now = facts(&node, 0);
    now.active.insert(Role::parse("Dev-B").unwrap(), BootTime { boot: boot(), ms: node.ms - 1_000 });
    let decision = decide(&node.state, &askers()[3].0, &Command::Observe(Vec::new()), &now);
    node = apply(&node, &askers()[3].0, &decision);
    assert_eq!(kept_for(&node), "Dev-B", "its session did something a second ago");
}

#[test]
fn a_caller_gets_the_lock_before_one_who_is_away_and_silent() {
    let mut node = two_are_away();
    node.ms += queue::PRESENT_WITHIN_MS;
    ask(&mut node, 3, waiting(3, Priority::Low)).unwrap();
    ask(&mut node, 1, release()).unwrap();
    assert_eq!(holder(&node), "User");
}

#[test]
fn an_unseen_grant_is_no_more_than_an_offer() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, waiting(2, Priority::Normal)).unwrap();
    ask(&mut node, 0, away()).unwrap();
    ask(&mut node, 1, release()).unwrap();
    assert_eq!(holder(&node), "Dev-B");
    // Its command is cut off before it could say so; the Orchestrator is there all the time.
    node.dead.insert(process(22));
    node.ms += 59_000;
    node.state.queue[0].asked.ms = node.ms;
    look(&mut node);
    assert_eq!(holder(&node), "Dev-B");
    let mut active = facts(&node, 0);
    active.active.insert(Role::parse("Dev-B").unwrap(), BootTime { boot: boot(), ms: node.ms });
    active.now.boot.ms += 2_000;
    assert_eq!(expiry_reason(&node.state, &active), None, "a sign of work: it knows");
    node.ms += 1_000;
    look(&mut node);
    save(&mut node);
    assert_eq!(kept_for(&node), "Orchestrator");
    let behind: Vec<(String, u8)> =
        node.state.queue.iter().map(|w| (w.actor.to_string(), w.missed)).collect();
    assert_eq!(behind, [("Orchestrator".to_owned(), 0), ("Dev-B".to_owned(), 1)], "one place back");
}

#[test]
fn the_end_of_a_git_that_took_the_lock_is_no_crash() {
    let mut node = first();
    let commit = Command::Commit { request: request(Priority::Normal), git: process(40) };
    ask(&mut node, 1, commit.clone()).unwrap();
    let refused = ask(&mut node, 2, commit).unwrap_err();
    assert!(
        refused.safe_state_hint().unwrap().contains("number 1 in the queue"),
        "the refusal has queued it"
    );
    node.dead.insert(process(40));
    // A hook may take it over: nothing was left behind.
    let again = Command::Commit { request: request(Priority::Normal), git: process(41) };
    assert!(matches!(ask(&mut node, 2, again), Ok(Reply::Granted(_))));
    // When the agent itself is gone, its work is saved first; no hook can do that.
    let mut node = first();
    ask(&mut node, 1, Command::Register).unwrap();
    ask(&mut node, 1, Command::Commit { request: request(Priority::Normal), git: process(40) }).unwrap();
    node.dead.extend([process(11), process(40)]);
    let hook = Command::Commit { request: request(Priority::Normal), git: process(41) };
    let refused = ask(&mut node, 2, hook).unwrap_err();
    assert!(refused.why().contains("not saved yet") && node.state.recovery().is_none(), "{refused:?}");
    assert!(matches!(ask(&mut node, 2, away()), Ok(Reply::Queued { .. })));
    save(&mut node);
    assert_eq!(kept_for(&node), "Dev-B");
}

#[test]
fn no_grant_comes_before_the_work_is_saved() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, waiting(2, Priority::Normal)).unwrap();
    node.ms += 306_000;
    look(&mut node);
    let recovery = node.state.recovery().expect("the lease is over").clone();
    assert_eq!(
        (recovery.unsaved.former.to_string(), recovery.by),
        ("Dev-A".to_owned(), crate::support::cast::saver())
    );
    assert!(matches!(ask(&mut node, 3, waiting(3, Priority::Critical)), Ok(Reply::Queued { .. })));
    // It is killed half way: the next command is at it, and what the first one still did counts.
    node.dead.insert(crate::support::cast::saver());
    look(&mut node);
    assert_eq!(node.state.recovery().unwrap().by, process(98));
    save(&mut node);
    assert_eq!(holder(&node), "User");
    assert_eq!(ask(&mut node, 0, Command::Rescued { token: 1, outcome: saved() }), Ok(Reply::Done));
    assert_eq!(holder(&node), "User", "a second snapshot of the same changes nothing");
}

#[test]
fn what_cannot_be_saved_is_tried_again_and_given_up_by_name_only() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 0, Command::ForceRelease { reason: "r".to_owned() }).unwrap();
    let failed =
        || Command::Rescued { token: 1, outcome: RescueOutcome::Failed { why: "disk full".to_owned() } };
    ask(&mut node, 0, failed()).unwrap();
    let refused = ask(&mut node, 2, Command::Commit { request: request(Priority::Normal), git: process(40) });
    assert!(refused.unwrap_err().why().contains("disk full"));
    node.ms += 9_000;
    look(&mut node);
    assert!(node.state.recovery().unwrap().failure.is_some(), "not at every call");
    node.ms += 1_000;
    look(&mut node);
    assert!(node.state.recovery().unwrap().failure.is_none(), "but after a while");
    let abandon = || Command::AbandonRescue { reason: "nothing of value".to_owned() };
    assert!(ask(&mut node, 2, abandon()).is_err(), "Dev-B may not");
    ask(&mut node, 0, abandon()).unwrap();
    assert_eq!(node.state.recovery(), None);
}

#[test]
fn a_freeze_stops_the_clocks_of_the_queue() {
    let mut node = two_are_away();
    ask(&mut node, 1, release()).unwrap();
    assert_eq!(kept_for(&node), "Dev-B");
    ask(&mut node, 3, Command::Freeze { reason: "f".to_owned(), pins: None }).unwrap();
    assert_eq!(node.state.lock, WriteLock::Free, "an offer is no lock that is held while frozen");
    node.ms += 10 * 3_600_000;
    look(&mut node);
    assert_eq!(node.state.queue.len(), 2, "no waiter was silent: the clocks stood still");
    ask(&mut node, 3, Command::Thaw { reason: "t".to_owned() }).unwrap();
    assert_eq!(kept_for(&node), "Dev-B", "who was there when it froze is there when it thaws");
    assert!(node.state.queue.iter().all(|w| w.missed == 0), "and has missed nothing");
    node.ms += 1_800_001;
    look(&mut node);
    assert!(node.state.queue.is_empty(), "from then on they run again");
}

#[test]
fn an_unidentified_process_comes_after_every_present_role() {
    let mut node = first();
    ask(&mut node, 1, away()).unwrap();
    ask(&mut node, 2, away()).unwrap();
    node.ms += queue::PRESENT_WITHIN_MS;
    ask(&mut node, 1, release()).unwrap();
    assert_eq!(node.state.lock, WriteLock::Free, "Dev-B has been silent for a minute");
    node.state.queue[0].asked.ms = node.ms;
    let unproven = Caller { actor: Actor::Unproven, process: process(14) };
    let commit = Command::Commit { request: request(Priority::Critical), git: process(40) };
    let decision = decide(&node.state, &unproven, &commit, &facts_for(&node, &commit, 0));
    let refused = decision.outcome.clone().unwrap_err();
    assert!(refused.why().contains("reserved for Dev-B"), "{}", refused.why());
    node = apply(&node, &unproven, &decision);
    assert_eq!((kept_for(&node).as_str(), node.state.queue.len()), ("Dev-B", 1), "and gets no ticket");
}

#[test]
fn a_role_that_is_paused_keeps_its_place_and_gets_nothing() {
    let mut node = two_are_away();
    let pause = |names: &[&str]| Command::Pause {
        roles: names.iter().map(|name| Role::parse(name).unwrap()).collect(),
        reason: "quiet".to_owned(),
    };
    assert!(ask(&mut node, 2, pause(&["Dev-A"])).is_err(), "a plain role pauses no role");
    ask(&mut node, 3, pause(&["Dev-B"])).unwrap();
    ask(&mut node, 1, release()).unwrap();
    assert_eq!(kept_for(&node), "Orchestrator");
    assert!(ask(&mut node, 2, away()).unwrap_err().why().contains("paused you"));
    ask(&mut node, 0, Command::Resume { roles: Vec::new() }).unwrap();
    assert!(node.state.paused.is_empty());
    assert!(matches!(ask(&mut node, 2, away()), Ok(Reply::Queued { place: 1, .. })));
    ask(&mut node, 3, pause(&[])).unwrap();
    assert_eq!(node.state.paused.len(), crate::support::cast::ROLES.len(), "none named: all");
}
