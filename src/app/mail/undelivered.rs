//! Reports messages that were not seen within their deadline to the person: the last step of delivery
//! (docs/rules.md R3.14). Every beating instance checks; each message is reported once.

use crate::adapters::os::{clock, process};
use crate::domain::command::{Caller, Command};
use crate::domain::event::Event;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::health::client::Activity;
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::identity::role::Role;
use crate::domain::mail::agent_digest::{is_worth_a_turn, passes_a_freeze};
use crate::domain::mail::event::MailEvent;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::priority::Priority;
use crate::domain::session::instance::InstancePhase;
use crate::domain::state::State;
use crate::domain::util::time::WallTime;
use crate::store::disk::Disk;
use crate::store::health::{clients, heartbeats};
use crate::store::mail::inbox::Inbox;
use crate::store::{last_run, layout};

use crate::app::error::Failure;
use crate::app::mail::session;
use crate::app::workspace::Context;

/// How often the check runs, in milliseconds.
const EVERY_MS: u64 = 15_000;
/// How long a message to an idle agent may be unseen, in milliseconds (docs/rules.md R3.14).
const IDLE_MS: i64 = 60_000;
/// How long a message to a working agent may be unseen, in milliseconds.
const BUSY_MS: i64 = 600_000;

/// Runs the check, when it is due.
pub fn run_if_due(context: &Context<'_>, state: &State, caller: &Caller) -> Result<(), Failure> {
    if !last_run::is_due(context.store.disk(), layout::MAIL_PATROL, &clock::now().boot, EVERY_MS) {
        return Ok(());
    }
    let disk = context.store.disk();
    // Another process runs the check at this moment.
    let Ok(_lock) = disk.lock(layout::MAIL_PATROL_LOCK, 0) else { return Ok(()) };
    for member in state.policy.roster.members().iter().filter(|m| !state.paused.contains_key(&m.role)) {
        check_role(context, state, caller, &member.role)?;
    }
    Ok(())
}

fn check_role(context: &Context<'_>, state: &State, caller: &Caller, role: &Role) -> Result<(), Failure> {
    let Some(Deadline { ms, runs, why }) = deadline(context, state, role) else { return Ok(()) };
    let registry = session::registry(context);
    let inbox = Inbox::open(&registry, Mailbox::Role(role.clone()));
    let now = clock::now().wall;
    let mut overdue = inbox.overdue(WallTime(now.0.saturating_sub(ms)))?;
    overdue.retain(|envelope| is_expected(state, envelope, runs, now));
    let Some(first) = overdue.first() else { return Ok(()) };
    let own = |envelope: &&Envelope| envelope.kind != MessageType::MESSAGE_UNDELIVERED;
    let told: Vec<&Envelope> = overdue.iter().filter(own).collect();
    if !told.is_empty() {
        let mut senders: Vec<Actor> = told.iter().map(|envelope| envelope.from.clone()).collect();
        senders.sort();
        senders.dedup();
        let event = Event::Mail(MailEvent::MessagesUndelivered {
            mailbox: role.to_string(),
            count: told.len() as u64,
            senders,
            first: format!("{} {}", first.id.short(), crate::domain::util::sanitize::line(&first.subject)),
            why: why.clone(),
            urgent: told.iter().any(|envelope| envelope.priority <= Priority::High),
        });
        // Published first: if this process ends here, the message is reported twice rather than never.
        context.publish_only(caller, &Command::Observe(vec![event]))?;
    }
    Ok(inbox.mark_undelivered(&overdue, &why, now)?)
}

/// Returns whether the recipient should have been notified of it by now. Automatic messages to a role that
/// does not run are not reported.
fn is_expected(state: &State, envelope: &Envelope, runs: bool, now: WallTime) -> bool {
    let idle_words = envelope.from == Actor::System || envelope.kind == MessageType::SHUTDOWN_REQUEST;
    let held_back = state.system != FreezeState::Running && !passes_a_freeze(envelope, &state.policy.roster);
    is_worth_a_turn(envelope) && !held_back && !envelope.has_expired(now) && (runs || !idle_words)
}

/// How long a message may be unseen.
struct Deadline {
    /// In milliseconds.
    ms: i64,
    /// Whether its recipient runs.
    runs: bool,
    /// What delays it, as far as that is known.
    why: String,
}

/// Returns how long a message may be unseen by this role; `None` while it is not expected to be read.
fn deadline(context: &Context<'_>, state: &State, role: &Role) -> Option<Deadline> {
    let runs = |ms, why| Some(Deadline { ms, runs: true, why });
    let disk = context.store.disk();
    let instance = state.instances.get(role).filter(|instance| process::is_alive(&instance.process));
    let Some(instance) = instance.filter(|instance| instance.phase != InstancePhase::Shutdown) else {
        let is_up = state.session_is_up(&crate::app::workspace::facts_for_identity(state));
        let why = format!("{role} does not run");
        return is_up.then_some(Deadline { ms: IDLE_MS, runs: false, why });
    };
    let client = clients::read(disk, role).ok().flatten();
    let client = client.filter(|client| process::is_alive(&client.process));
    match client.map(|client| client.activity) {
        Some(Activity::LimitReached { .. }) => None,
        Some(activity) if activity.is_busy() => runs(BUSY_MS, format!("{role} is {}", activity.words())),
        Some(activity) => runs(IDLE_MS, format!("{role} is {}, and was not woken", activity.words())),
        None => {
            let beat = heartbeats::read(disk, role).ok().flatten();
            let beat = beat.filter(|beat| beat.process == instance.process);
            let quiet = beat.map_or(u64::MAX, |beat| clock::now().boot.ms_since(&beat.active));
            let works = quiet < IDLE_MS.unsigned_abs();
            let deadline_ms = if works { BUSY_MS } else { IDLE_MS };
            runs(deadline_ms, format!("{role} runs, and does not read its messages"))
        }
    }
}
