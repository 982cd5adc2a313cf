//! The rules of the write lock over every reachable state: breadth-first over `decide`.
//!
//! Three roles and the person ask for everything they can ask for; processes die, waiting
//! commands are cut off, time passes, the wall clock jumps, the system freezes and thaws.

#![expect(clippy::wildcard_enum_match_arm, reason = "a check looks only at what it is about")]

use std::collections::{BTreeSet, HashSet, VecDeque};

use cmw::domain::audit::event::AuditEvent;
use cmw::domain::command::{Caller, Command, Decision, Reply, RescueOutcome};
use cmw::domain::decide::decide;
use cmw::domain::event::Event;
use cmw::domain::evolve::evolve;
use cmw::domain::facts::Facts;
use cmw::domain::freeze::event::FreezeEvent;
use cmw::domain::freeze::freeze_state::FreezeState;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::role::Role;
use cmw::domain::identity::roster::Roster;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::lock::lease::{expiry_reason, unsaved_work};
use cmw::domain::lock::queue;
use cmw::domain::lock::release::Release;
use cmw::domain::lock::request::Waiter;
use cmw::domain::lock::write_lock::{Lease, Offer, WriteLock};
use cmw::domain::mail::event::MailEvent;
use cmw::domain::mail::priority::Priority;
use cmw::domain::policy::event::PolicyEvent;
use cmw::domain::rescue::event::RescueEvent;
use cmw::domain::session::event::SessionEvent;
use cmw::domain::session::process::Process;
use cmw::domain::state::State;
use cmw::domain::util::time::{BootTime, WallTime};
use cmw::domain::work::event::WorkEvent;

mod cut_off;
mod frozen;
mod health;
mod health_limits;
mod health_session;
mod offers;
mod scenes;
mod work;
use crate::support::cast::{askers, boot, new_state, process, request};

/// What the world looks like besides the state: part of a node of the search.
#[derive(Clone, Debug)]
struct Node {
    state: State,
    ms: u64,
    dead: BTreeSet<Process>,
}

fn facts(node: &Node, wall: i64) -> Facts {
    // An asking process lives: when one was killed at saving what was left, another one does it.
    let saver = if node.dead.contains(&crate::support::cast::saver()) {
        process(98)
    } else {
        crate::support::cast::saver()
    };
    Facts { saver: Some(saver), ..crate::support::cast::facts(node.ms, wall, &node.dead) }
}

/// What a decision may know that a hook asks for: it cannot save anything.
fn facts_for(node: &Node, command: &Command, wall: i64) -> Facts {
    match command {
        Command::Commit { .. } => Facts { saver: None, ..facts(node, wall) },
        _ => facts(node, wall),
    }
}

fn commands(state: &State, caller: &Process) -> Vec<Command> {
    vec![
        Command::Acquire { request: request(Priority::Normal), caller: Some(caller.clone()), stand_in: None },
        Command::Acquire { request: request(Priority::High), caller: None, stand_in: None },
        Command::Commit { request: request(Priority::Normal), git: caller.clone() },
        Command::Release { token: None },
        Command::Release { token: Some(1) },
        Command::Cancel,
        Command::Handover(Role::parse("Dev-B").unwrap()),
        Command::ForceRelease { reason: "r".to_owned() },
        Command::Freeze { reason: "f".to_owned(), pins: None },
        Command::Thaw { reason: "t".to_owned() },
        Command::Rescued { token: token_to_save(state), outcome: saved() },
        Command::Rescued {
            token: token_to_save(state),
            outcome: RescueOutcome::Failed { why: "w".to_owned() },
        },
        Command::AbandonRescue { reason: "a".to_owned() },
        Command::Pause { roles: vec![Role::parse("Dev-A").unwrap()], reason: String::new() },
        Command::Resume { roles: Vec::new() },
        Command::Observe(Vec::new()),
    ]
}

