//! The rules of the write lock: acquiring, waiting, renewing, releasing.

use crate::domain::command::Reply;
use crate::domain::decision::DecisionBuilder;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::lock::claim::Claim;
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::lease::{expiry_reason, held_refusal};
use crate::domain::lock::queue;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::lock::request::{LockRequest, Waiter, is_same};
use crate::domain::lock::write_lock::{Lease, Offer, WriteLock, lock_id};
use crate::domain::refusal::Refusal;
use crate::domain::session::process::Process;
use crate::domain::util::time::WallTime;

/// The age in milliseconds after which a repeated request is recorded only to show that its role is alive.
const STILL_THERE_MS: u64 = 20_000;

impl DecisionBuilder<'_> {
    pub(crate) fn acquire(
        &mut self,
        request: &LockRequest,
        caller: Option<&Process>,
        stand_in: Option<&Process>,
    ) -> Result<Reply, Refusal> {
        self.may_write("acquire")?;
        if self.holds() {
            return self.renew_for(Some(&request.files), stand_in);
        }
        let mut waiter = self.ticket_for(request, caller, stand_in);
        let waits = waiter.caller.is_some();
        // A caller that does not wait is there at this moment: enough to be given a free lock.
        waiter.caller = caller.cloned().or_else(|| Some(self.caller.process.clone()));
        if self.is_free_for(&waiter) {
            return Ok(Reply::Granted(self.grant_to(&waiter, None)));
        }
        if !waits {
            // The request gives up now: a later lease has no command of its own.
            (waiter.caller, waiter.stand_in) = (None, None);
        }
        if !waits && self.caller.actor == Actor::Unproven {
            // Tickets of unidentified processes cannot be told apart: such a process waits itself, or not at
            // all.
            self.grant_next();
            let held = self.held_by_other();
            return Err(self.refuse("acquire", held));
        }
        let ticket = self.enqueue(waiter);
        let place = queue::place(&self.state, ticket).unwrap_or(1);
        Ok(Reply::Queued { ticket, place })
    }

    /// Lets `git commit` take a lock that is free for it, for as long as that git runs; else refuses it and
    /// queues its role (docs/rules.md R4.12).
    pub(crate) fn commit(&mut self, request: &LockRequest, git: &Process) -> Result<Reply, Refusal> {
        self.may_write("commit")?;
        if let Some(held) = self.state.held().filter(|_| self.holds()) {
            return match expiry_reason(&self.state, self.facts) {
                None => Ok(Reply::Renewed(held.clone())),
                // No other actor waits for it: the lease continues.
                Some(Release::Expired) if queue::next(&self.state, self.facts).is_none() => self.renew(None),
                Some(_) => Err(self.held_by_other()),
            };
        }
        let mut waiter = self.ticket_for(request, None, None);
        waiter.caller = Some(git.clone());
        if self.is_free_for(&waiter) {
            return Ok(Reply::Granted(self.grant_to(&waiter, Some(git))));
        }
        waiter.caller = None;
        if self.caller.actor != Actor::Unproven {
            self.enqueue(waiter);
        }
        // The first in the queue is granted or offered the lock now, and the refusal names it.
        self.grant_next();
        Err(self.held_by_other())
    }

    /// Whether this waiter can have the lock now: it is free and no waiter precedes it, or it is reserved
    /// for the waiter.
    fn is_free_for(&self, waiter: &Waiter) -> bool {
        match &self.state.lock {
            WriteLock::Held(_) | WriteLock::Recovering(_) => false,
            WriteLock::Offered(offer) => offer.ticket == waiter.ticket,
            WriteLock::Free => {
                let mut with_me = self.state.clone();
                queue::enter(&mut with_me.queue, waiter.clone());
                queue::next(&with_me, self.facts).is_some_and(|next| next.ticket == waiter.ticket)
            }
        }
    }

    /// Puts a ticket into the queue, or updates it; returns its number.
    fn enqueue(&mut self, mut waiter: Waiter) -> u64 {
        let ticket = waiter.ticket;
        let old = self.state.queue.iter().find(|w| w.ticket == ticket);
        let gives_up = |old: &Waiter| old.caller.is_some() && old.caller == self.facts.saver;
        let goes_away = waiter.caller.is_none();
        if let Some(old) = old.filter(|old| goes_away && !gives_up(old) && queue::is_calling(old, self.facts))
        {
            // Another command of this role waits already: this one, which does not wait, changes only the
            // last sign of life.
            waiter = Waiter { asked: waiter.asked, ..old.clone() };
        }
        if self.changes_ticket(&waiter) {
            self.emit(LockEvent::LockRequested { waiter });
        }
        ticket
    }

    /// Returns the caller's ticket as it will be: its old one updated, or a new one.
    fn ticket_for(
        &self,
        request: &LockRequest,
        caller: Option<&Process>,
        stand_in: Option<&Process>,
    ) -> Waiter {
        let now = &self.facts.now;
        let old = self.my_ticket();
        let mut request = request.clone();
        if let Some(old) = old.filter(|w| request.files == Claim::All && !w.request.guessed) {
            // A repeated request without files keeps the files of the first.
            request.files = old.request.files.clone();
            if request.purpose.is_empty() {
                request.purpose.clone_from(&old.request.purpose);
            }
        }
        Waiter {
            ticket: old.map_or(self.state.last.ticket + 1, |w| w.ticket),
            actor: self.caller.actor.clone(),
            process: self.caller.process.clone(),
            caller: caller.cloned(),
            stand_in: stand_in.cloned(),
            request,
            requested_at: old.map_or(now.wall, |w| w.requested_at),
            asked: now.boot.clone(),
            missed: old.map_or(0, |w| w.missed),
        }
    }

    fn my_ticket(&self) -> Option<&Waiter> {
        let (actor, process) = (&self.caller.actor, &self.caller.process);
        self.state.queue.iter().find(|w| is_same(&w.actor, &w.process, actor, process))
    }

    /// Whether a repeated request changes what the queue knows.
    fn changes_ticket(&self, waiter: &Waiter) -> bool {
        self.state.queue.iter().find(|w| w.ticket == waiter.ticket).is_none_or(|old| {
            old.caller != waiter.caller
                || old.stand_in != waiter.stand_in
                || old.request != waiter.request
                || old.process != waiter.process
                || waiter.asked.ms_since(&old.asked) >= STILL_THERE_MS
        })
    }

    /// Grants the free lock to a waiter; with `git`, only for as long as this git runs.
    fn grant_to(&mut self, waiter: &Waiter, git: Option<&Process>) -> Lease {
        let now = &self.facts.now;
        let lease_ms = self.state.policy.lock.lease_for(waiter.request.estimate_ms);
        // A command that is gone cannot end the lease: then the lease is the agent's own.
        let stand_in = git.or(waiter.stand_in.as_ref()).filter(|p| !self.facts.dead.contains(p));
        let asks = is_same(&waiter.actor, &waiter.process, &self.caller.actor, &self.caller.process);
        // The User's process sends no beats, and a stand-in command ends together with the lease.
        let may_miss_it = !asks && stand_in.is_none() && waiter.actor.role().is_some();
        let lease = Lease {
            token: self.state.last.token + 1,
            holder: waiter.actor.clone(),
            process: stand_in.unwrap_or(&waiter.process).clone(),
            request: waiter.request.clone(),
            granted: now.boot.clone(),
            granted_at: now.wall,
            expires: now.boot.plus(lease_ms),
            expires_at: WallTime(now.wall.0.saturating_add_unsigned(lease_ms)),
            auto: git.is_some(),
            unseen: may_miss_it.then(|| Box::new(waiter.clone())),
        };
        self.emit(LockEvent::LockGranted {
            lock_id: lease.lock_id(),
            holder: lease.holder.clone(),
            claimed_files: lease.request.files.clone(),
            claimed_loc: lease.request.loc,
            lease: lease.clone(),
        });
        lease
    }

    /// Grants a free lock to the first waiter that can take it (docs/rules.md I3, I4): at once to a waiting
    /// command, as an offer to a role that was active a moment ago.
    pub(crate) fn grant_next(&mut self) {
        if self.state.lock != WriteLock::Free || self.state.system != FreezeState::Running {
            return;
        }
        if let Some(waiter) = queue::next(&self.state, self.facts).cloned() {
            self.offer_to(&waiter);
        }
    }

    fn offer_to(&mut self, waiter: &Waiter) {
        if queue::is_calling(waiter, self.facts) {
            self.grant_to(waiter, None);
            return;
        }
        let (now, offer_ms) = (&self.facts.now, self.state.policy.lock.offer_ms);
        let offer = Offer {
            ticket: waiter.ticket,
            to: waiter.actor.clone(),
            until: now.boot.plus(offer_ms),
            until_at: WallTime(now.wall.0.saturating_add_unsigned(offer_ms)),
        };
        self.emit(LockEvent::LockOffered { offer });
    }

    /// Handles a request by the holder. A request of the agent itself, made while a command or a git of the
    /// same role has the lease, takes the lease over: it must not end with that command.
    fn renew_for(&mut self, files: Option<&Claim>, stand_in: Option<&Process>) -> Result<Reply, Refusal> {
        let held = self.state.held().expect("the caller holds it");
        let own = stand_in.is_none() && held.process != self.caller.process;
        let own = own && self.caller.actor != Actor::Unproven;
        let process = own.then(|| self.caller.process.clone());
        self.renew_with(files, process)
    }

    pub(crate) fn renew(&mut self, files: Option<&Claim>) -> Result<Reply, Refusal> {
        self.renew_with(files, None)
    }

    fn renew_with(&mut self, files: Option<&Claim>, process: Option<Process>) -> Result<Reply, Refusal> {
        self.may_write("renew")?;
        if !self.holds() {
            return Err(self.refuse("renew", self.not_holder()));
        }
        let now = &self.facts.now;
        let held = self.state.held().expect("the caller holds it").clone();
        let lease_ms = self.state.policy.lock.lease_for(held.request.estimate_ms);
        self.emit(LockEvent::LockRenewed {
            lock_id: held.lock_id(),
            token: held.token,
            expires: now.boot.plus(lease_ms),
            expires_at: WallTime(now.wall.0.saturating_add_unsigned(lease_ms)),
            files: files.map_or_else(|| held.request.files.clone(), |more| held.request.files.with(more)),
            process,
        });
        Ok(Reply::Renewed(self.state.held().expect("a renewal ends no lease").clone()))
    }

    pub(crate) fn release(&mut self, token: Option<u64>) -> Result<Reply, Refusal> {
        let current = self.state.last.token;
        if let Some(given) = token.filter(|t| self.state.held().is_none_or(|h| h.token != *t)) {
            return Err(self.refuse("release", Refusal::StaleToken { given, current }));
        }
        if !self.holds() {
            return Err(self.refuse("release", self.not_holder()));
        }
        self.end_lease(Release::Done);
        Ok(Reply::Released { lock_id: lock_id(current), next: None })
    }

    pub(crate) fn cancel(&mut self) -> Result<Reply, Refusal> {
        let Some(mine) = self.my_ticket() else {
            return Err(self.refuse("cancel", Refusal::NotQueued { who: self.caller.actor.clone() }));
        };
        let (ticket, waiter) = (mine.ticket, mine.actor.clone());
        self.emit(LockEvent::WaiterRemoved { ticket, waiter, reason: Removal::Cancelled });
        Ok(Reply::Done)
    }

    pub(crate) fn handover(&mut self, to: &Role) -> Result<Reply, Refusal> {
        self.may_write("hand over")?;
        if !self.holds() {
            return Err(self.refuse("handover", self.not_holder()));
        }
        let target = Actor::Role(to.clone());
        let Some(waiter) = self.state.queue.iter().find(|w| w.actor == target).cloned() else {
            return Err(self.refuse("handover", Refusal::NotQueued { who: target }));
        };
        if let Some(pause) = self.state.paused.get(to).cloned() {
            let why = Refusal::Paused { by: pause.by, reason: pause.reason, since: pause.since };
            return Err(self.refuse("handover", why));
        }
        let ended = self.state.last.token;
        self.end_lease(Release::Handover);
        self.offer_to(&waiter);
        Ok(Reply::Released { lock_id: lock_id(ended), next: None })
    }

    pub(crate) fn force_release(&mut self, reason: &str) -> Result<Reply, Refusal> {
        let orchestrates = self.asker_kind().is_some_and(RoleKind::is_orchestrator);
        if !orchestrates && self.caller.actor != Actor::User {
            return Err(self.not_permitted("force-release", "the Orchestrator or the User"));
        }
        match &self.state.lock {
            WriteLock::Free => Err(self.refuse("force-release", Refusal::NotHolder { holder: None })),
            WriteLock::Recovering(_) => {
                let refusal = self.held_by_other();
                Err(self.refuse("force-release", refusal))
            }
            WriteLock::Offered(offer) => {
                let mut queue = self.state.queue.iter();
                if let Some(waiter) = queue.find(|w| w.ticket == offer.ticket).cloned() {
                    self.record_missed_turn(&waiter);
                }
                Ok(Reply::Done)
            }
            WriteLock::Held(held) => {
                let ended = held.token;
                self.end_lease(Release::Forced(reason.to_owned()));
                Ok(Reply::Released { lock_id: lock_id(ended), next: None })
            }
        }
    }

    /// Refuses a caller that may not have the lock at all, and records the refusal.
    pub(crate) fn may_write(&mut self, action: &str) -> Result<(), Refusal> {
        if let Err(refusal) = self.running() {
            return Err(self.refuse(action, refusal));
        }
        if let Actor::Role(role) = &self.caller.actor {
            let role = role.clone();
            if let Some(pause) = self.state.paused.get(&role).cloned() {
                let paused = Refusal::Paused { by: pause.by, reason: pause.reason, since: pause.since };
                return Err(self.refuse(action, paused));
            }
            match self.asker_kind() {
                Some(kind) if kind.is_librarian() => {
                    return Err(self.refuse(action, Refusal::ReadOnly { role }));
                }
                Some(_) => {}
                None => {
                    let found = format!("{role} is not in the roster (any more)");
                    return Err(self.refuse(action, Refusal::UnknownIdentity { found }));
                }
            }
        }
        if self.caller.actor == Actor::System {
            return Err(self.not_permitted(action, "a role or the User"));
        }
        Ok(())
    }

    pub(crate) fn held_by_other(&self) -> Refusal {
        let place = self.my_ticket().and_then(|w| queue::place(&self.state, w.ticket));
        held_refusal(&self.state, self.facts, place)
            .unwrap_or_else(|| Refusal::NotHeld { action: "a request by an unidentified process".to_owned() })
    }

    pub(crate) fn not_holder(&self) -> Refusal {
        Refusal::NotHolder { holder: self.state.held().map(|h| h.holder.clone()) }
    }
}
