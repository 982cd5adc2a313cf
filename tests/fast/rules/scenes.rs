//! Single scenes: each rule under its own name.

use super::*;
use cmw::domain::policy::event::PolicyEvent;

pub(crate) fn ask(
    node: &mut Node,
    who: usize,
    command: Command,
) -> Result<Reply, cmw::domain::refusal::Refusal> {
    let (asker, _) = &askers()[who];
    let decision = decide(&node.state, asker, &command, &facts_for(node, &command, 0));
    *node = apply(node, asker, &decision);
    decision.outcome
}

/// The saving process saves what a former holder left.
pub(crate) fn save(node: &mut Node) {
    let token = token_to_save(&node.state);
    assert_ne!(token, 0, "something waits to be saved");
    ask(node, 0, Command::Rescued { token, outcome: saved() }).unwrap();
}

pub(crate) fn waiting(who: usize, priority: Priority) -> Command {
    Command::Acquire { request: request(priority), caller: Some(askers()[who].1.clone()), stand_in: None }
}

pub(crate) fn holder(node: &Node) -> String {
    node.state.held().map_or("-".to_owned(), |h| h.holder.to_string())
}

#[test]
fn grants_follow_the_queue() {
    let mut node = first();
    assert!(matches!(ask(&mut node, 1, waiting(1, Priority::Normal)), Ok(Reply::Granted(_))));
    assert_eq!(ask(&mut node, 0, waiting(0, Priority::Normal)), Ok(Reply::Queued { ticket: 1, place: 1 }));
    assert_eq!(ask(&mut node, 2, waiting(2, Priority::High)), Ok(Reply::Queued { ticket: 2, place: 1 }));
    assert_eq!(ask(&mut node, 3, waiting(3, Priority::Low)), Ok(Reply::Queued { ticket: 3, place: 1 }));
    assert_eq!(ask(&mut node, 0, waiting(0, Priority::Normal)), Ok(Reply::Queued { ticket: 1, place: 3 }));
    let mut order = vec![holder(&node)];
    for who in [1, 3, 2, 0] {
        ask(&mut node, who, Command::Release { token: None }).unwrap();
        order.push(holder(&node));
    }
    assert_eq!(order, ["Dev-A", "User", "Dev-B", "Orchestrator", "-"]);
}

#[test]
fn only_the_holder_releases() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    assert!(ask(&mut node, 2, Command::Release { token: None }).is_err());
    assert!(ask(&mut node, 1, Command::Release { token: Some(7) }).is_err(), "a stale token has no effect");
    assert_eq!(holder(&node), "Dev-A");
    assert!(ask(&mut node, 2, Command::ForceRelease { reason: "x".into() }).is_err(), "Dev-B may not");
    assert!(ask(&mut node, 0, Command::ForceRelease { reason: "x".into() }).is_ok(), "the Orchestrator may");
    assert_eq!(holder(&node), "-");
}

#[test]
fn a_dead_waiter_delays_no_grant() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, waiting(2, Priority::Critical)).unwrap();
    ask(&mut node, 0, waiting(0, Priority::Low)).unwrap();
    node.dead.insert(process(22));
    node.ms += queue::PRESENT_WITHIN_MS;
    ask(&mut node, 1, Command::Release { token: None }).unwrap();
    assert_eq!(holder(&node), "Orchestrator", "Dev-B's command is gone: its place stays, the lock goes on");
    assert_eq!(node.state.queue.len(), 1);
    node.dead.insert(process(12));
    ask(&mut node, 0, Command::Release { token: None }).unwrap();
    assert!(node.state.queue.is_empty(), "Dev-B's agent is gone: its ticket goes");
}

#[test]
fn a_lease_ends_after_its_time_and_the_grace_and_activity_renews_it() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    node.ms += 304_000;
    assert_eq!(expiry_reason(&node.state, &facts(&node, 0)), None, "grace");
    node.ms += 1_000;
    let mut now = facts(&node, 0);
    assert!(expiry_reason(&node.state, &now).is_some());
    let recently = BootTime { boot: boot(), ms: node.ms - 10_000 };
    now.active.insert(Role::parse("Dev-A").unwrap(), recently);
    assert_eq!(expiry_reason(&node.state, &now), None, "the holder was active ten seconds ago");
    node.dead.insert(process(11));
    assert!(expiry_reason(&node.state, &facts(&node, 0)).is_some());
}

#[test]
fn a_librarian_never_gets_the_lock() {
    let mut node = first();
    node.state.policy.roster = Roster::of_size(12);
    let asker = Caller { actor: Actor::Role(Role::parse("Librarian").unwrap()), process: process(10) };
    let command = Command::Acquire { request: request(Priority::Critical), caller: None, stand_in: None };
    let decision = decide(&node.state, &asker, &command, &facts(&node, 0));
    assert!(decision.outcome.unwrap_err().why().contains("librarians read only"));
}