/// The lease whose work waits to be saved; 0 when none does.
fn token_to_save(state: &State) -> u64 {
    let frozen = match &state.system {
        FreezeState::Frozen { unsaved, .. } => unsaved.as_ref().map(|u| u.token),
        FreezeState::Running => None,
    };
    state.recovery().map(|r| r.unsaved.token).or(frozen).unwrap_or(0)
}

fn saved() -> RescueOutcome {
    RescueOutcome::Saved {
        reference: Some("r".to_owned()),
        files: 1,
        skipped: Vec::new(),
        unstaged: Vec::new(),
    }
}

fn apply(node: &Node, asker: &Caller, decision: &Decision) -> Node {
    let mut next = node.clone();
    for event in &decision.events {
        evolve(&mut next.state, event, WallTime(0), &asker.actor);
    }
    next
}

/// Times and tokens differ for ever; what matters of them is how they compare. This makes equal
/// what behaves alike, so that the search ends.
fn shape(node: &Node) -> String {
    let left = |until: &BootTime| until.ms.saturating_sub(node.ms) / 30_000;
    let lock = match &node.state.lock {
        WriteLock::Free => String::new(),
        WriteLock::Held(h) => {
            let unseen = h.unseen.as_deref().map(|w| (w.missed, w.caller.clone()));
            format!(
                "{} {} {} {:?} {unseen:?} {}",
                h.holder,
                left(&h.expires),
                h.auto,
                h.process,
                h.token == 1
            )
        }
        WriteLock::Offered(o) => format!("to {} {}", o.to, left(&o.until)),
        WriteLock::Recovering(r) => {
            format!("of {} {} {} {:?}", r.unsaved.former, left(&r.until), r.failure.is_some(), r.by)
        }
    };
    let queue: Vec<_> = node
        .state
        .queue
        .iter()
        .map(|w| {
            let age = node.ms.saturating_sub(w.asked.ms).min(2_000_000) / 30_000;
            (w.actor.to_string(), w.request.priority, &w.caller, age, w.missed)
        })
        .collect();
    let frozen = match &node.state.system {
        FreezeState::Running => None,
        FreezeState::Frozen { unsaved, .. } => Some(unsaved.is_some()),
    };
    let paused: Vec<_> = node.state.paused.keys().collect();
    format!("{lock} {queue:?} {frozen:?} {paused:?} {:?}", node.dead)
}

