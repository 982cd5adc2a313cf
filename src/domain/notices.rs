//! Owns which messages an event causes: the transactional outbox carries them with the event
//! (DECISIONS 8), so that a freeze and its SYSTEM_FREEZE are one decision.

use serde_json::{Value, json};

use crate::domain::audit::journal_entry::Cause;
use crate::domain::audit::violation;
use crate::domain::describe;
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::health::notices;
use crate::domain::identity::actor::{Actor, Address};
use crate::domain::identity::role::{Kind, Role};
use crate::domain::lock::lease::leaves;
use crate::domain::lock::queue;
use crate::domain::lock::release::Release;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::SUBJECT_CHARS_MAX;
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;
use crate::domain::util::sanitize;

/// A message that is still without id, time and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// On whose behalf.
    pub from: Actor,
    /// To whom.
    pub to: Address,
    /// Its type.
    pub kind: MessageType,
    /// Its priority.
    pub priority: Priority,
    /// One line.
    pub subject: String,
    /// What it says, for programs.
    pub body: Value,
}

/// The messages that an event causes, given the states before and after it.
#[must_use]
pub fn notices(event: &Event, by: &Actor, before: &State, after: &State, facts: &Facts) -> Vec<Notice> {
    match event {
        Event::InstanceRegistered { role, pane, .. } => registration(role, *pane, after, facts),
        Event::LockOffered { offer } => {
            let until = offer.until_at.to_string();
            let body = json!({"ticket": offer.ticket, "until": until, "next": "cmw-lock acquire"});
            let subject = format!(
                "Your turn: the write lock is kept for you until {}; take it with your commit, or with: \
                 cmw-lock acquire",
                offer.until_at.clock()
            );
            let to = std::slice::from_ref(&offer.to);
            from_system(MessageType::WRITE_LOCK_OFFERED, to, Priority::High, subject, body)
        }
        Event::OfferMissed { waiter } if waiter.missed >= queue::MISSED_MAX => {
            let body = json!({"ticket": waiter.ticket, "missed": waiter.missed});
            let subject = "Your place in the queue is gone: three offers of the write lock were not taken up; \
                 ask again with your commit, or with: cmw-lock acquire --wait 10m";
            let to = std::slice::from_ref(&waiter.actor);
            from_system(MessageType::WRITE_LOCK_EXPIRED, to, Priority::Normal, subject.to_owned(), body)
        }
        Event::LockReleased { lock_id, holder, reason, .. } => {
            released(lock_id, holder, reason, by, before, facts)
        }
        Event::WorkRescued { former, reference: Some(reference), files, skipped, .. } => {
            rescued(former, reference, *files, skipped, after)
        }
        Event::RecoveryFailed { former, why, .. }
            if before.recovery().is_none_or(|r| r.failure.is_none()) =>
        {
            let to = watchers(after);
            let subject =
                format!("The uncommitted work of {former} could not be saved: nobody gets the write lock");
            let body = json!({"former": former, "why": why, "next": "cmw-rescue abandon --reason '…'"});
            from_system(MessageType::SECURITY_ALERT, &to, Priority::Critical, subject, body)
        }
        Event::InstancesPaused { roles, reason } => {
            let subject = format!("{by} paused you: change nothing until you are told to go on");
            each(by, MessageType::INSTANCE_PAUSED, roles, &subject, &json!({"reason": reason}))
        }
        Event::InstancesResumed { roles } => {
            each(by, MessageType::INSTANCE_RESUMED, roles, &format!("{by} lets you go on"), &json!({}))
        }
        Event::PolicySet { weakens, digest, .. } if !weakens.is_empty() => {
            let to = watchers(after);
            let subject = format!("{by} weakened the policy: {}", weakens.join("; "));
            let body = json!({"weakens": weakens, "digest": digest, "by": by});
            from_system(MessageType::POLICY_WEAKENED, &to, Priority::High, subject, body)
        }
        Event::WeakeningRefused { who, weakens, .. } => {
            let subject = format!("{who} tried to weaken the policy: {}", weakens.join("; "));
            alarm(after, subject, json!({"by": who, "weakens": weakens}))
        }
        Event::PolicyRestored { changed, digest, .. } => {
            let subject = format!("Somebody had changed the policy by hand: {}", changed.join(", "));
            alarm(after, subject, json!({"changed": changed, "digest": digest}))
        }
        Event::MessageQuarantined { mailbox, file, why, sender } => {
            let mut to = overseers(after);
            to.extend(sender.iter().filter(|sender| !to.contains(sender)).cloned().collect::<Vec<_>>());
            let subject = format!("A message in the mailbox of {mailbox} did not pass its check");
            let body = json!({"mailbox": mailbox, "file": file, "why": why});
            from_system(MessageType::SECURITY_ALERT, &to, Priority::High, subject, body)
        }
        Event::MessagesUndelivered { mailbox, count, senders, first, why, .. } => {
            let subject =
                sanitize::shorten(&format!("{count} unseen by {mailbox}: {first}"), SUBJECT_CHARS_MAX);
            let body = json!({"mailbox": mailbox, "count": count, "first": first, "why": why,
                "look": "cmw-inbox sent"});
            let mut to = vec![Actor::User];
            to.extend(senders.iter().filter(|sender| **sender != Actor::User).cloned());
            from_system(MessageType::MESSAGE_UNDELIVERED, &to, Priority::Normal, subject, body)
        }
        Event::SystemFrozen { reason, .. } => vec![to_all(
            by,
            MessageType::SYSTEM_FREEZE,
            format!("{by} froze the system: {reason}"),
            json!({"reason": reason, "action": "cease all work; keep your files, commit nothing",
                "effect": "no commits, no merges, no write lock"}),
        )],
        Event::PinVanished { reference, freeze } => {
            let subject = format!("The pin of {} was taken away while frozen", describe::branch(reference));
            alarm(after, subject, json!({"ref": reference, "freeze": freeze}))
        }
        // Of a pin it is told above.
        Event::ViolationFound { cause: Cause::Pin { .. }, .. } => Vec::new(),
        Event::ViolationFound { cause, refs, .. } => {
            let told: Vec<String> = refs.iter().map(|r| violation::moved(&r.name, &r.was, &r.is)).collect();
            let what = told.first().cloned().unwrap_or_else(|| violation::told(cause));
            let subject = format!("{what}, which nothing allowed");
            alarm(after, subject, json!({"cause": cause, "moved": told, "look": "cmw-audit violations"}))
        }
        Event::BreakGlass { reason, until_at, .. } => {
            let subject =
                format!("{by} moves branches without the lock until {}: {reason}", until_at.clock());
            let body = json!({"reason": reason, "until": until_at});
            vec![to_all(by, MessageType::SECURITY_ALERT, subject, body)]
        }
        Event::BreakGlassEnded { .. } => {
            let body = json!({"effect": "the User needs the write lock again"});
            vec![to_all(&Actor::System, MessageType::SECURITY_ALERT, "Break-glass is over".to_owned(), body)]
        }
        Event::SystemUnfrozen { reason, .. } => {
            vec![to_all(
                by,
                MessageType::SYSTEM_UNFROZEN,
                "Work may resume".to_owned(),
                json!({"reason": reason}),
            )]
        }
        Event::SessionLost(_)
        | Event::InstanceStopping(_)
        | Event::InstanceCrashed(_)
        | Event::RestartBegun(_)
        | Event::InstanceRestarted(_)
        | Event::RestartFailed(_)
        | Event::InstanceStale(_)
        | Event::InstanceRecovered(_)
        | Event::InstanceParked(_)
        | Event::InstanceUnparked(_)
        | Event::TaskAssigned(_)
        | Event::TaskStarted(_)
        | Event::TaskDone(_)
        | Event::TaskCancelled(_)
        | Event::TaskReassigned(_)
        | Event::WorkBlocked(_) => notices::notices(event, by, after, facts),
        Event::PolicySet { .. }
        | Event::HooksAdopted { .. }
        | Event::SessionUp { .. }
        | Event::SessionDown
        | Event::InstanceLaunched { .. }
        | Event::InstanceShutdown { .. }
        | Event::InitializationVerified { .. }
        | Event::LockGranted { .. }
        | Event::OfferMissed { .. }
        | Event::RecoveryStarted { .. }
        | Event::RecoveryFailed { .. }
        | Event::WorkRescued { .. }
        | Event::RescueAbandoned { .. }
        | Event::CheckWarned { .. }
        | Event::LockRequested { .. }
        | Event::LockRenewed { .. }
        | Event::WaiterRemoved { .. }
        | Event::ViolationsAdopted { .. }
        | Event::RefsBaselined { .. }
        | Event::SelfTested { .. }
        | Event::JournalLost { .. }
        | Event::LockRefused { .. }
        | Event::CommitVerified { .. }
        | Event::FreezeHardened { .. }
        | Event::PinsSet { .. }
        | Event::PinsRemoved { .. }
        | Event::StateRebuilt { .. } => Vec::new(),
    }
}