#[test]
fn a_holder_that_asks_again_widens_its_claim() {
    use cmw::domain::lock::claim::Claim;
    let claiming = |globs: &[&str]| {
        let files = Claim::parse(globs).unwrap();
        Command::Acquire {
            request: cmw::domain::lock::request::LockRequest { files, ..request(Priority::Normal) },
            caller: None,
            stand_in: None,
        }
    };
    let mut node = first();
    ask(&mut node, 1, claiming(&["a"])).unwrap();
    ask(&mut node, 1, claiming(&["a", "b"])).unwrap();
    assert_eq!(node.state.held().unwrap().request.files, Claim::parse(&["a", "b"]).unwrap());
    assert_eq!(node.state.last.token, 1, "the lease is the same");
    ask(&mut node, 1, claiming(&[])).unwrap();
    assert_eq!(node.state.held().unwrap().request.files, Claim::All);
}

/// A command that runs another one under the lock: its lease ends with it.
fn running(who: usize) -> Command {
    let it = Some(askers()[who].1.clone());
    Command::Acquire { request: request(Priority::Normal), caller: it.clone(), stand_in: it }
}

#[test]
fn a_command_that_stands_in_has_the_lease_and_the_agent_the_place() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, running(2)).unwrap();
    assert_eq!(node.state.queue[0].process, process(12), "the place is the agent's");
    ask(&mut node, 1, Command::Release { token: None }).unwrap();
    assert_eq!(node.state.held().unwrap().process, process(22), "the lease ends with the command");
    assert!(node.state.queue.is_empty());
    node.dead.insert(process(22));
    ask(&mut node, 1, running(1)).unwrap();
    save(&mut node);
    assert_eq!((holder(&node).as_str(), node.state.held().unwrap().process.pid), ("Dev-A", 21));
    // The command gives up, or is cut off: the place stays, and a later lease is the agent's own.
    node.dead.clear();
    ask(&mut node, 2, running(2)).unwrap();
    node.dead.insert(process(22));
    ask(&mut node, 1, Command::Handover(Role::parse("Dev-B").unwrap())).unwrap();
    assert_eq!(node.state.offer().map(|o| o.to.to_string()).as_deref(), Some("Dev-B"));
    ask(&mut node, 2, Command::Acquire { request: request(Priority::Normal), caller: None, stand_in: None })
        .unwrap();
    assert_eq!(node.state.held().unwrap().process, process(12));
}

#[test]
fn who_gives_up_waiting_is_no_longer_calling() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, running(2)).unwrap();
    let last = Command::Acquire { request: request(Priority::Normal), caller: None, stand_in: None };
    // Another command of the role, which does not wait, takes nothing from the one that does.
    assert!(matches!(ask(&mut node, 2, last.clone()), Ok(Reply::Queued { ticket: 1, .. })));
    let commit = Command::Commit { request: request(Priority::Low), git: process(40) };
    ask(&mut node, 2, commit).unwrap_err();
    let waiter = &node.state.queue[0];
    assert_eq!((&waiter.caller, waiter.request.priority), (&Some(process(22)), Priority::Normal));
    // That very one says that its time is over.
    let itself = Facts { saver: Some(process(22)), ..facts(&node, 0) };
    let decision = decide(&node.state, &askers()[2].0, &last, &itself);
    node = apply(&node, &askers()[2].0, &decision);
    assert_eq!((&node.state.queue[0].caller, &node.state.queue[0].stand_in), (&None, &None));
    ask(&mut node, 1, Command::Release { token: None }).unwrap();
    assert_eq!(holder(&node), "-", "no waiter is there to take it");
}

#[test]
fn what_an_agent_asks_for_itself_outlives_its_command() {
    let mut node = first();
    ask(&mut node, 1, running(1)).unwrap();
    assert_eq!(node.state.held().unwrap().process, process(21));
    ask(&mut node, 1, Command::Acquire { request: request(Priority::Normal), caller: None, stand_in: None })
        .unwrap();
    assert_eq!(node.state.held().unwrap().process, process(11));
    node.dead.insert(process(21));
    ask(&mut node, 2, Command::Observe(Vec::new())).unwrap();
    assert_eq!(holder(&node), "Dev-A");
}

#[test]
fn a_role_that_returns_to_its_own_lease_continues_unless_others_wait() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    node.ms += 400_000;
    let commit = || Command::Commit { request: request(Priority::Normal), git: process(40) };
    assert!(matches!(ask(&mut node, 1, commit()), Ok(Reply::Renewed(held)) if held.token == 1));
    node.ms += 400_000;
    assert!(matches!(ask(&mut node, 1, waiting(1, Priority::Normal)), Ok(Reply::Renewed(_))));
    node.ms += 400_000;
    let queued = Command::Commit { request: request(Priority::Normal), git: process(41) };
    ask(&mut node, 2, queued).unwrap_err();
    ask(&mut node, 1, commit()).unwrap_err();
    assert!(matches!(ask(&mut node, 1, waiting(1, Priority::Normal)), Ok(Reply::Queued { .. })));
}

