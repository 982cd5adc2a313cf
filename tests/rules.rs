//! The rules of the write lock over every reachable state: breadth-first over `decide`.
//!
//! Three roles and the person ask for everything they can ask for; processes die, waiting
//! commands are cut off, time passes, the wall clock jumps, the system freezes and thaws.

use std::collections::{BTreeSet, HashSet, VecDeque};

use cmw::domain::decide::{Asker, Command, Decision, Reply, decide, lapsed};
use cmw::domain::event::{Event, evolve};
use cmw::domain::priority::Priority;
use cmw::domain::process::Process;
use cmw::domain::queue;
use cmw::domain::role::{Actor, Role, Roster};
use cmw::domain::state::{Facts, State, System, WriteLock};
use cmw::domain::time::{Moment, Wall};

#[path = "support/cast.rs"]
mod cast;
use cast::{askers, boot, new_state, process, request};

/// What the world looks like besides the state: part of a node of the search.
#[derive(Clone, Debug)]
struct Node {
    state: State,
    ms: u64,
    dead: BTreeSet<Process>,
}

fn facts(node: &Node, wall: i64) -> Facts {
    cast::facts(node.ms, wall, &node.dead)
}

fn commands(caller: &Process) -> Vec<Command> {
    vec![
        Command::Acquire { request: request(Priority::Normal), caller: Some(caller.clone()), stand_in: None },
        Command::Acquire { request: request(Priority::High), caller: None, stand_in: None },
        Command::Release { token: None },
        Command::Release { token: Some(1) },
        Command::Cancel,
        Command::Handover(Role::parse("Dev-B").unwrap()),
        Command::ForceRelease { reason: "r".to_owned() },
        Command::Freeze { reason: "f".to_owned() },
        Command::Thaw { reason: "t".to_owned() },
        Command::Observe(Vec::new()),
    ]
}

fn apply(node: &Node, asker: &Asker, decision: &Decision) -> Node {
    let mut next = node.clone();
    for event in &decision.events {
        evolve(&mut next.state, event, Wall(0), &asker.actor);
    }
    next
}

/// Times and tokens differ for ever; what matters of them is how they compare. This makes equal
/// what behaves alike, so that the search ends.
fn shape(node: &Node) -> String {
    let held = node.state.held().map(|h| {
        let left = h.expires.ms.saturating_sub(node.ms);
        (h.holder.to_string(), left / 60_000, node.dead.contains(&h.process), h.token == 1)
    });
    let queue: Vec<_> = queue::in_order(&node.state)
        .iter()
        .map(|w| {
            let caller = w.caller.as_ref().map(|c| node.dead.contains(c));
            let age = node.ms.saturating_sub(w.asked.ms) / 60_000;
            (w.actor.to_string(), w.request.priority, caller, node.dead.contains(&w.process), age)
        })
        .collect();
    format!("{held:?} {queue:?} {:?} {:?}", node.state.system != System::Running, node.dead)
}

fn check(before: &Node, asker: &Asker, command: &Command, decision: &Decision, after: &Node, facts: &Facts) {
    let mut state = before.state.clone();
    for event in &decision.events {
        let free = state.lock == WriteLock::Free;
        match event {
            Event::LockGranted { lease, .. } => {
                assert!(free, "one_holder: granted while held: {command:?}");
                assert!(lease.token > state.last.token, "tokens_only_grow");
                let handed_over = matches!(command, Command::Handover(_));
                let ahead = queue::next(&state, facts).filter(|w| w.actor != lease.holder);
                if let Some(ahead) = ahead.filter(|_| !handed_over) {
                    let ticket =
                        state.queue.iter().find(|w| w.actor == lease.holder).map_or(u64::MAX, |w| w.ticket);
                    let mine = (lease.holder != Actor::User, lease.request.priority, ticket);
                    let theirs = (ahead.actor != Actor::User, ahead.request.priority, ahead.ticket);
                    assert!(
                        mine < theirs,
                        "grants_follow_the_queue: {} before {}",
                        lease.holder,
                        ahead.actor
                    );
                }
                assert_eq!(state.system, System::Running, "frozen_holds_no_lock: granted while frozen");
            }
            Event::LockReleased { holder, .. } if matches!(command, Command::Release { .. }) => {
                let lapsed = lapsed(&state, facts).is_some();
                assert!(lapsed || *holder == asker.actor, "only_the_holder_releases");
            }
            Event::PolicySet { .. } | Event::SessionUp { .. } | Event::SessionDown => {}
            Event::InstanceLaunched { .. }
            | Event::InstanceRegistered { .. }
            | Event::InstanceShutdown { .. } => {}
            Event::InitializationVerified { .. } | Event::MessageQuarantined { .. } => {}
            Event::LockRequested { .. } | Event::LockRenewed { .. } | Event::LockReleased { .. } => {}
            Event::WaiterRemoved { .. } | Event::LockRefused { .. } | Event::CommitVerified { .. } => {}
            Event::SystemFrozen { .. }
            | Event::SystemUnfrozen { .. }
            | Event::StateRebuilt { .. }
            | Event::JournalLost { .. } => {}
        }
        evolve(&mut state, event, Wall(0), &asker.actor);
    }
    assert!(after.state.last.token >= before.state.last.token, "tokens_only_grow");
    assert!(after.state.last.ticket >= before.state.last.ticket, "tickets only grow");
    if after.state.system != System::Running {
        assert_eq!(after.state.lock, WriteLock::Free, "frozen_holds_no_lock");
    } else if after.state.lock == WriteLock::Free {
        let waits = queue::next(&after.state, facts);
        assert!(waits.is_none(), "a_caller_gets_the_free_lock: {waits:?} after {command:?}");
    }
    for waiter in &after.state.queue {
        assert!(!facts.dead.contains(&waiter.process), "a_dead_waiter_delays_nobody");
        assert!(!after.state.is_holder(&waiter.actor, &waiter.process), "a holder does not wait");
        let tickets = after.state.queue.iter().filter(|w| w.actor == waiter.actor).count();
        assert_eq!(tickets, 1, "one ticket per role");
    }
    if let Ok(Reply::Granted(held) | Reply::Renewed(held)) = &decision.outcome {
        assert_eq!(after.state.held(), Some(held), "what was answered is so");
    }
}