/// One event against the state before it.
fn check_event(state: &State, event: &Event, asker: &Caller, command: &Command, facts: &Facts) {
    let free = state.lock == WriteLock::Free;
    let mine = |offer: Option<&Offer>, actor: &Actor| offer.is_some_and(|o| o.to == *actor);
    match event {
        Event::Lock(LockEvent::LockGranted { lease, .. }) => {
            let taken_up = mine(state.offer(), &lease.holder);
            assert!(free || taken_up, "one_holder: granted while held: {command:?}");
            assert!(state.recovery().is_none(), "no_grant_comes_before_the_work_is_saved: {command:?}");
            assert!(lease.token > state.last.token, "tokens_only_grow");
            let outside_the_order = taken_up || matches!(command, Command::Handover(_));
            let ahead = queue::next(state, facts).filter(|w| w.actor != lease.holder);
            if let Some(ahead) = ahead.filter(|_| !outside_the_order) {
                assert!(
                    comes_before(state, lease, ahead),
                    "grants_follow_the_queue: {} before {}",
                    lease.holder,
                    ahead.actor
                );
            }
            assert!(!is_paused(state, &lease.holder), "a role that is paused gets no lock");
            assert_eq!(state.system, FreezeState::Running, "frozen_holds_no_lock: granted while frozen");
        }
        Event::Lock(LockEvent::LockOffered { offer }) => {
            assert!(free, "one_holder: offered while held: {command:?}");
            let next = queue::next(state, facts).map(|w| w.ticket);
            let handed_over = matches!(command, Command::Handover(_));
            assert!(handed_over || next == Some(offer.ticket), "grants_follow_the_queue: {offer:?}");
            assert_eq!(state.system, FreezeState::Running, "frozen_holds_no_lock: offered while frozen");
        }
        Event::Lock(LockEvent::LockReleased { holder, reason, .. }) => {
            if matches!(command, Command::Release { .. }) {
                let lapsed = expiry_reason(state, facts).is_some();
                assert!(lapsed || *holder == asker.actor, "only_the_holder_releases");
            }
            assert!(state.held().is_some(), "only what is held is released: {reason:?}");
        }
        Event::Lock(LockEvent::OfferMissed { waiter }) => {
            let from_grant = matches!(state.lock, WriteLock::Free | WriteLock::Recovering(_));
            let over = state.offer().is_some_and(|o| o.ticket == waiter.ticket);
            assert!(from_grant || over, "only what was offered is missed: {command:?}");
        }
        Event::Rescue(RescueEvent::RecoveryStarted { .. }) => {
            assert!(state.held().is_none() && state.offer().is_none(), "one_holder: {command:?}");
        }
        Event::Lock(LockEvent::WaiterRemoved { .. })
        | Event::Lock(LockEvent::LockRequested { .. })
        | Event::Lock(LockEvent::LockRenewed { .. }) => {}
        Event::Policy(PolicyEvent::WeakeningRefused { .. })
        | Event::Policy(PolicyEvent::PolicyRestored { .. })
        | Event::Policy(PolicyEvent::HooksAdopted { .. }) => {}
        Event::Policy(PolicyEvent::PolicySet { .. })
        | Event::Session(SessionEvent::SessionUp { .. })
        | Event::Session(SessionEvent::SessionDown) => {}
        Event::Session(SessionEvent::InstanceLaunched { .. })
        | Event::Session(SessionEvent::InstanceRegistered { .. }) => {}
        Event::Session(SessionEvent::InstanceShutdown { .. })
        | Event::Session(SessionEvent::InitializationVerified { .. }) => {}
        Event::Freeze(FreezeEvent::InstancesPaused { .. })
        | Event::Freeze(FreezeEvent::InstancesResumed { .. }) => {}
        Event::Lock(LockEvent::LockRefused { .. })
        | Event::Policy(PolicyEvent::CheckWarned { .. })
        | Event::Lock(LockEvent::CommitVerified { .. }) => {}
        Event::Rescue(RescueEvent::RecoveryFailed { .. })
        | Event::Rescue(RescueEvent::WorkRescued { .. })
        | Event::Rescue(RescueEvent::RescueAbandoned { .. }) => {}
        Event::Freeze(FreezeEvent::SystemFrozen { .. })
        | Event::Freeze(FreezeEvent::SystemUnfrozen { .. }) => {}
        Event::Audit(AuditEvent::ViolationsAdopted { .. }) => {
            assert_eq!(asker.actor, Actor::User, "only_the_user_adopts");
        }
        Event::Audit(AuditEvent::ViolationFound { .. }) => {}
        Event::Audit(AuditEvent::RefsBaselined { .. }) | Event::Audit(AuditEvent::SelfTested { .. }) => {}
        Event::Freeze(FreezeEvent::FreezeHardened { .. })
        | Event::Freeze(FreezeEvent::PinsSet { .. })
        | Event::Freeze(FreezeEvent::PinVanished { .. }) => {
            assert_ne!(state.system, FreezeState::Running, "pins_are_wanted_only_while_frozen");
        }
        Event::Freeze(FreezeEvent::PinsRemoved { .. }) => {
            assert!(state.pins.as_ref().is_some_and(|pins| !pins.wanted), "what is wanted stays");
        }
        Event::Freeze(FreezeEvent::BreakGlass { .. }) => {
            assert_eq!(asker.actor, Actor::User, "only_the_user_breaks_the_glass");
        }
        Event::Freeze(FreezeEvent::BreakGlassEnded { .. }) => {
            assert!(state.glass.is_some(), "only what is broken ends");
        }
        Event::Mail(MailEvent::MessagesUndelivered { .. } | MailEvent::UserMessageSent { .. }) => {}
        Event::Health(HealthEvent::SessionLost(_))
        | Event::Health(HealthEvent::InstanceStopping(_))
        | Event::Health(HealthEvent::InstanceCrashed(_)) => {}
        Event::Health(HealthEvent::RestartBegun(_))
        | Event::Health(HealthEvent::InstanceRestarted(_))
        | Event::Health(HealthEvent::RestartFailed(_)) => {}
        Event::Health(HealthEvent::InstanceStale(_)) | Event::Health(HealthEvent::InstanceRecovered(_)) => {}
        Event::Health(HealthEvent::InstanceParked(_)) | Event::Health(HealthEvent::InstanceUnparked(_)) => {}
        Event::Work(WorkEvent::TaskAssigned(_))
        | Event::Work(WorkEvent::TaskStarted(_))
        | Event::Work(WorkEvent::TaskDone(_)) => {}
        Event::Work(WorkEvent::TaskCancelled(_))
        | Event::Work(WorkEvent::TaskReassigned(_))
        | Event::Work(WorkEvent::WorkBlocked(_)) => {}
        Event::Mail(MailEvent::MessageQuarantined { .. })
        | Event::Audit(AuditEvent::StateRebuilt { .. } | AuditEvent::Checkpoint { .. })
        | Event::Audit(AuditEvent::JournalLost { .. }) => {}
    }
}

