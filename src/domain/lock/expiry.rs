//! Expiry without a command: leases of dead and late holders, offers, tickets of silent roles; and the work
//! of a former holder that must be saved before the next grant (docs/decisions.md D2, D5).

use crate::domain::command::{Command, Reply, RescueOutcome};
use crate::domain::decision::DecisionBuilder;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::RoleKind;
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::lease::{expiry_reason, is_abandoned, unsaved_work};
use crate::domain::lock::queue;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::lock::request::Waiter;
use crate::domain::lock::write_lock::{Recovery, UnsavedWork, WriteLock, lock_id};
use crate::domain::refusal::Refusal;
use crate::domain::rescue::event::RescueEvent;

/// The time in milliseconds that a command has to save what a former holder left (docs/decisions.md D2).
const SAVING_MS: u64 = 10_000;

impl DecisionBuilder<'_> {
    /// Ends what has expired. Work that must be saved first waits for a command that can save it.
    pub(crate) fn expire_overdue(&mut self, command: &Command) {
        let can_save = self.facts.saver.is_some();
        if let Some(reason) = expiry_reason(&self.state, self.facts)
            && !self.may_continue(command, &reason)
            && (can_save || self.unsaved(&reason).is_none())
        {
            let unseen = self.state.held().and_then(|held| held.unseen.as_deref().cloned());
            self.end_lease(reason.clone());
            if let Some(waiter) = unseen.filter(|_| reason == Release::NotTakenUp) {
                self.record_missed_turn(&waiter);
            }
        }
        if let Some(recovery) = self.state.recovery().cloned()
            && can_save
            && is_abandoned(&recovery, self.facts)
        {
            self.start_recovery(recovery.unsaved);
        }
        if let Some(offer) = self.state.offer()
            && offer.until.has_passed(&self.facts.now.boot)
            && let Some(waiter) = self.state.queue.iter().find(|w| w.ticket == offer.ticket).cloned()
        {
            self.record_missed_turn(&waiter);
        }
        self.expire_tickets();
        self.expire_break_glass();
    }

    /// Whether a holder that returns after its lease ran out may continue: no other actor waits for the lock,
    /// and its request renews the lease.
    fn may_continue(&self, command: &Command, reason: &Release) -> bool {
        let renews = matches!(command, Command::Acquire { .. } | Command::Renew | Command::Commit { .. });
        let unwanted = queue::next(&self.state, self.facts).is_none();
        renews && unwanted && *reason == Release::Expired && self.holds()
    }

    /// Removes tickets of dead waiters, and of waiters that were inactive for too long; while frozen, their
    /// clocks stand still.
    fn expire_tickets(&mut self) {
        let ticket_ms = self.state.policy.lock.ticket_ms;
        let running = self.state.system == FreezeState::Running;
        let still = |w: &Waiter| w.actor.role().is_some_and(|role| self.state.is_paused_or_parked(role));
        let silent = |w: &Waiter| {
            running
                && !still(w)
                && !queue::is_calling(w, self.facts)
                && queue::idle_ms(w, &self.state, self.facts) > ticket_ms
        };
        let gone: Vec<(u64, Actor, Removal)> = self
            .state
            .queue
            .iter()
            .filter_map(|w| match (self.facts.dead.contains(&w.process), silent(w)) {
                (true, _) => Some((w.ticket, w.actor.clone(), Removal::Died)),
                (false, true) => Some((w.ticket, w.actor.clone(), Removal::Silent)),
                (false, false) => None,
            })
            .collect();
        for (ticket, waiter, reason) in gone {
            self.emit(LockEvent::WaiterRemoved { ticket, waiter, reason });
        }
    }

    /// Records that an offer, or a grant that no command saw, was not taken up.
    pub(crate) fn record_missed_turn(&mut self, waiter: &Waiter) {
        let missed = waiter.missed.saturating_add(1);
        self.emit(LockEvent::OfferMissed { waiter: Waiter { missed, caller: None, ..waiter.clone() } });
    }

    /// Returns the work that would have to be saved if the lease ended for this reason.
    pub(crate) fn unsaved(&self, reason: &Release) -> Option<UnsavedWork> {
        match &self.state.lock {
            WriteLock::Held(held) => unsaved_work(held, reason, self.facts.now.wall),
            WriteLock::Recovering(recovery) => Some(recovery.unsaved.clone()),
            WriteLock::Free | WriteLock::Offered(_) => None,
        }
    }

    /// Ends the lease. The lock is then free, or waits until the uncommitted work of its holder is saved.
    pub(crate) fn end_lease(&mut self, reason: Release) {
        let unsaved = self.unsaved(&reason);
        self.release_lease(reason);
        if let Some(unsaved) = unsaved {
            self.start_recovery(unsaved);
        }
    }

    /// Ends the lease without saving work now.
    pub(crate) fn release_lease(&mut self, reason: Release) {
        if let Some(held) = self.state.held() {
            let (token, holder) = (held.token, held.holder.clone());
            self.emit(LockEvent::LockReleased { lock_id: lock_id(token), token, holder, reason });
        }
    }

    /// Makes this command save the work that was left; when it cannot, the next command does.
    pub(crate) fn start_recovery(&mut self, unsaved: UnsavedWork) {
        let now = &self.facts.now.boot;
        let (by, until) = match &self.facts.saver {
            Some(saver) => (saver.clone(), now.plus(SAVING_MS)),
            None => (self.caller.process.clone(), now.clone()),
        };
        self.emit(RescueEvent::RecoveryStarted { recovery: Recovery { unsaved, by, until, failure: None } });
    }

    /// Records the outcome of a rescue. A snapshot counts from any command, also a late one. A failure counts
    /// only from the command that is in charge of the rescue.
    pub(crate) fn rescued(&mut self, token: u64, outcome: &RescueOutcome) -> Result<Reply, Refusal> {
        let Some(unsaved) = self.pending(token) else { return Ok(Reply::Done) };
        let former = unsaved.former.clone();
        match outcome {
            RescueOutcome::Saved { reference, files, skipped, unstaged } => {
                self.emit(RescueEvent::WorkRescued {
                    lock_id: lock_id(token),
                    token,
                    former,
                    reference: reference.clone(),
                    files: *files,
                    skipped: skipped.clone(),
                    unstaged: unstaged.clone(),
                });
            }
            RescueOutcome::Failed { why } => {
                let mine = self.state.recovery().is_some_and(|r| Some(&r.by) == self.facts.saver.as_ref());
                if mine {
                    let again = self.facts.now.boot.plus(SAVING_MS);
                    self.emit(RescueEvent::RecoveryFailed { token, former, why: why.clone(), again });
                }
            }
        }
        Ok(Reply::Done)
    }

    /// Returns the work that the lease with this token left, when it is not saved yet.
    fn pending(&self, token: u64) -> Option<&UnsavedWork> {
        let frozen = match &self.state.system {
            FreezeState::Frozen { unsaved, .. } => unsaved.as_ref(),
            FreezeState::Running => None,
        };
        self.state.recovery().map(|r| &r.unsaved).into_iter().chain(frozen).find(|u| u.token == token)
    }

    /// Gives up work that cannot be saved, so that it does not block the lock for ever. Only an actor that
    /// may force-release the lock may do this, and it is recorded.
    pub(crate) fn abandon_rescue(&mut self, reason: &str) -> Result<Reply, Refusal> {
        let orchestrates = self.asker_kind().is_some_and(RoleKind::is_orchestrator);
        if !orchestrates && self.caller.actor != Actor::User {
            return Err(self.not_permitted("giving up what is not saved", "the Orchestrator or the User"));
        }
        let Some(unsaved) = self.state.recovery().map(|r| r.unsaved.clone()) else {
            return Err(Refusal::NotHolder { holder: self.state.held().map(|h| h.holder.clone()) });
        };
        let (token, former) = (unsaved.token, unsaved.former);
        self.emit(RescueEvent::RescueAbandoned { token, former, reason: reason.to_owned() });
        Ok(Reply::Done)
    }
}