fn to_all(by: &Actor, kind: MessageType, subject: String, body: Value) -> Notice {
    Notice { from: by.clone(), to: Address::All, kind, priority: Priority::Critical, subject, body }
}

/// Registration, its acknowledgement by the tool itself, and the Orchestrator's broadcast
/// (DOMAIN section 2).
fn registration(role: &Role, pane: u32, state: &State, facts: &Facts) -> Vec<Notice> {
    let orchestrator = state.policy.roster.first_of(Kind::is_orchestrator);
    let from = orchestrator.map_or(Actor::System, |o| Actor::Role(o.clone()));
    let ack = Notice {
        from: from.clone(),
        to: Address::Role(role.clone()),
        kind: MessageType::REGISTRATION_ACK,
        priority: Priority::Low,
        subject: format!("{role} is registered"),
        body: json!({"registry": registry(state)}),
    };
    if orchestrator == Some(role) {
        let ready = Notice {
            from,
            to: Address::All,
            kind: MessageType::ORCHESTRATOR_READY,
            priority: Priority::Low,
            subject: format!("{role} is ready"),
            body: json!({"timestamp": facts.now.wall.to_string()}),
        };
        return vec![ack, ready];
    }
    let Some(orchestrator) = orchestrator else { return vec![ack] };
    let told = Notice {
        from: Actor::Role(role.clone()),
        to: Address::Role(orchestrator.clone()),
        kind: MessageType::INSTANCE_REGISTRATION,
        priority: Priority::Low,
        subject: format!("{role} is ready in pane {pane}"),
        body: json!({"type": "INSTANCE_REGISTRATION", "from": role, "pane": pane,
            "timestamp": facts.now.wall.to_string(), "status": "READY"}),
    };
    vec![told, ack]
}