fn successors(node: &Node) -> Vec<Node> {
    let mut out = Vec::new();
    let now = facts(node, 1_000);
    for (asker, caller) in askers() {
        if node.dead.contains(&asker.process) {
            continue;
        }
        for command in commands(&caller) {
            let decision = decide(&node.state, &asker, &command, &now);
            let after = apply(node, &asker, &decision);
            check(node, &asker, &command, &decision, &after, &now);
            let jumped = decide(&node.state, &asker, &command, &facts(node, -400_000_000_000));
            same_but_for_wall_time(&decision, &jumped);
            let mut after = after;
            // A command that was told to wait can be started again: it lives.
            after.dead.remove(&caller);
            out.push(after);
        }
    }
    for victim in node.state.processes() {
        let mut after = node.clone();
        after.dead.insert(victim.clone());
        out.push(after);
    }
    for step in [60_000, 250_000, 306_000] {
        out.push(Node { ms: node.ms + step, ..node.clone() });
    }
    out
}

/// `the_wall_clock_decides_nothing`: the same events, whatever the wall clock says.
fn same_but_for_wall_time(one: &Decision, other: &Decision) {
    let kinds = |d: &Decision| d.events.iter().map(std::mem::discriminant).collect::<Vec<_>>();
    assert_eq!(kinds(one), kinds(other), "the_wall_clock_decides_nothing");
    assert_eq!(one.outcome.is_ok(), other.outcome.is_ok(), "the_wall_clock_decides_nothing");
    let tokens = |d: &Decision| {
        d.events
            .iter()
            .filter_map(|e| {
                if let Event::LockGranted { lease, .. } = e {
                    Some((lease.token, lease.expires.clone()))
                } else {
                    None
                }
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(tokens(one), tokens(other), "the_wall_clock_decides_nothing");
}

fn first() -> Node {
    Node { state: new_state(), ms: 1_000_000, dead: BTreeSet::new() }
}

#[test]
fn the_rules_hold_in_every_reachable_state() {
    const DEPTH: usize = if cfg!(debug_assertions) { 5 } else { 6 };
    let mut seen = HashSet::new();
    let mut frontier = VecDeque::from([(first(), 0)]);
    let mut decisions = 0_usize;
    while let Some((node, depth)) = frontier.pop_front() {
        if depth == DEPTH || !seen.insert(shape(&node)) {
            continue;
        }
        let next = successors(&node);
        decisions += next.len();
        frontier.extend(next.into_iter().map(|n| (n, depth + 1)));
    }
    eprintln!("{} states, {decisions} decisions", seen.len());
    assert!(seen.len() > 1_000, "the search is smaller than it was: {}", seen.len());
}

fn ask(node: &mut Node, who: usize, command: Command) -> Result<Reply, cmw::domain::refusal::Refusal> {
    let (asker, _) = &askers()[who];
    let decision = decide(&node.state, asker, &command, &facts(node, 0));
    *node = apply(node, asker, &decision);
    decision.outcome
}

fn waiting(who: usize, priority: Priority) -> Command {
    Command::Acquire { request: request(priority), caller: Some(askers()[who].1.clone()), stand_in: None }
}

fn holder(node: &Node) -> String {
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
fn a_dead_waiter_delays_nobody() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, waiting(2, Priority::Critical)).unwrap();
    ask(&mut node, 0, waiting(0, Priority::Low)).unwrap();
    node.dead.insert(process(22));
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
    assert_eq!(lapsed(&node.state, &facts(&node, 0)), None, "grace");
    node.ms += 1_000;
    let mut now = facts(&node, 0);
    assert!(lapsed(&node.state, &now).is_some());
    let recently = Moment { boot: boot(), ms: node.ms - 10_000 };
    now.active.insert(Role::parse("Dev-A").unwrap(), recently);
    assert_eq!(lapsed(&node.state, &now), None, "the holder was active ten seconds ago");
    node.dead.insert(process(11));
    assert!(lapsed(&node.state, &facts(&node, 0)).is_some());
}

#[test]
fn a_librarian_never_gets_the_lock() {
    let mut node = first();
    node.state.policy.roster = Roster::of_size(12);
    let asker = Asker { actor: Actor::Role(Role::parse("Librarian").unwrap()), process: process(10) };
    let command = Command::Acquire { request: request(Priority::Critical), caller: None, stand_in: None };
    let decision = decide(&node.state, &asker, &command, &facts(&node, 0));
    assert!(decision.outcome.unwrap_err().why().contains("librarians read only"));
}

#[test]
fn a_holder_that_asks_again_widens_its_claim() {
    use cmw::domain::claim::Claim;
    let claiming = |globs: &[&str]| {
        let files = Claim::parse(globs).unwrap();
        Command::Acquire {
            request: cmw::domain::state::Request { files, ..request(Priority::Normal) },
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
    assert_eq!((holder(&node).as_str(), node.state.held().unwrap().process.pid), ("Dev-A", 21));
    // The command gives up, or is cut off: the place stays, and a later lease is the agent's own.
    node.dead.clear();
    ask(&mut node, 2, running(2)).unwrap();
    node.dead.insert(process(22));
    ask(&mut node, 1, Command::Handover(Role::parse("Dev-B").unwrap())).unwrap();
    assert_eq!(node.state.held().unwrap().process, process(12));
}

#[test]
fn who_gives_up_waiting_is_no_longer_calling() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, running(2)).unwrap();
    let last = Command::Acquire { request: request(Priority::Normal), caller: None, stand_in: None };
    assert!(matches!(ask(&mut node, 2, last), Ok(Reply::Queued { ticket: 1, .. })));
    assert_eq!((&node.state.queue[0].caller, &node.state.queue[0].stand_in), (&None, &None));
    ask(&mut node, 1, Command::Release { token: None }).unwrap();
    assert_eq!(holder(&node), "-", "nobody is there to take it");
}

#[test]
fn whoever_is_unproven_waits_in_person_and_comes_last() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    let asker = Asker { actor: Actor::Unproven, process: process(30) };
    let request = request(Priority::Critical);
    let away = Command::Acquire { request: request.clone(), caller: None, stand_in: None };
    let decision = decide(&node.state, &asker, &away, &facts(&node, 0));
    assert!(decision.outcome.is_err(), "no ticket for somebody unknown");
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
    // Whoever comes by and does nothing at all brings it about.
    ask(&mut node, 0, Command::Observe(Vec::new())).unwrap();
    assert_eq!(holder(&node), "Dev-B");
}

#[test]
fn frozen_holds_no_lock() {
    let mut node = first();
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 2, waiting(2, Priority::Normal)).unwrap();
    ask(&mut node, 3, Command::Freeze { reason: "f".to_owned() }).unwrap();
    assert_eq!(holder(&node), "-", "neither the holder nor the waiter has it");
    assert!(ask(&mut node, 0, waiting(0, Priority::Critical)).is_err());
    assert_eq!(holder(&node), "-");
    ask(&mut node, 3, Command::Thaw { reason: "t".to_owned() }).unwrap();
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
    use cmw::domain::policy::Preset;
    let changed = |node: &Node| {
        let mut policy = node.state.policy.clone();
        policy.preset = Preset::Solo;
        Command::SetPolicy(Box::new(policy))
    };
    let unproven = Asker { actor: Actor::Unproven, process: process(14) };
    let may = |node: &Node, asker: &Asker, command: &Command| {
        let decision = decide(&node.state, asker, command, &facts(node, 0));
        let set = decision.events.iter().any(|e| matches!(e, Event::PolicySet { .. }));
        assert!(!set || decision.outcome.is_ok());
        decision.outcome.map(|_| set).map_err(|refusal| refusal.why())
    };
    let mut node = first();
    let user = askers().pop().unwrap().0;
    for up in [false, true] {
        if up {
            let server = process(30);
            ask(&mut node, 3, Command::SessionUp { name: "s".to_owned(), socket: None, server }).unwrap();
        }
        let refused = "changing the policy is not for Dev-A; the User may".to_owned();
        assert_eq!(may(&node, &askers()[1].0, &changed(&node)), Err(refused));
        assert_eq!(may(&node, &unproven, &changed(&node)).is_ok(), !up, "a script, while nobody works");
        assert_eq!(may(&node, &user, &changed(&node)), Ok(true));
        let same = Command::SetPolicy(Box::new(node.state.policy.clone()));
        for asker in [&unproven, &askers()[1].0] {
            assert_eq!(may(&node, asker, &same), Ok(false), "what changes nothing is for everybody");
        }
    }
    node.dead.insert(process(30));
    assert_eq!(may(&node, &unproven, &changed(&node)), Ok(true), "the session's server is gone");
}
