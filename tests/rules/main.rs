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

#[path = "../support/cast.rs"]
mod cast;
mod scenes;
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
