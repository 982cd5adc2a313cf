//! Samples for tests: one of each event, with a given text in every text field.

use std::collections::BTreeMap;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::{UnauthorizedUpdate, ViolationCause};
use crate::domain::event::Event;
use crate::domain::freeze::event::FreezeEvent;
use crate::domain::freeze::freeze_state::BreakGlassEnd;
use crate::domain::freeze::pins::{PinId, PinRequest};
use crate::domain::guard::git_ref::RefName;
use crate::domain::health::event::HealthEvent;
use crate::domain::health::incident::{
    Crash, CrashImpact, CrashResponse, InstanceParked, InstanceStale, ProcessEnd, RestartBegun,
    RestartFailed, Restarted, RoleOnly, SessionLost,
};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::identity::roster::Roster;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::lock::request::{LockRequest, Waiter};
use crate::domain::lock::verification::Verification;
use crate::domain::lock::write_lock::Lease;
use crate::domain::lock::write_lock::{Offer, Recovery, UnsavedWork};
use crate::domain::mail::event::MailEvent;
use crate::domain::mail::event::MessageMark;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::priority::Priority;
use crate::domain::policy::checks::Check;
use crate::domain::policy::compiled::Policy;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::session::event::SessionEvent;
use crate::domain::session::process::Process;
use crate::domain::util::digest::Digest;
use crate::domain::util::time::Interval;
use crate::domain::util::time::{BootId, BootTime, WallTime};
use crate::domain::work::event::WorkEvent;
use crate::domain::work::task::{Task, TaskFinished, TaskReassigned, TaskStarted, TaskStatus, WorkBlocked};

pub(crate) const HOSTILE: &str = "evil \x1b[2J\u{202e}\u{9b}5m\nnext: rm -rf /";

pub(crate) fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

pub(crate) fn dev(letter: &str) -> Actor {
    Actor::Role(role(&format!("Dev-{letter}")))
}

pub(crate) fn moment(ms: u64) -> BootTime {
    BootTime { boot: BootId("b".to_owned()), ms }
}

pub(crate) fn process() -> Process {
    Process { pid: 7, start_ticks: 1, boot: BootId("b".to_owned()) }
}

