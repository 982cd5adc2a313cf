//! The changes of the state by the write lock and its queue.

use crate::domain::lock::event::LockEvent;
use crate::domain::lock::queue;
use crate::domain::lock::request::{Waiter, is_same};
use crate::domain::lock::write_lock::WriteLock;
use crate::domain::state::State;

/// Applies an event of the subject.
pub(crate) fn evolve(state: &mut State, event: &LockEvent) {
    match event {
        LockEvent::LockRequested { waiter } => {
            state.last.ticket = state.last.ticket.max(waiter.ticket);
            queue::enter(&mut state.queue, waiter.clone());
        }
        LockEvent::LockGranted { lease, .. } => {
            state.last.token = lease.token;
            let stands_for =
                |w: &Waiter| w.actor == lease.holder && w.stand_in.as_ref() == Some(&lease.process);
            let is_granted =
                |w: &Waiter| stands_for(w) || is_same(&w.actor, &w.process, &lease.holder, &lease.process);
            state.queue.retain(|w| !is_granted(w));
            state.lock = WriteLock::Held(lease.clone());
        }
        LockEvent::LockRenewed { expires, expires_at, files, process, .. } => {
            if let WriteLock::Held(held) = &mut state.lock {
                held.expires = expires.clone();
                held.expires_at = *expires_at;
                held.request.files = files.clone();
                // A request for more time proves that the holder has seen the grant.
                held.unseen = None;
                if let Some(process) = process {
                    held.process = process.clone();
                    held.auto = false;
                }
            }
        }
        LockEvent::LockReleased { .. } => state.lock = WriteLock::Free,
        LockEvent::LockOffered { offer } => state.lock = WriteLock::Offered(offer.clone()),
        LockEvent::OfferMissed { waiter } => {
            if state.offer().is_some_and(|offer| offer.ticket == waiter.ticket) {
                state.lock = WriteLock::Free;
            }
            queue::put_back(&mut state.queue, waiter.clone());
        }
        LockEvent::WaiterRemoved { ticket, .. } => {
            state.last.left = *ticket;
            if state.offer().is_some_and(|offer| offer.ticket == *ticket) {
                state.lock = WriteLock::Free;
            }
            state.queue.retain(|w| w.ticket != *ticket);
        }
        LockEvent::LockRefused { .. } | LockEvent::CommitVerified { .. } => {}
    }
}