#[test]
fn an_unidentified_process_waits_in_person_and_comes_last() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    let asker = Caller { actor: Actor::Unproven, process: process(30) };
    let request = request(Priority::Critical);
    let away = Command::Acquire { request: request.clone(), caller: None, stand_in: None };
    let decision = decide(&node.state, &asker, &away, &facts(&node, 0));
    assert!(decision.outcome.is_err(), "no ticket for an unidentified process");
    let waits = Command::Acquire { request, caller: Some(process(31)), stand_in: None };
    let decision = decide(&node.state, &asker, &waits, &facts(&node, 0));
    node = apply(&node, &asker, &decision);
    ask(&mut node, 2, waiting(2, Priority::Low)).unwrap();
    ask(&mut node, 1, Command::Release { token: None }).unwrap();
    assert_eq!(holder(&node), "Dev-B", "a role comes first, whatever the priority");
    ask(&mut node, 2, Command::Release { token: None }).unwrap();
    assert_eq!(holder(&node), "unproven");
}

#[test]
fn a_role_that_left_the_roster_gets_no_lock() {
    let mut node = first();
    node.state.policy.roster = Roster::of_size(2);
    let refused = ask(&mut node, 0, waiting(0, Priority::Normal)).unwrap_err();
    assert!(refused.why().contains("not in the roster"), "{}", refused.why());
}

#[test]
fn one_holder() {
    let mut node = first();
    assert!(matches!(ask(&mut node, 1, waiting(1, Priority::Normal)), Ok(Reply::Granted(_))));
    for who in [0, 2, 3] {
        let answer = ask(&mut node, who, waiting(who, Priority::Critical));
        assert!(matches!(answer, Ok(Reply::Queued { .. })), "{answer:?}");
        assert_eq!(holder(&node), "Dev-A");
    }
}

#[test]
fn tokens_only_grow() {
    let mut node = first();
    let mut given = Vec::new();
    for who in [1, 2, 1, 3] {
        let Ok(Reply::Granted(held)) = ask(&mut node, who, waiting(who, Priority::Normal)) else {
            panic!("the lock is free")
        };
        given.push(held.token);
        ask(&mut node, who, Command::Release { token: None }).unwrap();
    }
    assert_eq!(given, [1, 2, 3, 4]);
}

#[test]
fn a_caller_gets_the_free_lock() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, waiting(2, Priority::Normal)).unwrap();
    node.dead.insert(process(11));
    // The next command brings it about, even one that does nothing.
    ask(&mut node, 0, Command::Observe(Vec::new())).unwrap();
    save(&mut node);
    assert_eq!(holder(&node), "Dev-B");
}

#[test]
fn frozen_holds_no_lock() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, waiting(2, Priority::Normal)).unwrap();
    ask(&mut node, 3, Command::Freeze { reason: "f".to_owned(), pins: None }).unwrap();
    assert_eq!(holder(&node), "-", "neither the holder nor the waiter has it");
    assert!(ask(&mut node, 0, waiting(0, Priority::Critical)).is_err());
    assert_eq!(holder(&node), "-");
    ask(&mut node, 3, Command::Thaw { reason: "t".to_owned() }).unwrap();
    assert_eq!(holder(&node), "-", "what Dev-A left is saved first");
    save(&mut node);
    assert_eq!(holder(&node), "Dev-B", "who waited is next");
}

#[test]
fn the_wall_clock_decides_nothing() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, waiting(2, Priority::Normal)).unwrap();
    let (asker, _) = &askers()[0];
    for (ms, ended) in [(304_000, false), (306_000, true)] {
        let later = Node { ms: node.ms + ms, ..node.clone() };
        let at = |wall| decide(&later.state, asker, &Command::Observe(Vec::new()), &facts(&later, wall));
        let usual = at(0);
        assert_eq!(!usual.events.is_empty(), ended);
        for wall in [-400_000_000_000, 400_000_000_000, i64::MIN / 2, i64::MAX / 2] {
            same_but_for_wall_time(&usual, &at(wall));
        }
    }
}