fn registry(state: &State) -> Vec<Value> {
    let instance = |(role, i): (&Role, &crate::domain::session::instance::Instance)| json!({"role": role, "pane": i.pane, "status": i.phase, "registered_at": i.since.to_string()});
    state.instances.iter().map(instance).collect()
}

/// To whoever left the work, and to who watches.
fn rescued(former: &Actor, reference: &str, files: u64, skipped: &[String], state: &State) -> Vec<Notice> {
    let mut to = overseers(state);
    to.extend((!to.contains(former)).then(|| former.clone()));
    let short = reference.trim_start_matches("refs/cmw/rescue/");
    let missing = if skipped.is_empty() { "" } else { ", but not everything" };
    let subject = format!("The uncommitted work of {former} is saved{missing}: cmw-rescue show {short}");
    let body = json!({"ref": reference, "files": files, "not_saved": skipped});
    from_system(MessageType::WORK_RESCUED, &to, Priority::Normal, subject, body)
}

/// The same to each of these roles.
fn each(by: &Actor, kind: MessageType, roles: &[Role], subject: &str, body: &Value) -> Vec<Notice> {
    let one = |role: &Role| Notice {
        from: by.clone(),
        to: Address::Role(role.clone()),
        kind: kind.clone(),
        priority: Priority::High,
        subject: subject.to_owned(),
        body: body.clone(),
    };
    roles.iter().map(one).collect()
}

fn released(
    lock_id: &str,
    holder: &Actor,
    reason: &Release,
    by: &Actor,
    state: &State,
    facts: &Facts,
) -> Vec<Notice> {
    let (kind, why) = match reason {
        Release::Expired => (MessageType::WRITE_LOCK_EXPIRED, "its lease ran out".to_owned()),
        Release::HolderDied => (MessageType::WRITE_LOCK_EXPIRED, "its process is gone".to_owned()),
        Release::Forced(text) => (MessageType::WRITE_LOCK_FORCE_RELEASED, format!("{by} took it: {text}")),
        Release::Done
        | Release::Handover
        | Release::Shutdown
        | Release::Parked
        | Release::Freeze
        | Release::CommandEnded
        | Release::NotTakenUp => return Vec::new(),
    };
    let saved = state.held().is_some_and(|held| leaves(held, reason, facts.now.wall).is_some());
    let body = json!({"lock_id": lock_id, "holder": holder, "reason": why, "work_is_saved_first": saved});
    let mut to = overseers(state);
    if !to.contains(holder) {
        to.push(holder.clone());
    }
    from_system(kind, &to, Priority::High, format!("{holder} no longer has the write lock: {why}"), body)
}

/// To who watches and to the person.
fn alarm(state: &State, subject: String, body: Value) -> Vec<Notice> {
    from_system(MessageType::SECURITY_ALERT, &watchers(state), Priority::High, subject, body)
}

/// Who watches, and the person.
fn watchers(state: &State) -> Vec<Actor> {
    let mut to = overseers(state);
    to.extend((!to.contains(&Actor::User)).then_some(Actor::User));
    to
}

/// The Librarian, or the person where there is none.
pub(crate) fn overseers(state: &State) -> Vec<Actor> {
    vec![state.policy.roster.first_of(Kind::is_librarian).map_or(Actor::User, |l| Actor::Role(l.clone()))]
}

pub(crate) fn from_system(
    kind: MessageType,
    to: &[Actor],
    priority: Priority,
    subject: String,
    body: Value,
) -> Vec<Notice> {
    to.iter()
        .filter_map(|actor| match actor {
            Actor::Role(role) => Some(Address::Role(role.clone())),
            Actor::User => Some(Address::User),
            Actor::System | Actor::Unproven => None,
        })
        .map(|to| Notice {
            from: Actor::System,
            to,
            kind: kind.clone(),
            priority,
            subject: subject.clone(),
            body: body.clone(),
        })
        .collect()
}