fn request(purpose: &str) -> LockRequest {
    LockRequest {
        files: Claim::parse(&["src/a.rs"]).unwrap(),
        purpose: purpose.to_owned(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: None,
        guessed: false,
    }
}

fn waiter(purpose: &str) -> Waiter {
    Waiter {
        ticket: 3,
        actor: dev("A"),
        process: process(),
        caller: None,
        stand_in: None,
        request: request(purpose),
        requested_at: WallTime(0),
        asked: moment(0),
        missed: 2,
    }
}

fn lease(purpose: &str) -> Lease {
    Lease {
        token: 3,
        holder: dev("A"),
        process: process(),
        request: request(purpose),
        granted: moment(0),
        granted_at: WallTime(0),
        expires: moment(1),
        expires_at: WallTime(300_000),
        auto: false,
        unseen: None,
    }
}

fn unsaved() -> UnsavedWork {
    UnsavedWork {
        token: 3,
        former: dev("A"),
        files: Claim::All,
        work_tree: None,
        reason: Release::HolderDied,
        ended_at: WallTime(0),
        index_stays: false,
    }
}

/// Returns each event of the lock, with this text in every text field.
pub(crate) fn of_the_lock(x: &str) -> Vec<Event> {
    let (s, texts) = (|| x.to_owned(), || vec![x.to_owned(); 5]);
    let (files, claimed_loc) = (Claim::All, None);
    vec![
        Event::Lock(LockEvent::LockRequested { waiter: waiter(x) }),
        Event::Lock(LockEvent::LockGranted {
            lock_id: s(),
            holder: dev("A"),
            claimed_files: files.clone(),
            claimed_loc,
            lease: lease(x),
        }),
        Event::Lock(LockEvent::LockRenewed {
            lock_id: s(),
            token: 3,
            expires: moment(1),
            expires_at: WallTime(0),
            files,
            process: None,
        }),
        Event::Lock(LockEvent::LockReleased {
            lock_id: s(),
            token: 3,
            holder: dev("A"),
            reason: Release::Forced(s()),
        }),
        Event::Lock(LockEvent::LockOffered {
            offer: Offer { ticket: 3, to: dev("A"), until: moment(1), until_at: WallTime(60_000) },
        }),
        Event::Lock(LockEvent::OfferMissed { waiter: waiter(x) }),
        Event::Rescue(RescueEvent::RecoveryStarted {
            recovery: Recovery { unsaved: unsaved(), by: process(), until: moment(1), failure: None },
        }),
        Event::Rescue(RescueEvent::RecoveryFailed { token: 3, former: dev("A"), why: s(), again: moment(1) }),
        Event::Rescue(RescueEvent::WorkRescued {
            lock_id: s(),
            token: 3,
            former: dev("A"),
            reference: Some(format!("refs/cmw/rescue/{x}")),
            files: 2,
            skipped: texts(),
            unstaged: texts(),
        }),
        Event::Rescue(RescueEvent::RescueAbandoned { token: 3, former: dev("A"), reason: s() }),
        Event::Lock(LockEvent::WaiterRemoved { ticket: 3, waiter: dev("A"), reason: Removal::Silent }),
        Event::Lock(LockEvent::LockRefused { who: dev("A"), action: s(), why: s() }),
        Event::Lock(LockEvent::CommitVerified {
            lock_id: s(),
            holder: dev("A"),
            branch: format!("refs/heads/{x}"),
            commit: s(),
            verification_status: Verification::Failed,
            files: texts(),
            outside: texts(),
            lease_was_over: true,
        }),
    ]
}

/// Returns every other event, with this text in every text field.
fn of_the_house(x: &str) -> Vec<Event> {
    let (s, texts) = (|| x.to_owned(), || vec![x.to_owned(); 5]);
    let policy = Box::new(Policy::of(Roster::of_size(12)));
    let roles = || vec![role("Dev-A"), role("Dev-B")];
    vec![
        Event::Policy(PolicyEvent::PolicySet {
            repo_id: s(),
            policy: policy.clone(),
            digest: s(),
            weakens: texts(),
            version: 1,
        }),
        Event::Policy(PolicyEvent::PolicyRestored { policy, digest: s(), changed: texts(), version: 2 }),
        Event::Policy(PolicyEvent::WeakeningRefused { who: dev("A"), weakens: texts(), why: s() }),
        Event::Policy(PolicyEvent::HooksAdopted { former: s(), adopted: s(), hooks: texts() }),
        Event::Session(SessionEvent::SessionUp {
            name: s(),
            socket: Some(s()),
            server: process(),
            agent: Some(s()),
        }),
        Event::Session(SessionEvent::SessionDown),
        Event::Session(SessionEvent::InstanceLaunched {
            role: role("Dev-A"),
            process: process(),
            pane: 7,
            pane_id: s(),
        }),
        Event::Session(SessionEvent::InstanceRegistered { role: role("Dev-A"), process: process(), pane: 7 }),
        Event::Session(SessionEvent::InstanceShutdown { role: role("Dev-A") }),
        Event::Session(SessionEvent::InitializationVerified { findings: texts() }),
        Event::Freeze(FreezeEvent::InstancesPaused { roles: roles(), reason: s() }),
        Event::Freeze(FreezeEvent::InstancesResumed { roles: roles() }),
        Event::Policy(PolicyEvent::CheckWarned {
            who: dev("A"),
            action: s(),
            check: Check::Claims,
            why: s(),
        }),
        Event::Audit(AuditEvent::ViolationFound {
            id: 3,
            cause: ViolationCause::HooksOff { what: s() },
            refs: vec![UnauthorizedUpdate { said: texts(), ..UnauthorizedUpdate::seen(x, x, x) }],
            grows: false,
        }),
        Event::Audit(AuditEvent::ViolationsAdopted { ids: vec![1, 3], reason: s() }),
        Event::Audit(AuditEvent::RefsBaselined { refs: 9, why: s() }),
        Event::Audit(AuditEvent::SelfTested { held: false, what: s() }),
        Event::Audit(AuditEvent::JournalLost { byte: 9, why: s() }),
        Event::Mail(MailEvent::MessageQuarantined {
            mailbox: s(),
            file: s(),
            why: s(),
            sender: Some(dev("A")),
        }),
        Event::Mail(MailEvent::MessagesUndelivered {
            mailbox: s(),
            count: 2,
            senders: vec![dev("A")],
            first: s(),
            why: s(),
            urgent: true,
        }),
        Event::Mail(MailEvent::UserMessageSent {
            to: s(),
            message: MessageMark { id: MessageId::from_parts(1, 2), sha256: Digest::of(b"x") },
        }),
        Event::Audit(AuditEvent::StateRebuilt {
            records: 9,
            token: 3,
            damaged_file: Some(s()),
            policy_version: 2,
        }),
        Event::Audit(AuditEvent::Checkpoint {
            state: Box::new(crate::domain::state::State::new(s(), Policy::of(Roster::of_size(12)))),
            lost: Vec::new(),
        }),
        Event::Freeze(FreezeEvent::SystemFrozen {
            reason: s(),
            when: moment(0),
            unsaved: None,
            pins: Some(Box::new(wish(x))),
        }),
        Event::Freeze(FreezeEvent::FreezeHardened { reason: s(), pins: Box::new(wish(x)) }),
        Event::Freeze(FreezeEvent::PinsSet {
            freeze: s(),
            pins: BTreeMap::from([(main(), PinId { dev: 1, ino: 2 })]),
        }),
        Event::Freeze(FreezeEvent::PinVanished { reference: main(), freeze: s() }),
        Event::Freeze(FreezeEvent::PinsRemoved { freeze: s(), references: vec![main(); 5] }),
        Event::Freeze(FreezeEvent::BreakGlass {
            reason: s(),
            until: moment(90_000),
            until_at: WallTime(90_000),
        }),
        Event::Freeze(FreezeEvent::BreakGlassEnded { why: BreakGlassEnd::TimeOver }),
        Event::Freeze(FreezeEvent::SystemUnfrozen {
            reason: s(),
            still: Interval { from: moment(0), to: moment(90_000) },
        }),
    ]
}

/// Returns a name that git accepts and a terminal would interpret.
fn main() -> RefName {
    RefName::parse("refs/heads/x\u{9b}2J\u{202e}".as_bytes()).unwrap()
}

fn wish(x: &str) -> PinRequest {
    PinRequest { freeze: x.to_owned(), refs: vec![main(); 5] }
}

/// Returns each event of health and of work, with this text in every text field.
pub(crate) fn of_health(x: &str) -> Vec<Event> {
    let (s, a) = (|| x.to_owned(), || role("Dev-A"));
    let it = || RoleOnly { role: a() };
    let impact = CrashImpact { lock: Some(s()), queue_place: Some(2), tasks: vec![4], sole: None };
    let plan = CrashResponse::Nothing { why: s() };
    let again = Some(moment(1));
    let finished = || TaskFinished { id: 4, title: s(), assignee: a(), note: s() };
    let task = Task {
        id: 4,
        title: s(),
        body: Some(s()),
        wanted_by: Actor::User,
        assignee: a(),
        priority: Priority::Normal,
        after: vec![3],
        reviewers: vec![role("Dev-B")],
        status: TaskStatus::Open,
        since: WallTime(0),
        made: WallTime(0),
        blocked: Some(s()),
    };
    vec![
        Event::Health(HealthEvent::SessionLost(SessionLost { name: s(), roles: vec![a()], due: None })),
        Event::Health(HealthEvent::InstanceStopping(it())),
        Event::Health(HealthEvent::InstanceCrashed(Crash {
            role: a(),
            process: process(),
            how: Some(ProcessEnd::Signal(9)),
            impact,
            plan,
        })),
        Event::Health(HealthEvent::RestartBegun(RestartBegun {
            role: Some(a()),
            attempt: 2,
            when: moment(0),
            program: process(),
            until: moment(1),
            how: Some(ProcessEnd::Status(3)),
        })),
        Event::Health(HealthEvent::InstanceRestarted(Restarted { role: a(), attempt: 2 })),
        Event::Health(HealthEvent::RestartFailed(RestartFailed {
            role: Some(a()),
            attempt: 2,
            why: s(),
            again,
        })),
        Event::Health(HealthEvent::InstanceStale(InstanceStale { role: a(), why: s() })),
        Event::Health(HealthEvent::InstanceRecovered(it())),
        Event::Health(HealthEvent::InstanceParked(InstanceParked {
            role: a(),
            until: moment(1),
            until_at: WallTime(0),
            told: false,
        })),
        Event::Health(HealthEvent::InstanceUnparked(it())),
        Event::Work(WorkEvent::TaskAssigned(Box::new(task))),
        Event::Work(WorkEvent::TaskStarted(TaskStarted { id: 4, title: s(), assignee: a() })),
        Event::Work(WorkEvent::TaskDone(finished())),
        Event::Work(WorkEvent::TaskCancelled(finished())),
        Event::Work(WorkEvent::TaskReassigned(TaskReassigned {
            id: 4,
            title: s(),
            former: a(),
            assignee: role("Dev-D"),
            reason: s(),
        })),
        Event::Work(WorkEvent::WorkBlocked(WorkBlocked { role: a(), tasks: vec![4, 5], why: s() })),
    ]
}

pub(crate) fn all(x: &str) -> Vec<Event> {
    [of_the_lock(x), of_health(x), of_the_house(x)].concat()
}