/// Whether a lease may be given before this waiter gets it: its own place is before the waiter's, or it
/// never had one and would be put before it.
fn comes_before(state: &State, lease: &Lease, ahead: &Waiter) -> bool {
    let mine = state.queue.iter().position(|w| w.actor == lease.holder);
    let (theirs, priority) =
        (state.queue.iter().position(|w| w.ticket == ahead.ticket), lease.request.priority);
    if let Some(place) = mine.filter(|i| state.queue[*i].request.priority == priority) {
        return Some(place) < theirs;
    }
    // A waiter that lost places by missed offers keeps no newcomer behind.
    if ahead.missed > 0 {
        return true;
    }
    // Without a place, or with another priority than before, it is put where that belongs.
    let rank = |actor: &Actor, priority: Priority, ticket: u64| (*actor != Actor::User, priority, ticket);
    let ticket = mine.map_or(u64::MAX, |i| state.queue[i].ticket);
    rank(&lease.holder, priority, ticket) < rank(&ahead.actor, ahead.request.priority, ahead.ticket)
}

fn is_paused(state: &State, actor: &Actor) -> bool {
    actor.role().is_some_and(|role| state.paused.contains_key(role))
}

fn check(before: &Node, asker: &Caller, command: &Command, decision: &Decision, after: &Node, facts: &Facts) {
    let mut state = before.state.clone();
    for event in &decision.events {
        check_event(&state, event, asker, command, facts);
        evolve(&mut state, event, WallTime(0), &asker.actor);
    }
    assert!(after.state.last.token >= before.state.last.token, "tokens_only_grow");
    assert!(after.state.last.ticket >= before.state.last.ticket, "tickets only grow");
    if after.state.system != FreezeState::Running {
        assert_eq!(after.state.lock, WriteLock::Free, "frozen_holds_no_lock");
    } else if after.state.lock == WriteLock::Free {
        let waits = queue::next(&after.state, facts);
        assert!(waits.is_none(), "a_caller_gets_the_free_lock: {waits:?} after {command:?}");
    }
    work_is_never_forgotten(before, decision, after, facts);
    if facts.saver.is_some() {
        no_ghost(after, facts);
    }
    for waiter in &after.state.queue {
        assert!(!facts.dead.contains(&waiter.process), "a_dead_waiter_delays_no_grant");
        assert!(!after.state.is_holder(&waiter.actor, &waiter.process), "a holder does not wait");
        let tickets = after.state.queue.iter().filter(|w| w.actor == waiter.actor).count();
        assert_eq!(tickets, 1, "one ticket per role");
        assert!(waiter.missed < queue::MISSED_MAX, "the third missed offer costs the ticket");
    }
    if let Ok(Reply::Granted(held) | Reply::Renewed(held)) = &decision.outcome {
        assert_eq!(after.state.held(), Some(held), "what was answered is so");
    }
}

