//! The messages that the write lock causes: to the next waiter, and to an actor that lost the lock.

use serde_json::json;

use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::lease::unsaved_work;
use crate::domain::lock::queue;
use crate::domain::lock::release::Release;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::notice::{Notice, from_system, overseers};
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;

/// Returns the messages that an event of the subject causes.
pub(crate) fn notices(event: &LockEvent, by: &Actor, before: &State, facts: &Facts) -> Vec<Notice> {
    match event {
        LockEvent::LockOffered { offer } => {
            let until = offer.until_at.to_string();
            let body = json!({"ticket": offer.ticket, "until": until, "next": "cmw-lock acquire"});
            let subject = format!(
                "Your turn: the write lock is reserved for you until {}; take it with your commit, or with: \
                 cmw-lock acquire",
                offer.until_at.clock()
            );
            let to = std::slice::from_ref(&offer.to);
            from_system(MessageType::WRITE_LOCK_OFFERED, to, Priority::High, subject, body)
        }
        LockEvent::OfferMissed { waiter } if waiter.missed >= queue::MISSED_MAX => {
            let body = json!({"ticket": waiter.ticket, "missed": waiter.missed});
            let subject = "Your place in the queue is gone: three offers of the write lock were not taken up; \
                 ask again with your commit, or with: cmw-lock acquire --wait 10m";
            let to = std::slice::from_ref(&waiter.actor);
            from_system(MessageType::WRITE_LOCK_EXPIRED, to, Priority::Normal, subject.to_owned(), body)
        }
        LockEvent::LockReleased { lock_id, holder, reason, .. } => {
            released(lock_id, holder, reason, by, before, facts)
        }
        LockEvent::OfferMissed { .. }
        | LockEvent::LockRequested { .. }
        | LockEvent::LockGranted { .. }
        | LockEvent::LockRenewed { .. }
        | LockEvent::WaiterRemoved { .. }
        | LockEvent::LockRefused { .. }
        | LockEvent::CommitVerified { .. } => Vec::new(),
    }
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
    let saved = state.held().is_some_and(|held| unsaved_work(held, reason, facts.now.wall).is_some());
    let body = json!({"lock_id": lock_id, "holder": holder, "reason": why, "work_is_saved_first": saved});
    let mut to = overseers(state);
    if !to.contains(holder) {
        to.push(holder.clone());
    }
    let subject = format!("{} no longer has the write lock: {why}", holder.in_sentence());
    from_system(kind, &to, Priority::High, subject, body)
}