#[test]
fn agents_do_not_change_the_policy() {
    use cmw::domain::policy::checks::Preset;
    let changed = |node: &Node| {
        let mut policy = node.state.policy.clone();
        policy.preset = Preset::Solo;
        Command::SetPolicy(Box::new(policy))
    };
    let unproven = Caller { actor: Actor::Unproven, process: process(14) };
    let may = |node: &Node, asker: &Caller, command: &Command| {
        let decision = decide(&node.state, asker, command, &facts(node, 0));
        let set = decision.events.iter().any(|e| matches!(e, Event::Policy(PolicyEvent::PolicySet { .. })));
        assert!(!set || decision.outcome.is_ok());
        decision.outcome.map(|_| set).map_err(|refusal| refusal.why())
    };
    let mut node = first();
    let user = askers().pop().unwrap().0;
    for up in [false, true] {
        if up {
            let server = process(30);
            ask(&mut node, 3, Command::SessionUp { name: "s".to_owned(), socket: None, server, agent: None })
                .unwrap();
        }
        let refused = "changing the policy is not for Dev-A; the User may".to_owned();
        assert_eq!(may(&node, &askers()[1].0, &changed(&node)), Err(refused));
        assert_eq!(may(&node, &unproven, &changed(&node)).is_ok(), !up, "a script, while no role works");
        assert_eq!(may(&node, &user, &changed(&node)), Ok(true));
        let same = Command::SetPolicy(Box::new(node.state.policy.clone()));
        for asker in [&unproven, &askers()[1].0] {
            assert_eq!(may(&node, asker, &same), Ok(false), "what changes nothing is for every actor");
        }
    }
    node.dead.insert(process(30));
    assert_eq!(may(&node, &unproven, &changed(&node)), Ok(true), "the session's server is gone");
}

#[test]
fn only_the_person_weakens_the_policy() {
    use cmw::domain::audit::severity::Severity;
    use cmw::domain::notices::notices;
    use cmw::domain::policy::checks::{Check, Checks, Level, Preset};
    let node = first();
    let mut solo = node.state.policy.clone();
    solo.checks = Checks::of(Preset::Solo);
    let command = Command::SetPolicy(Box::new(solo.clone()));
    let unproven = Caller { actor: Actor::Unproven, process: process(14) };
    let orchestrator = askers().remove(0).0;
    for asker in [&unproven, &orchestrator, &askers()[1].0] {
        let decision = decide(&node.state, asker, &command, &facts(&node, 0));
        assert!(decision.outcome.unwrap_err().why().starts_with("weakening the policy is not for"));
        let [event @ Event::Policy(PolicyEvent::WeakeningRefused { who, weakens, .. })] =
            &decision.events[..]
        else {
            panic!("{:?}", decision.events)
        };
        assert_eq!((who, weakens.len(), event.severity()), (&asker.actor, 3, Severity::High));
        let mail = notices(event, &asker.actor, &node.state, &node.state, &facts(&node, 0));
        assert!(mail.iter().any(|notice| notice.subject.contains("tried to weaken the policy")), "{mail:?}");
    }
    let user = askers().pop().unwrap().0;
    let decision = decide(&node.state, &user, &command, &facts(&node, 0));
    let [event @ Event::Policy(PolicyEvent::PolicySet { weakens, .. })] = &decision.events[..] else {
        panic!("{:?}", decision.events)
    };
    assert_eq!((weakens.len(), event.severity()), (3, Severity::High));
    // A policy changed by hand may be put back by any actor, and that is recorded.
    let mut node = node;
    node.state.policy.checks.set(Check::Lock, Level::Off);
    assert!(!node.state.policy_is_intact());
    let mut settled = node.state.policy.clone();
    settled.checks.set(Check::Lock, Level::Enforce);
    let decision =
        decide(&node.state, &unproven, &Command::RestorePolicy(Box::new(settled)), &facts(&node, 0));
    let [event @ Event::Policy(PolicyEvent::PolicyRestored { changed, .. })] = &decision.events[..] else {
        panic!("{:?}", decision.events)
    };
    assert_eq!((changed.as_slice(), event.severity()), (&["cmw.check.lock".to_owned()][..], Severity::High));
}

#[test]
fn a_plain_role_starts_no_other_role() {
    let node = first();
    let name = |name: &str| cmw::domain::identity::role::Role::parse(name).unwrap();
    let launch = |role: &str, pid: u32| Command::Launch(vec![(name(role), process(pid), "%1".to_owned())]);
    let refused = |node: &Node, i: usize, command: &Command| {
        decide(&node.state, &askers()[i].0, command, &facts(node, 0)).outcome.err().map(|r| r.why())
    };
    let why = "starting Dev-B is not for Dev-A; the Orchestrator or a person may";
    assert_eq!(refused(&node, 1, &launch("Dev-B", 40)).as_deref(), Some(why));
    assert_eq!(refused(&node, 1, &launch("Dev-A", 40)), None, "itself");
    assert_eq!(refused(&node, 0, &launch("Dev-B", 40)), None, "the Orchestrator");
}