/// `no_grant_comes_before_the_work_is_saved`: what a lease leaves is saved, given up by name, or
/// still waits for it.
fn work_is_never_forgotten(before: &Node, decision: &Decision, after: &Node, facts: &Facts) {
    let mut waiting = token_to_save(&before.state);
    let mut state = before.state.clone();
    for event in &decision.events {
        match event {
            Event::Lock(LockEvent::LockReleased { token, reason, .. }) => {
                let held = state.held().expect("it is held");
                if unsaved_work(held, reason, facts.now.wall).is_some() {
                    assert_eq!(waiting, 0, "two at a time");
                    waiting = *token;
                }
            }
            Event::Rescue(RescueEvent::WorkRescued { token, .. })
            | Event::Rescue(RescueEvent::RescueAbandoned { token, .. })
                if *token == waiting =>
            {
                waiting = 0;
            }
            _ => {}
        }
        evolve(&mut state, event, WallTime(0), &Actor::System);
    }
    assert_eq!(waiting, token_to_save(&after.state), "no_grant_comes_before_the_work_is_saved");
}

/// `no_ghost_keeps_the_lock_longer_than_its_offer`: after any command, the lock's keeper lives,
/// and its time is not over.
fn no_ghost(after: &Node, facts: &Facts) {
    match &after.state.lock {
        WriteLock::Free => {}
        WriteLock::Held(_) => {
            let over = expiry_reason(&after.state, facts);
            assert_eq!(over, None::<Release>, "no_ghost_keeps_the_lock_longer_than_its_offer");
        }
        WriteLock::Offered(offer) => {
            let waiter = after.state.queue.iter().find(|w| w.ticket == offer.ticket);
            let waiter = waiter.expect("an offer is of a ticket");
            assert!(!facts.dead.contains(&waiter.process), "an offer to the dead");
            assert!(offer.until.ms_until(&facts.now.boot) <= after.state.policy.lock.offer_ms);
            assert!(
                !offer.until.has_passed(&facts.now.boot),
                "no_ghost_keeps_the_lock_longer_than_its_offer"
            );
        }
        WriteLock::Recovering(recovery) => {
            let at_it = recovery.failure.is_some() || !facts.dead.contains(&recovery.by);
            assert!(at_it && !recovery.until.has_passed(&facts.now.boot), "a process is at it: {recovery:?}");
        }
    }
}

fn successors(node: &Node) -> Vec<Node> {
    let mut out = Vec::new();
    for (asker, caller) in askers() {
        if node.dead.contains(&asker.process) {
            continue;
        }
        for command in commands(&node.state, &caller) {
            let now = facts_for(node, &command, 1_000);
            let decision = decide(&node.state, &asker, &command, &now);
            let after = apply(node, &asker, &decision);
            check(node, &asker, &command, &decision, &after, &now);
            let jumped = decide(&node.state, &asker, &command, &facts_for(node, &command, -400_000_000_000));
            same_but_for_wall_time(&decision, &jumped);
            let mut after = after;
            // A command that was told to wait can be started again: it lives.
            after.dead.remove(&caller);
            out.push(after);
        }
    }
    for victim in node.state.processes().filter(|p| **p != process(98)) {
        let mut after = node.clone();
        after.dead.insert(victim.clone());
        out.push(after);
    }
    for step in [5_000, 61_000, 306_000] {
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
                if let Event::Lock(LockEvent::LockGranted { lease, .. }) = e {
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
